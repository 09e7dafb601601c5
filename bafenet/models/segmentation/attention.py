"""Channel and spatial attention (CBAM, Woo et al., 2018), the attention feature fusion of SIRST-5K (Eq. 5 and 6)."""
import torch
from torch import Tensor, nn

from bafenet.arguments import require_whole


class ChannelAttention(nn.Module):
    """Weigh channels by σ(MLP(mean) + MLP(max)), both over all positions (Eq. 5); one perceptron C → C/r → C for both.

    Args:
        channels: Channels C of the features.
        reduction: r; the hidden layer has at least one channel.

    Raises:
        InputError: If an argument is no whole number of at least 1.
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        require_whole('ChannelAttention', channels=channels, reduction=reduction)
        hidden = max(channels // reduction, 1)
        self.perceptron = nn.Sequential(
            nn.Conv2d(channels, hidden, 1, bias=False), nn.ReLU(inplace=True),
            nn.Conv2d(hidden, channels, 1, bias=False))

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, C, H, W), weighed."""
        mean, largest = features.mean((2, 3), keepdim=True), features.amax((2, 3), keepdim=True)
        return features * torch.sigmoid(self.perceptron(mean) + self.perceptron(largest))


class SpatialAttention(nn.Module):
    """Weigh positions by σ(conv([mean, max])), both over the channels (Eq. 6).

    Args:
        kernel_size: Side of the convolution, odd.

    Raises:
        InputError: If it is no whole number of at least 1.
    """

    def __init__(self, kernel_size: int = 7) -> None:
        super().__init__()
        require_whole('SpatialAttention', kernel_size=kernel_size)
        self.conv = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, C, H, W), weighed."""
        pooled = torch.cat((features.mean(1, keepdim=True), features.amax(1, keepdim=True)), dim=1)
        return features * torch.sigmoid(self.conv(pooled))
