"""AdditiveUNet: a small U-Net of residual blocks whose skips are added, for CPUs."""
from collections.abc import Sequence

from mmcv.cnn import ConvModule
from mmdet.models.backbones.resnet import BasicBlock
from mmdet.models.layers import ResLayer
from mmdet.registry import MODELS
from mmdet.utils import ConfigType, OptMultiConfig
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from bafenet.arguments import require_flags, require_part, require_whole, require_wholes
from bafenet.errors import InputError

# A head of one channel would get weights as large as its input from what convolutions get.
_INIT = dict(type='Kaiming', layer='Conv2d', override=dict(type='Normal', name='heads', std=0.01))

@MODELS.register_module()
class AdditiveUNet(BaseModule):
    """U-Net whose decoder adds features to the encoder's instead of concatenating them: half the convolutions' width.

    Rows at 1, 1/2, 1/4 … of the input are stages of ResNet's basic blocks; each but the first halves its input by a
    stride. On the way back a row's features are brought to the channels of the finer row by a 1x1 convolution,
    enlarged bilinearly, added to that row's, and go through one basic block.

    With the defaults and one channel it has 525,169 parameters and 1.70 G multiply-adds (of convolutions) at 256x256;
    with three 525,489 and 1.72 G.

    Args:
        widths: Channels of each row, finest first, at least two rows.
        blocks: Basic blocks of each row of the encoder.
        in_channels: Channels of the input: 3, or 1 for grey.
        deep_supervision: Give a map of every row of the decoder, for the loss, and not the finest alone.
        norm_cfg: Normalisation of all layers.
        init_cfg: Initialisation; by default Kaiming's, and heads that begin at 0.

    Raises:
        InputError: If the two lists do not have one entry a row each, or an argument is not one of these.
    """

    def __init__(self,
                 widths: Sequence[int] = (16, 24, 48, 64, 96),
                 blocks: Sequence[int] = (1, 2, 2, 2, 1),
                 in_channels: int = 3,
                 deep_supervision: bool = False,
                 norm_cfg: ConfigType = dict(type='BN'),
                 init_cfg: OptMultiConfig = _INIT) -> None:
        super().__init__(init_cfg)
        require_wholes('AdditiveUNet', widths=widths, blocks=blocks)
        require_whole('AdditiveUNet', in_channels=in_channels)
        require_flags('AdditiveUNet', deep_supervision=deep_supervision)
        require_part('AdditiveUNet', norm_cfg=norm_cfg)
        if not 2 <= len(widths) == len(blocks):
            raise InputError(f'AdditiveUNet: widths={widths} and blocks={blocks} must have one entry a row each, for '
                             'two rows or more')
        self.in_channels = in_channels
        before = (in_channels, *widths[:-1])
        self.encoder = nn.ModuleList(
            ResLayer(BasicBlock, inplanes, planes, count, stride=2 if row else 1, norm_cfg=norm_cfg)
            for row, (inplanes, planes, count) in enumerate(zip(before, widths, blocks, strict=True)))
        # From the coarsest row to the finest, as they are computed.
        coarse_to_fine = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.laterals = nn.ModuleList(ConvModule(coarse, fine, 1, norm_cfg=norm_cfg, act_cfg=None)
                                      for coarse, fine in coarse_to_fine)
        self.decoder = nn.ModuleList(ResLayer(BasicBlock, fine, fine, 1, norm_cfg=norm_cfg)
                                     for _, fine in coarse_to_fine)
        # Those of coarser rows than the first are for the loss.
        self.heads = nn.ModuleList(nn.Conv2d(fine, 1, 1)
                                   for _, fine in coarse_to_fine[0 if deep_supervision else -1:])

    def forward(self, images: Tensor) -> list[Tensor]:
        """Logits of each pixel to be a target's.

        Args:
            images: float (N, in_channels, H, W), of any size.

        Returns:
            Maps (N, 1, H, W), from the coarsest row's to the finest one's, which is the prediction; with
            ``deep_supervision`` of every row but the lowest, else one.
        """
        rows: list[Tensor] = []
        for stage in self.encoder:
            images = stage(rows[-1] if rows else images)
            rows.append(images)
        features, decoded = rows.pop(), []
        for lateral, stage in zip(self.laterals, self.decoder, strict=True):
            skip = rows.pop()
            features = stage(skip + _enlarge(lateral(features), skip))
            decoded.append(features)
        outputs = decoded[len(decoded) - len(self.heads):]
        return [_enlarge(head(output), decoded[-1]) for head, output in zip(self.heads, outputs, strict=True)]


def _enlarge(features: Tensor, like: Tensor) -> Tensor:
    size = like.shape[-2:]
    return features if features.shape[-2:] == size else F.interpolate(features, size, mode='bilinear')
