"""Depthwise separable convolution as a convolution layer of mmcv: ``conv_cfg=dict(type='SeparableConv2d')``."""
from mmdet.registry import MODELS
from torch import Tensor, nn

from bafenet.arguments import require_whole


@MODELS.register_module()
class SeparableConv2d(nn.Module):
    """A convolution of each channel alone, then a 1x1 convolution over channels (MobileNet, Howard et al., 2017).

    At 32 channels it takes a seventh of the multiplications of a 3x3 convolution. Nothing stands between the two, so
    that it takes the place of a convolution wherever a ``conv_cfg`` is asked for. A kernel of 1x1 is a plain
    convolution.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the result.
        kernel_size: Side of the depthwise kernel.
        stride: Its stride.
        padding: Its padding.
        dilation: Its dilation.
        groups: 1; there are as many groups as channels.
        bias: Whether the 1x1 convolution has a bias.

    Raises:
        InputError: If ``groups`` is not 1, or a number of channels is not one.
    """

    transposed = False
    output_padding = (0, 0)

    def __init__(self,
                 in_channels: int,
                 out_channels: int,
                 kernel_size: int | tuple[int, int],
                 stride: int | tuple[int, int] = 1,
                 padding: int | tuple[int, int] = 0,
                 dilation: int | tuple[int, int] = 1,
                 groups: int = 1,
                 bias: bool = True) -> None:
        super().__init__()
        require_whole('SeparableConv2d', in_channels=in_channels, out_channels=out_channels)
        require_whole('SeparableConv2d', high=1, groups=groups)
        plain = kernel_size in (1, (1, 1))
        first = nn.Conv2d(in_channels, out_channels if plain else in_channels, kernel_size, stride, padding, dilation,
                          1 if plain else in_channels, plain and bias)
        self.depthwise = nn.Identity() if plain else first
        self.pointwise = first if plain else nn.Conv2d(in_channels, out_channels, 1, bias=bias)
        # What mmcv's ConvModule asks a convolution.
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size, self.stride, self.padding, self.dilation = (first.kernel_size, first.stride, first.padding,
                                                                      first.dilation)

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, out_channels, H', W') of ``x`` (N, in_channels, H, W), H' and W' as of ``nn.Conv2d``."""
        return self.pointwise(self.depthwise(x))
