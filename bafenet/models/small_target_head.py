"""FCOS whose label assignment, box coding and quality are settings, for targets of a few pixels."""
from collections.abc import Sequence
from typing import Any

import torch
from mmcv.cnn import Scale
from mmdet.models.dense_heads import FCOSHead
from mmdet.models.task_modules.assigners import BaseAssigner
from mmdet.registry import MODELS, TASK_UTILS
from mmdet.structures.bbox import bbox2distance, bbox_overlaps, distance2bbox
from mmdet.utils import ConfigType, InstanceList, OptInstanceList, reduce_mean
from mmengine.structures import InstanceData
from torch import Tensor, nn

from bafenet.arguments import (
    MAX_CHANNELS,
    is_number,
    require_choice,
    require_part,
    require_whole,
    require_wholes,
    shown,
)
from bafenet.errors import InputError

from .assignment import InsideAssigner, PointAssigner
from .box_coding import SideDistributionCoder, centre_size_to_distances, to_whole_pixels
from .score_calibration import calibrate, require_calibration

# Names that the head's ``assign`` knows.
ASSIGNERS = dict(
    inside='InsideAssigner',
    nearest='NearestAssigner',
    receptive_field='ReceptiveFieldAssigner',
    simota='SimOTAAssigner')
BOX_CODINGS = ('distances', 'centre_size', 'distribution')
QUALITIES = ('centerness', 'iou')


