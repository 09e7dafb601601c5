"""NestedUNet: the network of SIRST-5K, DNA-Net's densely nested U-Net with ResNet-34, -18 or -10 blocks."""
from collections.abc import Iterator

import torch
from mmdet.registry import MODELS
from mmdet.utils import OptMultiConfig
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from bafenet.arguments import require_choice, require_flags, require_whole
from bafenet.errors import InputError

from .attention import ChannelAttention, SpatialAttention

# Channels of a row, finest first, and blocks of its nodes.
WIDTHS = (16, 32, 64, 128, 256)
BLOCKS = {10: (1, 1, 1, 1, 1), 18: (1, 2, 2, 2, 2), 34: (1, 3, 4, 6, 3)}
ROWS = len(WIDTHS)
# Sides that every row halves without a rest.
DIVISOR = 2**(ROWS - 1)


class AttentiveBlock(nn.Module):
    """Residual block: conv3 – BN – ReLU – conv3 – BN, channel and spatial attention, sum with the input, ReLU.

    Where channels change the input goes through a 1x1 convolution and BN.

    Args:
        in_channels: Channels of the input.
        channels: Channels of the result.
        attention: Whether it has the two attentions.
    """

    def __init__(self, in_channels: int, channels: int, attention: bool = True) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            nn.Conv2d(in_channels, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels))
        self.attention = nn.Sequential(ChannelAttention(channels), SpatialAttention()) if attention else nn.Identity()
        self.shortcut = nn.Identity() if in_channels == channels else nn.Sequential(
            nn.Conv2d(in_channels, channels, 1), nn.BatchNorm2d(channels))

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, channels, H, W) of those of (N, in_channels, H, W)."""
        return F.relu(self.attention(self.convs(features)) + self.shortcut(features))


@MODELS.register_module()
class NestedUNet(BaseModule):
    """The network of SIRST-5K (Lu et al., 2024), which is that of DNA-Net (Li et al., 2023) with ResNet-34 blocks.

    Nodes (r, c) stand in rows r = 0 … 4 of 16, 32, 64, 128, 256 channels, at 1 to 1/16 of the input, and columns
    c = 0 … 4 − r. Node (r, 0) takes (r − 1, 0) pooled by 2x2; node (r, c) all nodes (r, 0) … (r, c − 1), node
    (r + 1, c − 1) enlarged twice and, below the first row, node (r − 1, c) halved, both bilinearly. The last node of
    each row, brought to 16 channels and to the input's size, joins the last one of row 0 in one more block.

    Parameters as released: 8,792,702 with ``depth=34`` (the paper's 8.79 M), 4,696,888 with 18, 2,612,196 with 10.

    Args:
        depth: 34, 18 or 10: 1, 3, 4, 6, 3 blocks a node by row, 1, 2, 2, 2, 2 or one each.
        attention: Channel and spatial attention in every block, the paper's AFF; without, 8,731,268 parameters.
        nested: False leaves columns 0 and the last alone, a plain U-Net of the same blocks with one output: node
            (r, 4 − r) takes (r, 0) and (r + 1, 3 − r); 7,972,079 parameters, and 7,914,961 without attention.
        in_channels: Channels of the input: 3, or 1 for grey.
        init_cfg: Initialisation; by default of the release, Xavier's with a normal distribution.

    Raises:
        InputError: If an argument is not one of these.
    """

    def __init__(self,
                 depth: int = 34,
                 attention: bool = True,
                 nested: bool = True,
                 in_channels: int = 3,
                 init_cfg: OptMultiConfig = dict(type='Xavier', layer='Conv2d', distribution='normal')) -> None:
        super().__init__(init_cfg)
        require_choice('NestedUNet', tuple(BLOCKS), depth=depth)
        require_flags('NestedUNet', attention=attention, nested=nested)
        require_whole('NestedUNet', in_channels=in_channels)
        self.nested, self.in_channels = nested, in_channels
        self.nodes = nn.ModuleDict({
            f'{row}_{column}': _node(self._channels_before(row, column), WIDTHS[row], BLOCKS[depth][row], attention)
            for row, column in self._places()})
        finest = WIDTHS[0]
        if nested:
            self.laterals = nn.ModuleList(nn.Conv2d(width, finest, 1) for width in WIDTHS[1:])
            self.join = _node(finest * ROWS, finest, 1, attention)
        self.heads = nn.ModuleList(nn.Conv2d(finest, 1, 1) for _ in range(ROWS - 1 if nested else 1))

    def _places(self) -> Iterator[tuple[int, int]]:
        """Row and column of every node, each after those that it takes."""
        for column in range(ROWS):
            for row in range(ROWS - column):
                if self.nested or column in (0, ROWS - 1 - row):
                    yield row, column

    def _channels_before(self, row: int, column: int) -> int:
        """Channels that a node takes."""
        if column == 0:
            return self.in_channels if row == 0 else WIDTHS[row - 1]
        if not self.nested:
            return WIDTHS[row] + WIDTHS[row + 1]
        return column * WIDTHS[row] + WIDTHS[row + 1] + (WIDTHS[row - 1] if row else 0)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Logits of each pixel to be a target's.

        Args:
            images: float (N, in_channels, H, W), H and W multiples of 16.

        Returns:
            Four maps (N, 1, H, W), of nodes (0, 1), (0, 2), (0, 3) and of the joined features, which is the
            prediction; of a network that is not nested one.

        Raises:
            InputError: If a side is no multiple of 16.
        """
        height, width = images.shape[-2:]
        if height % DIVISOR or width % DIVISOR:
            raise InputError(f'NestedUNet: the input has {width}x{height} pixels, and its sides must be multiples of '
                             f'{DIVISOR}: set model.data_preprocessor.pad_size_divisor={DIVISOR}')
        features: dict[tuple[int, int], Tensor] = {}
        for row, column in self._places():
            features[row, column] = self.nodes[f'{row}_{column}'](self._input(features, row, column, images))
        if not self.nested:
            return [self.heads[0](features[0, ROWS - 1])]
        last = [_resize(lateral(features[row, ROWS - 1 - row]), 2**row)
                for row, lateral in enumerate(self.laterals, start=1)]
        joined = self.join(torch.cat((*last[::-1], features[0, ROWS - 1]), dim=1))
        outputs = [*(features[0, column] for column in range(1, ROWS - 1)), joined]
        return [head(output) for head, output in zip(self.heads, outputs, strict=True)]

    def _input(self, features: dict[tuple[int, int], Tensor], row: int, column: int, images: Tensor) -> Tensor:
        """What a node takes."""
        if column == 0:
            return images if row == 0 else F.max_pool2d(features[row - 1, 0], 2)
        parts = [features[row, before] for before in range(column if self.nested else 1)]
        parts.append(_resize(features[row + 1, column - 1], 2))
        if self.nested and row:
            parts.append(_resize(features[row - 1, column], 0.5))
        return torch.cat(parts, dim=1)


def _node(in_channels: int, channels: int, count: int, attention: bool) -> nn.Sequential:
    """A row's blocks, the first of which takes ``in_channels``."""
    return nn.Sequential(*(AttentiveBlock(channels if i else in_channels, channels, attention) for i in range(count)))


def _resize(features: Tensor, factor: float) -> Tensor:
    return F.interpolate(features, scale_factor=factor, mode='bilinear', align_corners=True)
