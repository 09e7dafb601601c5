"""BAFE-Head: detection and sky segmentation from three towers, two of which exchange features (paper Fig. 5)."""
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmcv.cnn import ConvModule, Scale, build_conv_layer, build_norm_layer
from mmdet.models.utils import multi_apply, unpack_gt_instances
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmdet.utils import ConfigType, InstanceList, OptConfigType
from torch import Tensor

from bafenet.arguments import require_flags, require_part, shown
from bafenet.compat.weights_fit import refuse_dropped_parts
from bafenet.devkit.layout import IGNORED
from bafenet.errors import InputError

from .head_outputs import HeadOutputs, MaskOutputs, Predictions, finest_at_pixels
from .segmentation.masks import build_losses, loss_values, true_masks
from .small_target_head import SmallTargetHead


@MODELS.register_module()
class BAFEHead(SmallTargetHead):
    """FCOS head with a sky segmentation tower and a feature exchange (paper Section IV-A and IV-B).

    Per level: three towers (classification, regression, segmentation); a bottleneck at the end of the classification
    and of the segmentation tower; the exchange between these two; then classification and centerness from the
    exchanged classification features, distances from the regression tower, one sky logit from the exchanged
    segmentation features.

    ``with_mask`` adds a mask of the targets at the resolution of the input, of the finest level alone: at each of its
    points one 3x3 convolution of the exchanged classification features gives the logits of the s x s pixels around it,
    which a pixel shuffle puts in their places. Nothing is interpolated, so that single pixels can be told apart.

    Args:
        with_seg: Build the segmentation tower. False is plain FCOS: neither refinement, bottlenecks nor exchange.
        refine: Name or config of one module, built with ``channels=feat_channels``, that both the classification and
            the segmentation features pass between tower and bottleneck; None for none. ``'lsk'`` is the
            :class:`~bafenet.models.selective_kernel.SelectiveKernel` of the paper's later version.
        bottleneck: Put a bottleneck (C -> C / 2 -> C) at the end of the classification and segmentation towers.
        bottleneck_norm_cfg: Its normalisation, BN in the paper. All levels share it, so that BN tests every level with
            statistics averaged over the levels; GN has none to average.
        exchange: Config of the exchange module, which is built with ``channels=feat_channels``; None for none.
        loss_seg: Config of the sky loss, computed per level at the level's points and summed over the levels.
        with_mask: Build the mask. It reads what detection computes, and detection reads nothing of it.
        loss_mask: Config of its loss of logits and true masks, or a list of some, which are added; see
            :class:`~bafenet.models.segmentation.segmentor.TargetSegmentor`.
        **kwargs: The arguments of :class:`~bafenet.models.small_target_head.SmallTargetHead` (label assignment, box
            coding, quality) and of mmdet's ``FCOSHead``.

    Raises:
        InputError: If an argument is of the wrong type, out of range, or does not fit another.
    """

    init_cfg: Any

    def __init__(self,
                 *args,
                 with_seg: bool = True,
                 refine: str | ConfigType | None = None,
                 bottleneck: bool = True,
                 bottleneck_norm_cfg: ConfigType = dict(type='BN'),
                 exchange: OptConfigType = dict(
                     type='ChannelExchange', ratio=0.5, adapter=dict(type='MLPAdapter', hidden_channels=64)),
                 loss_seg: ConfigType = dict(
                     type='CrossEntropyLoss',
                     use_sigmoid=True,
                     ignore_index=IGNORED,
                     avg_non_ignore=True,
                     loss_weight=1.0),
                 with_mask: bool = False,
                 loss_mask: ConfigType | Sequence[ConfigType] = dict(type='SoftIoULoss'),
                 **kwargs) -> None:
        require_flags('bbox_head', with_seg=with_seg, bottleneck=bottleneck, with_mask=with_mask)
        require_part('bbox_head', bottleneck_norm_cfg=bottleneck_norm_cfg, loss_seg=loss_seg)
        require_part('bbox_head', optional=True, exchange=exchange)
        if isinstance(refine, str) and MODELS.get(refine) is None:
            raise InputError(f"bbox_head: refine={shown(refine)} is no registered network part, as 'lsk' is")
        if not isinstance(refine, str):
            require_part('bbox_head', optional=True, refine=refine)
        self.with_seg, self.with_mask = with_seg, with_mask
        self.refine_cfg = (dict(type=refine) if isinstance(refine, str) else refine) if with_seg else None
        self.with_bottleneck = with_seg and bottleneck
        self.bottleneck_norm_cfg = bottleneck_norm_cfg
        self.exchange_cfg = exchange if with_seg else None
        super().__init__(*args, **kwargs)
        if with_seg:
            self.loss_seg = MODELS.build(loss_seg)
        else:
            self._forget_initialisation_of('conv_seg')
        if with_mask:
            self.losses_mask = build_losses('bbox_head', loss_mask)
            self._initialise_mask()

    def _forget_initialisation_of(self, name: str) -> None:
        """Take a layer that is not built out of ``init_cfg``: mmengine stops at a name that it does not find."""
        override = self.init_cfg.get('override') if isinstance(self.init_cfg, dict) else None
        if isinstance(override, list):
            self.init_cfg = dict(self.init_cfg, override=[one for one in override if one['name'] != name])

    def _initialise_mask(self) -> None:
        """Let the mask begin as that of hardly any target, as the class does, where ``init_cfg`` says nothing of it."""
        override = self.init_cfg.get('override') if isinstance(self.init_cfg, dict) else None
        overrides = override if isinstance(override, list) else [override] if override else []
        if isinstance(self.init_cfg, dict) and all(one['name'] != 'conv_mask' for one in overrides):
            own = dict(type='Normal', name='conv_mask', std=0.01, bias_prob=0.01)
            self.init_cfg = dict(self.init_cfg, override=[*overrides, own])

    def _init_layers(self) -> None:
        super()._init_layers()
        if self.with_seg:
            self._init_seg_layers()
        if self.refine_cfg is not None:
            self.refine = MODELS.build(dict(self.refine_cfg, channels=self.feat_channels))
        if self.with_bottleneck:
            self.cls_bottleneck = self._build_bottleneck()
            self.seg_bottleneck = self._build_bottleneck()
        if self.exchange_cfg is not None:
            self.exchange = MODELS.build(dict(self.exchange_cfg, channels=self.feat_channels))
        if self.with_mask:
            self.conv_mask = nn.Conv2d(self.feat_channels, self.strides[0]**2, 3, padding=1)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        """Load the head's own weights, whoever asks; see :func:`~bafenet.compat.weights_fit.refuse_dropped_parts`."""
        parts = dict(self.named_children())
        refuse_dropped_parts((name.removeprefix(prefix) for name in state_dict if name.startswith(prefix)
                              and name.removeprefix(prefix).split('.')[0] not in parts), 'the file', head='')
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _init_seg_layers(self) -> None:
        self.seg_convs = nn.ModuleList(
            ConvModule(
                self.in_channels if i == 0 else self.feat_channels,
                self.feat_channels,
                3,
                padding=1,
                conv_cfg=self.conv_cfg,
                norm_cfg=self.norm_cfg,
                bias=self.conv_bias) for i in range(self.stacked_convs))
        self.conv_seg = nn.Conv2d(self.feat_channels, 1, 3, padding=1)

    def _build_bottleneck(self) -> nn.Sequential:
        wide, narrow = self.feat_channels, self.feat_channels // 2
        return nn.Sequential(*self._build_layer(wide, narrow), *self._build_layer(narrow, wide))

    def _build_layer(self, in_channels: int, out_channels: int) -> tuple[nn.Module, ...]:
        norm = build_norm_layer(self.bottleneck_norm_cfg, out_channels)[1]
        conv = build_conv_layer(self.conv_cfg, in_channels, out_channels, 3, padding=1)
        return conv, norm, nn.ReLU(inplace=True)

    def forward(self, x: tuple[Tensor, ...]) -> HeadOutputs | MaskOutputs | tuple[list[Tensor], ...]:
        """Predict on every level.

        Args:
            x: FPN features, one (N, C, H_l, W_l) tensor per stride.

        Returns:
            The outputs; with neither sky nor mask the first three of them, a plain tuple as mmdet's heads return.

        Raises:
            InputError: If the number of feature levels is not the number of strides.
        """
        if len(x) != len(self.strides):
            raise InputError(f'the neck gives {len(x)} levels and the head has {len(self.strides)} strides: '
                             'neck.num_outs, bbox_head.strides and bbox_head.regress_ranges must agree')
        outputs = super().forward(x)
        if self.with_mask:
            sky = outputs[3] if self.with_seg else []
            return MaskOutputs(outputs[0], outputs[1], outputs[2], sky, outputs[-1][:1])
        return HeadOutputs(*outputs) if self.with_seg else outputs

    def forward_single(self, x: Tensor, scale: Scale, stride: int) -> tuple[Tensor | None, ...]:
        """Predict on one level; see :meth:`forward`. The mask, at the end, is None of all but the finest."""
        cls_feat, reg_feat, seg_feat = self.before_exchange(x)
        if self.exchange_cfg is not None:
            cls_feat, seg_feat = self.exchange(cls_feat, seg_feat)
        centerness = self.conv_centerness(reg_feat if self.centerness_on_reg else cls_feat)
        # Losses and scores are float32 in mixed precision too.
        boxes = self.conv_cls(cls_feat).float(), self._box_codes(reg_feat, scale, stride), centerness.float()
        sky = (self.conv_seg(seg_feat).float(), ) if self.with_seg else ()
        return (*boxes, *sky, *((self._mask_logits(cls_feat, stride), ) if self.with_mask else ()))

    def _mask_logits(self, cls_feat: Tensor, stride: int) -> Tensor | None:
        """Target logits of every pixel (N, 1, s H_0, s W_0) on the finest level: pixel s i + k is sub-pixel k of i."""
        if stride != self.strides[0]:
            return None
        return F.pixel_shuffle(self.conv_mask(cls_feat).float(), stride)

    def before_exchange(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features of the three tasks on one level, refinement and bottlenecks included.

        Args:
            x: FPN features of the level, (N, C, H_l, W_l).

        Returns:
            Classification, regression and segmentation features, (N, ``feat_channels``, H_l, W_l) each; without
            ``with_seg`` the last are ``x``.
        """
        cls_feat = reg_feat = seg_feat = x
        for layer in self.cls_convs:
            cls_feat = layer(cls_feat)
        for layer in self.reg_convs:
            reg_feat = layer(reg_feat)
        if self.with_seg:
            for layer in self.seg_convs:
                seg_feat = layer(seg_feat)
        if self.refine_cfg is not None:
            cls_feat, seg_feat = self.refine(cls_feat), self.refine(seg_feat)
        if self.with_bottleneck:
            cls_feat, seg_feat = self.cls_bottleneck(cls_feat), self.seg_bottleneck(seg_feat)
        return cls_feat, reg_feat, seg_feat

    def loss(self, x: tuple[Tensor, ...], batch_data_samples: SampleList) -> dict[str, Any]:
        """Losses of both tasks.

        Args:
            x: FPN features, one (N, C, H_l, W_l) tensor per stride.
            batch_data_samples: Samples with ``gt_instances`` and, with ``with_seg``, ``gt_sem_seg`` as uint8
                (1, H, W) of the padded batch, 1 = sky, 255 = ignored; with ``with_mask``, ``gt_target_mask`` likewise,
                1 = target, of the padded batch or of the image alone.

        Returns:
            ``loss_cls``, ``loss_bbox``, ``loss_centerness``; with ``with_seg``, ``loss_seg`` with one entry per level;
            with ``with_mask``, ``loss_mask``, or each of several by its number.

        Raises:
            InputError: If a sample has no sky map, or no mask, that is learnt from.
        """
        outputs = self(x)
        gt_instances, gt_ignored, img_metas = unpack_gt_instances(batch_data_samples)
        cls_scores, bbox_preds, centernesses = outputs[:3]
        losses: dict[str, Any] = self.loss_by_feat(cls_scores, bbox_preds, centernesses, gt_instances, img_metas,
                                                   gt_ignored)
        if self.with_seg:
            losses['loss_seg'] = self.loss_seg_by_feat(outputs[3], batch_data_samples)
        if isinstance(outputs, MaskOutputs):
            logits, = outputs.mask_logits
            masks = true_masks('BAFEHead(with_mask=True)', batch_data_samples, logits.shape[-2:])
            losses.update(loss_values(self.losses_mask, [logits], masks, batch_data_samples))
        return losses

    def loss_seg_by_feat(self, sky_logits: list[Tensor], batch_data_samples: SampleList) -> list[Tensor]:
        """Sigmoid cross-entropy of the sky logits at the points of each level; see :meth:`loss`."""
        if any('gt_sem_seg' not in sample for sample in batch_data_samples):
            raise InputError('BAFEHead(with_seg=True) needs the sky map of every training image: put '
                             'LoadSkyAnnotations into the training pipeline')
        sky_maps = torch.stack([sample.gt_sem_seg.sem_seg for sample in batch_data_samples])
        losses, = multi_apply(self._loss_seg_single, sky_logits, self.strides, sky_maps=sky_maps)
        return losses

    def _loss_seg_single(self, logits: Tensor, stride: int, sky_maps: Tensor) -> tuple[Tensor]:
        truth = sample_at_points(sky_maps, stride, logits.shape[-2:]).long()
        return (self.loss_seg(logits.float().flatten().unsqueeze(-1), truth.flatten().unsqueeze(-1)), )

    def predict(self,
                x: tuple[Tensor, ...],
                batch_data_samples: SampleList,
                rescale: bool = False) -> InstanceList:
        """Boxes of each sample, after NMS; the contract of mmdet's dense heads."""
        return self._predict_boxes(self(x), batch_data_samples, rescale)

    def predict_with_maps(self,
                          x: tuple[Tensor, ...],
                          batch_data_samples: SampleList,
                          rescale: bool = False,
                          cfg: OptConfigType = None,
                          with_nms: bool = True) -> Predictions:
        """Boxes, sky logits and target logits of each sample.

        Args:
            x: FPN features, one (N, C, H_l, W_l) tensor per stride.
            batch_data_samples: Samples with ``img_shape`` and ``ori_shape``.
            rescale: Give all in the original image and not in the network's input.
            cfg: Settings instead of ``test_cfg``.
            with_nms: Pick boxes by NMS; else all candidates are given.

        Returns:
            What is predicted of each sample; :func:`~bafenet.models.head_outputs.add_maps` makes maps of the logits.
        """
        outputs = self(x)
        boxes = self._predict_boxes(outputs, batch_data_samples, rescale, cfg, with_nms)
        metas = [sample.metainfo for sample in batch_data_samples]
        sky, masks = outputs[3] if self.with_seg else [], outputs[4] if self.with_mask else []
        return Predictions(boxes, finest_at_pixels(sky, metas, rescale, self.strides[0]),
                           finest_at_pixels(masks, metas, rescale, 1))

    def _predict_boxes(self, outputs: tuple[list[Tensor], ...], batch_data_samples: SampleList, rescale: bool,
                       cfg: OptConfigType = None, with_nms: bool = True) -> InstanceList:
        img_metas = [sample.metainfo for sample in batch_data_samples]
        return self.predict_by_feat(*outputs[:3], batch_img_metas=img_metas, cfg=cfg, rescale=rescale,
                                    with_nms=with_nms)


def sample_at_points(maps: Tensor, stride: int, size: Sequence[int]) -> Tensor:
    """Read maps at the points (i + 1/2) * stride of a feature level.

    Where the map's size is a multiple of the stride this is ``F.interpolate(mode='nearest-exact')``.

    Args:
        maps: Label maps, (N, 1, H, W), any integer dtype.
        stride: Stride of the level in pixels.
        size: Height and width of the level's grid.

    Returns:
        Labels (N, 1, *size); 255 where a point lies outside the map.
    """
    bottom = max(size[0] * stride - maps.shape[-2], 0)
    right = max(size[1] * stride - maps.shape[-1], 0)
    maps = F.pad(maps, (0, right, 0, bottom), value=IGNORED)
    return maps[..., stride // 2::stride, stride // 2::stride][..., :size[0], :size[1]]