class SmallTargetHead(FCOSHead):
    """FCOS's predictions and losses; as they are with the defaults, as in the paper.

    ``test_cfg`` has more entries than FCOS's. ``whole_pixels=True`` moves the sides of every box, after NMS and in the
    image that it is given in, to the nearest border between two pixels. DenseSIRST's boxes are extents of masks, so
    theirs lie there, and a box of three pixels whose sides all lie 0.2 px too far inside has an IoU of only 0.75.
    ``calibration`` maps the scores of boxes after NMS to shares of right ones
    (:mod:`~bafenet.models.score_calibration`); ``score_thr``, NMS and candidates without NMS know the network's own.
    ``sky_side`` is of heads with a sky branch (:func:`~bafenet.models.reduced_sky.predict_frames`).

    Args:
        assign: Which point learns which target: a name, or the config of the assigner with arguments of its own, as in
            ``dict(type='NearestAssigner', topk=2)``.

            - ``'inside'``: the smallest target that holds the point
              (:class:`~bafenet.models.assignment.InsideAssigner`);
            - ``'nearest'``: a target without a point also gets its nearest one
              (:class:`~bafenet.models.assignment.NearestAssigner`);
            - ``'receptive_field'``: a target gets the points whose receptive fields are most like it
              (:class:`~bafenet.models.assignment.ReceptiveFieldAssigner`);
            - ``'simota'``: points whose predictions fit a target best, near its centre (mmdet's ``SimOTAAssigner``;
              its scores are the class probabilities, without the quality; a target can lose its points to another).

            Under all but ``'inside'`` every point weighs 1 in the box loss, and no longer its centerness, which is 0
            outside the box. Give ``loss_bbox`` as GIoU, DIoU, CIoU or
            :class:`~bafenet.models.losses.NormalisedWassersteinLoss`: the IoU has no gradient for disjoint boxes.
        box_coding: What ``conv_reg`` gives: ``'distances'``, the logarithms of the distances to the four sides (FCOS),
            which a point outside its target does not have; ``'centre_size'``, offset of the centre and log size
            (:func:`~bafenet.models.box_coding.centre_size_to_distances`), which any point has; or ``'distribution'``,
            a distribution of each distance over ``side_knots``
            (:class:`~bafenet.models.box_coding.SideDistributionCoder`), for points inside.
        side_knots: Distances in pixels of the network's input, ascending, over which ``'distribution'`` distributes.
        loss_sides: Its loss at the knots on either side of the true distance, besides ``loss_bbox`` of the mean box.
        quality: What ``conv_centerness`` learns and the score is multiplied by: ``'centerness'`` (paper), 0 for points
            outside their target, or ``'iou'``, the IoU of the predicted box with its target.
        **kwargs: The arguments of mmdet's ``FCOSHead``, but for ``center_sampling``.

    Raises:
        InputError: If a value is unknown or out of range, or boxes are to be learnt from outside by a ``box_coding``
            that cannot.
    """

    def __init__(self,
                 *args,
                 assign: str | ConfigType = 'inside',
                 box_coding: str = 'distances',
                 side_knots: Sequence[float] = (1, 2, 3, 4, 5, 6, 8, 16),
                 loss_sides: ConfigType = dict(type='DistributionFocalLoss', loss_weight=1.0),
                 quality: str = 'centerness',
                 **kwargs) -> None:
        check_head_arguments(dict(zip(('num_classes', 'in_channels'), args, strict=False), **kwargs))
        require_choice('bbox_head', BOX_CODINGS, box_coding=box_coding)
        require_choice('bbox_head', QUALITIES, quality=quality)
        if box_coding == 'distribution':
            require_part('bbox_head', loss_sides=loss_sides)
            kwargs['bbox_coder'] = dict(kwargs.get('bbox_coder') or {}, type='SideDistributionCoder', knots=side_knots)
        super().__init__(*args, **kwargs)
        self.assigner = build_assigner(assign)
        self.assign = assign if isinstance(assign, str) else assign['type']
        self.box_coding = box_coding
        self.loss_sides: Any = MODELS.build(loss_sides) if box_coding == 'distribution' else None
        self.quality = quality
        # NearestAssigner is an InsideAssigner, and gives points outside.
        self.learns_outside = type(self.assigner) is not InsideAssigner
        self.assigns_by_prediction = not isinstance(self.assigner, PointAssigner)
        self._check_settings()

    def _check_settings(self) -> None:
        require_calibration((self.test_cfg or {}).get('calibration'))
        if self.learns_outside and self.box_coding != 'centre_size':
            raise InputError(f'bbox_head: assign={self.assign!r} learns boxes from points outside them, to which '
                             f"box_coding={self.box_coding!r} has no answer: set box_coding='centre_size'")
        if self.norm_on_bbox and self.box_coding != 'distances':
            raise InputError(f'bbox_head: box_coding={self.box_coding!r} has units of its own: set norm_on_bbox=False')
        if self.center_sampling:
            raise InputError('bbox_head: center_sampling is a setting of the assignment: set '
                             f"assign=dict(type='InsideAssigner', center_radius={self.center_sample_radius})")

    def _init_predictor(self) -> None:
        super()._init_predictor()
        if isinstance(self.bbox_coder, SideDistributionCoder):
            # Pointwise: four sides times eight knots at every point of stride 2 would cost as much as a tower.
            self.conv_reg = nn.Conv2d(self.feat_channels, self.bbox_coder.encode_size, 1)

    def _box_codes(self, reg_feat: Tensor, scale: Scale, stride: int) -> Tensor:
        """What ``bbox_coder`` decodes: distances to the four sides, or logits; float32, since exp overflows in half."""
        distances = scale(self.conv_reg(reg_feat)).float()
        if self.box_coding == 'distribution':
            return distances
        if self.box_coding == 'centre_size':
            return centre_size_to_distances(distances, stride)
        if not self.norm_on_bbox:
            return distances.exp()
        return distances.clamp(min=0) if self.training else distances.clamp(min=0) * stride

    def loss_by_feat(self,
                     cls_scores: list[Tensor],
                     bbox_preds: list[Tensor],
                     centernesses: list[Tensor],
                     batch_gt_instances: InstanceList,
                     batch_img_metas: list[dict],
                     batch_gt_instances_ignore: OptInstanceList = None) -> dict[str, Tensor]:
        """Detection losses, FCOS's but for ``assign`` and ``quality``; the contract of mmdet's dense heads."""
        sizes = [level.shape[-2:] for level in cls_scores]
        points = self.prior_generator.grid_priors(sizes, dtype=bbox_preds[0].dtype, device=bbox_preds[0].device)
        predictions = self._predictions(points, cls_scores, bbox_preds) if self.assigns_by_prediction else None
        labels, bbox_targets = map(torch.cat, self.get_targets(points, batch_gt_instances, predictions))
        scores, codes, qualities = map(flatten_levels, (cls_scores, bbox_preds, centernesses))
        positive = (labels < self.num_classes).nonzero().squeeze(1)
        num_positive = max(reduce_mean(codes.new_tensor(float(len(positive)))), 1.0)
        points = torch.cat([level.repeat(len(batch_gt_instances), 1) for level in points])[positive]
        box_losses, quality = self._loss_boxes(points, codes[positive], bbox_targets[positive])
        return dict(
            loss_cls=self.loss_cls(scores, labels, avg_factor=num_positive),
            **box_losses,
            loss_centerness=self.loss_centerness(qualities[positive, 0], quality, avg_factor=num_positive))

    @torch.no_grad()
    def _predictions(self, points: list[Tensor], cls_scores: list[Tensor], bbox_preds: list[Tensor]) -> InstanceList:
        """Boxes (P, 4) and class probabilities (P, num_classes) of each image's points."""
        scores, distances = (torch.cat([level.permute(0, 2, 3, 1).flatten(1, 2) for level in levels], dim=1)
                             for levels in (cls_scores, bbox_preds))
        all_points = torch.cat(points)
        return [InstanceData(bboxes=self.bbox_coder.decode(all_points, sides), scores=logits.sigmoid())
                for logits, sides in zip(scores, distances, strict=True)]

    def _loss_boxes(self, points: Tensor, bbox_preds: Tensor,
                    bbox_targets: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Box losses at positive points (n, 2), and the quality (n, ) that each is to predict of its box."""
        centerness = self.centerness_target(bbox_targets)
        weights = torch.ones_like(centerness) if self.learns_outside else centerness
        avg_factor = max(reduce_mean(weights.sum()), 1e-6)
        boxes, truth = self.bbox_coder.decode(points, bbox_preds), distance2bbox(points, bbox_targets)
        losses = dict(loss_bbox=self.loss_bbox(boxes, truth, weight=weights, avg_factor=avg_factor))
        if self.loss_sides is not None:
            losses['loss_sides'] = self._loss_sides(bbox_preds, bbox_targets, weights, avg_factor)
        if self.quality == 'iou':
            return losses, bbox_overlaps(boxes.detach(), truth, is_aligned=True)
        return losses, centerness

    def _loss_sides(self, logits: Tensor, distances: Tensor, weights: Tensor, avg_factor: float) -> Tensor:
        """Loss of logits (n, 4 K) against true distances (n, 4), weighed by (n, )."""
        knots = len(self.bbox_coder.knots)
        # The loss also looks at the knot after the target's, which the last one does not have.
        positions = self.bbox_coder.position(distances).clamp(max=knots - 1.001)
        return self.loss_sides(
            logits.reshape(-1, knots), positions.flatten(), weight=weights.repeat_interleave(4),
            avg_factor=4 * avg_factor)

    def centerness_target(self, pos_bbox_targets: Tensor) -> Tensor:
        """FCOS's centerness (n, ) from the true distances (n, 4), in [0, 1]; 0 for points outside their target."""
        return super().centerness_target(pos_bbox_targets.clamp(min=0))

    def get_targets(self,
                    points: list[Tensor],
                    batch_gt_instances: InstanceList,
                    predictions: InstanceList | None = None) -> tuple[list[Tensor], list[Tensor]]:
        """What each point learns, by ``assign``.

        Args:
            points: (P_l, 2) per level.
            batch_gt_instances: Targets of each of the N images: ``bboxes`` (G, 4) and ``labels`` (G, ).
            predictions: Of each image ``bboxes`` (P, 4) and ``scores`` (P, num_classes) of the points of all levels;
                needed if ``assigns_by_prediction``.

        Returns:
            Per level, image after image: labels int64 (N * P_l, ), ``num_classes`` for background, and distances to
            the four sides (N * P_l, 4), negative towards sides that the point lies beyond.
        """
        predictions = predictions or [InstanceData() for _ in batch_gt_instances]
        # mmdet hands each entry on to _get_targets_single.
        return super().get_targets(points, list(zip(batch_gt_instances, predictions, strict=True)))

    def _bbox_post_process(self, results: InstanceData, cfg: ConfigType, rescale: bool = False, with_nms: bool = True,
                           img_meta: dict | None = None) -> InstanceData:
        results = super()._bbox_post_process(results, cfg, rescale, with_nms, img_meta)
        if cfg.get('whole_pixels', False):
            results.bboxes = to_whole_pixels(results.bboxes)
        if with_nms:
            results.scores = calibrate(results.scores, cfg.get('calibration'))
        return results

    def _get_targets_single(self, image: tuple[InstanceData, InstanceData], points: Tensor, regress_ranges: Tensor,
                            num_points_per_lvl: list[int]) -> tuple[Tensor, Tensor]:
        """Labels (P, ) and true distances (P, 4) of the points of one image: its targets and its predictions."""
        gt_instances, candidates = image
        boxes, labels = gt_instances.bboxes, gt_instances.labels
        if len(boxes) == 0:
            return labels.new_full((len(points), ), self.num_classes), boxes.new_zeros(len(points), 4)
        strides = points.new_tensor(self.strides).repeat_interleave(
            torch.tensor(num_points_per_lvl, device=points.device))
        candidates.priors = torch.cat((points, strides[:, None].expand(-1, 2)), dim=1)
        candidates.regress_ranges = regress_ranges
        owners = self.assigner.assign(candidates, gt_instances).gt_inds - 1
        owned = owners.clamp(min=0)
        return labels[owned].where(owners >= 0, self.num_classes), bbox2distance(points, boxes[owned])


def build_assigner(assign: str | ConfigType) -> BaseAssigner:
    """The assigner of a name or config; see :class:`SmallTargetHead`.

    Raises:
        InputError: If it is none that the head can use.
    """
    settings = dict(type=ASSIGNERS.get(assign)) if isinstance(assign, str) else assign
    if not isinstance(settings, dict) or settings.get('type') not in ASSIGNERS.values():
        raise InputError(f'bbox_head: assign={shown(assign)} must be one of {", ".join(ASSIGNERS)}, or the config '
                         f'of one of {", ".join(ASSIGNERS.values())}')
    return TASK_UTILS.build(settings)


def check_head_arguments(settings: dict) -> None:
    """Refuse arguments of mmdet's ``FCOSHead`` that its constructor or its first batch would stumble over.

    Args:
        settings: Arguments by name, as far as they are given.

    Raises:
        InputError: If one is of the wrong type, out of range, or does not fit another.
    """
    given = {name: settings[name] for name in ('num_classes', 'in_channels', 'feat_channels') if name in settings}
    require_whole('bbox_head', high=MAX_CHANNELS, **given)
    require_whole('bbox_head', low=0, stacked_convs=settings.get('stacked_convs', 4))
    strides, ranges = settings.get('strides'), settings.get('regress_ranges')
    if strides is not None:
        require_wholes('bbox_head', strides=strides)
    if ranges is not None and not (isinstance(ranges, (list, tuple)) and ranges and all(map(is_range, ranges))):
        raise InputError(f'bbox_head: regress_ranges={shown(ranges)} must be pairs of sizes (low, high), low below '
                         'high')
    if strides is not None and ranges is not None and len(strides) != len(ranges):
        raise InputError(f'bbox_head: strides={shown(strides)} and regress_ranges={shown(ranges)} must have one '
                         'entry a level each')
    norm_cfg, channels = settings.get('norm_cfg'), settings.get('feat_channels', 256)
    if isinstance(norm_cfg, dict) and norm_cfg.get('type') == 'GN' and channels % norm_cfg.get('num_groups', 32):
        raise InputError(f'bbox_head: feat_channels={channels} must be a multiple of the norm_cfg.num_groups='
                         f'{norm_cfg.get("num_groups", 32)}')


def is_range(value: Any) -> bool:
    """Whether a value is a pair of finite numbers, the first below the second."""
    return isinstance(value, (list, tuple)) and len(value) == 2 and all(map(is_number, value)) and value[0] < value[1]


def flatten_levels(levels: list[Tensor]) -> Tensor:
    """Maps (N, C, H_l, W_l) of the levels as (sum over l of N * H_l * W_l, C), level by level."""
    return torch.cat([level.permute(0, 2, 3, 1).flatten(0, 2) for level in levels])
