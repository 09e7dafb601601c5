"""What crosses between the two tasks: adapters and the exchange of features (paper Section IV-B)."""
from typing import Optional, Tuple

import torch
import torch.nn as nn
from mmdet.registry import MODELS
from mmdet.utils import OptConfigType
from torch import Tensor

from bafenet.errors import InputError

from .piecewise import scalar_perceptron


@MODELS.register_module()
class MLPAdapter(nn.Module):
    """Perceptron that prepares features of one task for the other (paper Section IV-B, Table IV).

    The paper's version is a perceptron of one number, 1 -> ``hidden_channels`` -> 1, applied to every value alike.
    The paper's later version is a perceptron over channels, C -> ``hidden_channels`` -> C, applied at every position.
    Both are linear layers and no convolutions, so that the head's initialisation (std 0.01 for every Conv2d) leaves
    them with PyTorch's own: two layers of such small weights would erase what they pass on.

    Args:
        channels: Channels C of the features that are adapted.
        hidden_channels: Width of the hidden layer; 64 in the paper.
        mix_channels: False for the scalar perceptron, True for the one over channels.
    """

    def __init__(self, channels: int, hidden_channels: int = 64, mix_channels: bool = False) -> None:
        super().__init__()
        self.mix_channels = mix_channels
        width = channels if mix_channels else 1
        self.layers = nn.Sequential(nn.Linear(width, hidden_channels), nn.ReLU(), nn.Linear(hidden_channels, width))

    def forward(self, x: Tensor) -> Tensor:
        """Adapt ``x`` of shape (N, C, H, W), float; the result has the same shape."""
        if self.mix_channels:
            return self.layers(x.movedim(1, -1)).movedim(-1, 1)
        if torch.jit.is_tracing() or torch.compiler.is_compiling():
            # Counters, exporters and compilers see the perceptron itself.
            return self.layers(x.unsqueeze(-1)).squeeze(-1)
        inner, _, outer = self.layers
        return scalar_perceptron(x, inner.weight, inner.bias, outer.weight, outer.bias)


@MODELS.register_module()
class ChannelExchange(nn.Module):
    """Hard exchange of every (1 / ratio)-th channel between two tasks (paper Eq. 4-7).

    Channel ``i`` is exchanged where ``i mod (1 / ratio) = 0``. What is exchanged passes an adapter first; what
    stays is untouched. There are no mixing weights.

    Args:
        channels: Channels C of either input.
        ratio: Share p of the channels that is exchanged, in (0, 1]; ``1 / ratio`` must be an integer. 0.5 in the
            paper.
        adapter: Config of the adapter, which is built with the number of exchanged channels as ``channels``; None
            exchanges the features as they are.
        shared_adapter: One adapter for both directions, as in the paper, or one for each.

    Raises:
        InputError: If ``1 / ratio`` is not an integer between 1 and ``channels``.
    """

    def __init__(self,
                 channels: int,
                 ratio: float = 0.5,
                 adapter: OptConfigType = None,
                 shared_adapter: bool = True) -> None:
        super().__init__()
        self.step = self._step(channels, ratio)
        exchanged = len(range(0, channels, self.step))
        self.adapters = nn.ModuleList(
            self._build_adapter(adapter, exchanged) for _ in range(1 if shared_adapter else 2))

    @staticmethod
    def _step(channels: int, ratio: float) -> int:
        step = round(1 / ratio) if ratio > 0 else 0
        if not 1 <= step <= channels or abs(step * ratio - 1) > 1e-6:
            raise InputError(f'ratio={ratio}: 1 / ratio must be an integer from 1 to {channels}, the number of '
                             'channels, as in 1, 0.5, 0.25 (for no exchange set exchange=None)')
        return step

    @staticmethod
    def _build_adapter(adapter: Optional[dict], channels: int) -> nn.Module:
        return nn.Identity() if adapter is None else MODELS.build(dict(adapter, channels=channels))

    def forward(self, x1: Tensor, x2: Tensor) -> Tuple[Tensor, Tensor]:
        """Exchange channels.

        Args:
            x1: Features of the first task (classification), float, (N, C, H, W).
            x2: Features of the second task (segmentation), the same shape.

        Returns:
            The features of both tasks after the exchange, in the shape, dtype and memory format of the inputs.
        """
        y1, y2 = x1.clone(), x2.clone()
        y1[:, ::self.step] = self.adapters[0](x2[:, ::self.step]).to(y1.dtype)
        y2[:, ::self.step] = self.adapters[-1](x1[:, ::self.step]).to(y2.dtype)
        return y1, y2
