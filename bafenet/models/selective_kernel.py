"""The selective-kernel module of the paper's later version: it refines features, and it gates their exchange."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor

from bafenet.arguments import require_whole
from bafenet.errors import InputError


@MODELS.register_module(name=['SelectiveKernel', 'lsk'])
class SelectiveKernel(BaseModule):
    """Two depthwise views of the features, weighed against each other at every position; no residual.

    A 5x5 depthwise convolution sees the target, a 7x7 one with dilation 3 on top of it sees 23x23 positions around.
    Each is reduced to C / 2 channels. Mean and maximum over all these channels pass a 7x7 convolution, whose two
    sigmoid maps weigh the views; their sum is widened to C again.

    Without a residual every convolution scales what passes, so they start from the initialisation that keeps a
    variance, and not from the head's (std 0.01), which would erase the features.

    Args:
        channels: Channels C of the features, even.

    Raises:
        InputError: If they are no even number.
    """

    def __init__(self, channels: int) -> None:
        require_whole('SelectiveKernel', low=2, channels=channels)
        if channels % 2:
            raise InputError(f'SelectiveKernel: channels={channels} must be even: set bbox_head.feat_channels so')
        super().__init__(init_cfg=dict(type='Kaiming', layer='Conv2d', mode='fan_in', nonlinearity='linear'))
        self.near = nn.Conv2d(channels, channels, 5, padding=2, groups=channels)
        self.far = nn.Conv2d(channels, channels, 7, padding=9, dilation=3, groups=channels)
        self.near_reduction = nn.Conv2d(channels, channels // 2, 1)
        self.far_reduction = nn.Conv2d(channels, channels // 2, 1)
        self.weighing = nn.Conv2d(2, 2, 7, padding=3)
        self.expansion = nn.Conv2d(channels // 2, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Refine ``x``, float (N, C, H, W); the result has its shape and memory format."""
        near, far = self._views(x)
        near, far = self.near_reduction(near), self.far_reduction(far)
        views = torch.cat((near, far), dim=1)
        summary = torch.cat((views.mean(1, keepdim=True), views.amax(1, keepdim=True)), dim=1)
        weight_near, weight_far = self.weighing(summary).sigmoid().split(1, dim=1)
        refined = self.expansion(near * weight_near + far * weight_far)
        return refined.contiguous(memory_format=memory_format(x))

    def _views(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if x.device.type != 'cpu' or torch.jit.is_tracing() or torch.compiler.is_compiling():
            near = self.near(x)
            return near, self.far(near)
        # The CPU's depthwise convolutions take a third of the time in this layout, and undilated.
        near = self.near(x.contiguous(memory_format=torch.channels_last))
        return near, convolve_by_phase(self.far, near)


def convolve_by_phase(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """A depthwise convolution with dilation d as one without.

    Rows and columns that do not lie a multiple of d apart never meet, so that each of the d * d grids is an image.

    Args:
        conv: Depthwise convolution with stride 1, square in all it does, that keeps the size.
        x: Features, float, (N, C, H, W); best in channels_last.

    Returns:
        What ``conv(x)`` gives, in channels_last.
    """
    batch, channels, height, width = x.shape
    step = conv.dilation[0]
    grids = F.pad(x, (0, -width % step, 0, -height % step)).permute(0, 2, 3, 1)
    grids = grids.unflatten(2, (-1, step)).unflatten(1, (-1, step)).permute(0, 2, 4, 1, 3, 5)
    images = grids.flatten(0, 2).permute(0, 3, 1, 2)
    padding = int(conv.padding[0]) // step
    images = F.conv2d(images, conv.weight, conv.bias, padding=padding, groups=channels)
    grids = images.permute(0, 2, 3, 1).unflatten(0, (batch, step, step)).permute(0, 3, 1, 4, 2, 5)
    result = grids.flatten(3, 4).flatten(1, 2).permute(0, 3, 1, 2)[..., :height, :width]
    return result.contiguous(memory_format=torch.channels_last)


def memory_format(x: Tensor) -> torch.memory_format:
    """``channels_last`` for a tensor (N, C, H, W) that lies so, else ``contiguous_format``."""
    lies_so = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return torch.channels_last if lies_so else torch.contiguous_format
