"""Backbones of fine stride for targets of three pixels: UnpooledResNet, CompactResNet."""
from collections.abc import Sequence

from mmcv.cnn import ConvModule
from mmdet.models.backbones import ResNet
from mmdet.models.backbones.resnet import BasicBlock
from mmdet.models.layers import ResLayer
from mmdet.registry import MODELS
from mmdet.utils import ConfigType, OptConfigType, OptMultiConfig
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from bafenet.arguments import require_part, require_whole, require_wholes
from bafenet.errors import InputError


@MODELS.register_module()
class UnpooledResNet(ResNet):
    """ResNet without the max pooling of its stem, so that the stages have strides 2, 4, 8, 16.

    FCOS learns a target only from points inside its box, and a box of 3x3 pixels always holds one of stride 2.

    Takes the arguments of mmdet's ``ResNet``.
    """

    def _make_stem_layer(self, in_channels: int, stem_channels: int) -> None:
        super()._make_stem_layer(in_channels, stem_channels)
        self.maxpool = nn.Identity()


@MODELS.register_module()
class CompactResNet(BaseModule):
    """ResNet of basic blocks whose widths and depths are free: detail at stride 2, context at the last, few weights.

    A ResNet doubles its width at each stage, so that the coarsest one, which here only separates sky from ground, holds
    three quarters of the weights, and the finest one, which must place a box to a quarter of a pixel, next to none.

    Args:
        stage_channels: Channels of each stage, finest first.
        stage_blocks: Basic blocks of each stage.
        dilations: Dilation of the first convolution of each block, by stage; more than 1 sees further at the same cost.
        out_indices: Stages whose features are given; None for all.
        stem_kernel: Side of the convolution that halves the image.
        stem_channels: Channels of a 3x3 convolution of stride 1 in front of it, which sees where between two points of
            stride 2 a target begins; None for none.
        in_channels: Channels of the image.
        conv_cfg: Convolutions of the blocks, such as ``dict(type='SeparableConv2d')``; None for plain ones.
        norm_cfg: Normalisation of all layers.
        init_cfg: Initialisation.

    Raises:
        InputError: If the three lists do not have one entry a stage each, or a value is not one of these.
    """

    def __init__(self,
                 stage_channels: Sequence[int] = (24, 32, 48, 96),
                 stage_blocks: Sequence[int] = (2, 2, 2, 1),
                 dilations: Sequence[int] = (1, 1, 1, 1),
                 out_indices: Sequence[int] | None = None,
                 stem_kernel: int = 5,
                 stem_channels: int | None = None,
                 in_channels: int = 3,
                 conv_cfg: OptConfigType = None,
                 norm_cfg: ConfigType = dict(type='BN'),
                 init_cfg: OptMultiConfig = None) -> None:
        super().__init__(init_cfg)
        require_part('CompactResNet', optional=True, conv_cfg=conv_cfg)
        require_wholes('CompactResNet', stage_channels=stage_channels, stage_blocks=stage_blocks, dilations=dilations)
        require_whole('CompactResNet', in_channels=in_channels)
        require_whole('CompactResNet', low=2, stem_kernel=stem_kernel)
        if stem_channels is not None:
            require_whole('CompactResNet', stem_channels=stem_channels)
        if out_indices is not None:
            require_wholes('CompactResNet', low=0, out_indices=out_indices)
            if max(out_indices) >= len(stage_channels):
                raise InputError(f'CompactResNet: out_indices={out_indices} must lie below {len(stage_channels)}, the '
                                 'number of stages')
        require_part('CompactResNet', norm_cfg=norm_cfg)
        if not len(stage_channels) == len(stage_blocks) == len(dilations):
            raise InputError(f'CompactResNet: stage_channels={stage_channels}, stage_blocks={stage_blocks} and '
                             f'dilations={dilations} must have one entry a stage each')
        self.out_indices = range(len(stage_channels)) if out_indices is None else out_indices
        halve = ConvModule(
            stem_channels or in_channels,
            stage_channels[0],
            stem_kernel,
            stride=2,
            padding=(stem_kernel - 1) // 2,
            norm_cfg=norm_cfg)
        # An even kernel would drop the last row of an odd image.
        self.multiple = 1 if stem_kernel % 2 else 2
        self.stem = halve if stem_channels is None else nn.Sequential(
            ConvModule(in_channels, stem_channels, 3, padding=1, norm_cfg=norm_cfg), halve)
        before = (stage_channels[0], *stage_channels[:-1])
        self.stages = nn.ModuleList(
            ResLayer(
                BasicBlock,
                inplanes,
                planes,
                num_blocks,
                stride=1 if i == 0 else 2,
                dilation=dilation,
                conv_cfg=conv_cfg,
                norm_cfg=norm_cfg) for i, (inplanes, planes, num_blocks, dilation) in enumerate(
                    zip(before, stage_channels, stage_blocks, dilations, strict=True)))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Features (N, C_i, H / 2^(i + 1), W / 2^(i + 1)), rounded up, of images (N, in_channels, H, W)."""
        height, width = images.shape[-2:]
        features = [self.stem(F.pad(images, (0, -width % self.multiple, 0, -height % self.multiple)))]
        for stage in self.stages:
            features.append(stage(features[-1]))
        return tuple(features[i + 1] for i in self.out_indices)
