"""Feature exchange between the two tasks, and the adapters that what is exchanged passes (paper Section IV-B)."""
from typing import Any

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmdet.registry import MODELS
from mmdet.utils import ConfigType, OptConfigType
from mmengine.model import BaseModule, ModuleList
from torch import Tensor

from bafenet.arguments import MAX_CHANNELS, is_number, require_choice, require_flags, require_part, require_whole, shown
from bafenet.errors import InputError

from .piecewise import scalar_perceptron
from .selective_kernel import SelectiveKernel


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
        residual: Add what the perceptron gives to the features, and let it start with nothing: training begins with the
            plain exchange, and not with features that new weights have scrambled. Not in the paper.

    Raises:
        InputError: If a value is not one of these.
    """

    def __init__(self,
                 channels: int,
                 hidden_channels: int = 64,
                 mix_channels: bool = False,
                 residual: bool = False) -> None:
        super().__init__()
        require_whole('MLPAdapter', high=MAX_CHANNELS, channels=channels, hidden_channels=hidden_channels)
        require_flags('MLPAdapter', mix_channels=mix_channels, residual=residual)
        self.mix_channels = mix_channels
        self.residual = residual
        width = channels if mix_channels else 1
        self.layers = nn.Sequential(nn.Linear(width, hidden_channels), nn.ReLU(), nn.Linear(hidden_channels, width))
        if residual:
            for parameter in self.layers[-1].parameters():
                nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Adapt ``x`` of shape (N, C, H, W), float; the result has the same shape."""
        adapted = self._perceptron(x)
        return x + adapted if self.residual else adapted

    def _perceptron(self, x: Tensor) -> Tensor:
        inner: Any
        outer: Any
        inner, relu, outer = self.layers
        if self.mix_channels:
            # Linear layers at every position are 1x1 convolutions, which need no other layout.
            hidden = relu(F.conv2d(x, inner.weight[..., None, None], inner.bias))
            return F.conv2d(hidden, outer.weight[..., None, None], outer.bias)
        if torch.jit.is_tracing() or torch.compiler.is_compiling():
            # Counters, exporters and compilers see the perceptron itself.
            return self.layers(x.unsqueeze(-1)).squeeze(-1)
        return scalar_perceptron(x, inner.weight, inner.bias, outer.weight, outer.bias)


class _Exchange(BaseModule):
    """What all exchanges share: the adapters.

    Args:
        adapter: Config of the adapter; None exchanges the features as they are.
        channels: Channels that the adapter sees.
        shared_adapter: One adapter for both directions, as in the paper, or one for each.
    """

    def __init__(self, adapter: OptConfigType, channels: int, shared_adapter: bool) -> None:
        super().__init__()
        require_part(type(self).__name__, optional=True, adapter=adapter)
        require_flags(type(self).__name__, shared_adapter=shared_adapter)
        self.adapters = nn.ModuleList(
            nn.Identity() if adapter is None else MODELS.build(dict(adapter, channels=channels))
            for _ in range(1 if shared_adapter else 2))


class _AlternateExchange(_Exchange):
    """Hard exchange of every ``step``-th index along one dimension, the first one included."""

    def __init__(self, dim: int, step: int, adapter: OptConfigType, channels: int, shared_adapter: bool) -> None:
        super().__init__(adapter, channels, shared_adapter)
        self.exchanged = (slice(None), ) * dim + (slice(None, None, step), )

    def forward(self, x1: Tensor, x2: Tensor) -> tuple[Tensor, Tensor]:
        """Exchange features.

        Args:
            x1: Features of the first task (classification), float, (N, C, H, W).
            x2: Features of the second task (segmentation), the same shape.

        Returns:
            The features of both tasks after the exchange, in the shape, dtype and memory format of the inputs.
        """
        y1, y2 = x1.clone(), x2.clone()
        y1[self.exchanged] = self.adapters[0](x2[self.exchanged]).to(y1.dtype)
        y2[self.exchanged] = self.adapters[-1](x1[self.exchanged]).to(y2.dtype)
        return y1, y2


def _step(ratio: float) -> int:
    # Below a millionth no network has as many channels or columns.
    step = round(1 / ratio) if is_number(ratio) and ratio > 1e-6 else 0
    if step < 1 or abs(step * ratio - 1) > 1e-6:
        raise InputError(f'ratio={shown(ratio)}: 1 / ratio must be an integer as in 1, 0.5, 0.25 (for no exchange set '
                         'exchange=None)')
    return step


@MODELS.register_module()
class ChannelExchange(_AlternateExchange):
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
        InputError: If ``1 / ratio`` is not an integer from 1 to ``channels``.
    """

    def __init__(self,
                 channels: int,
                 ratio: float = 0.5,
                 adapter: OptConfigType = None,
                 shared_adapter: bool = True) -> None:
        require_whole('ChannelExchange', channels=channels)
        step = _step(ratio)
        if step > channels:
            raise InputError(f'ratio={ratio}: 1 / ratio must be at most {channels}, the number of channels')
        super().__init__(1, step, adapter, len(range(0, channels, step)), shared_adapter)


@MODELS.register_module()
class SpatialExchange(_AlternateExchange):
    """Hard exchange of every (1 / ratio)-th column between two tasks, as in Changer (paper Table V).

    Column ``j`` is exchanged where ``j mod (1 / ratio) = 0``, with all its channels and rows; else as
    :class:`ChannelExchange`.

    Args:
        channels: Channels C of either input; the adapter is built with them.
        ratio: Share of the columns that is exchanged, in (0, 1]; ``1 / ratio`` must be an integer.
        adapter: Config of the adapter; None exchanges the features as they are.
        shared_adapter: One adapter for both directions, or one for each.

    Raises:
        InputError: If ``1 / ratio`` is not an integer.
    """

    def __init__(self,
                 channels: int,
                 ratio: float = 0.5,
                 adapter: OptConfigType = None,
                 shared_adapter: bool = True) -> None:
        super().__init__(3, _step(ratio), adapter, channels, shared_adapter)


@MODELS.register_module()
class SequentialExchange(ModuleList):
    """Exchanges one after the other (paper Table V).

    Args:
        channels: Channels C of either input, passed on to each exchange.
        exchanges: Configs of the exchanges.

    Raises:
        InputError: If they are no list of configs.
    """

    def __init__(self, channels: int, exchanges: list[ConfigType]) -> None:
        if not isinstance(exchanges, (list, tuple)) or not exchanges:
            raise InputError('SequentialExchange: exchanges must be a list of configs of exchanges')
        require_part('SequentialExchange', **{f'exchanges.{i}': exchange for i, exchange in enumerate(exchanges)})
        super().__init__(MODELS.build(dict(exchange, channels=channels)) for exchange in exchanges)

    def forward(self, x1: Tensor, x2: Tensor) -> tuple[Tensor, Tensor]:
        """Exchange features, (N, C, H, W) each; the results have the shapes of the inputs."""
        for exchange in self:
            x1, x2 = exchange(x1, x2)
        return x1, x2


@MODELS.register_module()
class DynamicChannelExchange(_Exchange):
    """Hard exchange of the channels that a gate picks for each sample (the paper's later version).

    The gate A, shared by both tasks, scores the channels of each: ``s = sigmoid(GAP(x * A(x)))``. The ``ratio * C``
    best-scored channels of each task, in index order, are adapted and replace the other task's
    best-scored ones.

    A choice has no gradient. With ``gate='straight_through'`` the chosen channels are multiplied by
    ``s / s.detach()``: that is 1, and lets the scores learn. With ``'index'``, as in the paper's release, they
    never do.

    Args:
        channels: Channels C of either input.
        ratio: Share p of the channels that is exchanged, in (0, 1].
        adapter: Config of the adapter, which is built with the number of exchanged channels as ``channels``; None
            exchanges the features as they are.
        shared_adapter: One adapter for both directions, as in the paper, or one for each.
        gate: ``'straight_through'`` or ``'index'``.

    Raises:
        InputError: If ``ratio`` or ``gate`` is not one of these.
    """

    def __init__(self,
                 channels: int,
                 ratio: float = 0.5,
                 adapter: OptConfigType = None,
                 shared_adapter: bool = True,
                 gate: str = 'straight_through') -> None:
        require_whole('DynamicChannelExchange', channels=channels)
        count = round(ratio * channels) if is_number(ratio) else 0
        if not 1 <= count <= channels:
            raise InputError(f'ratio={shown(ratio)}: must be in (0, 1] and choose at least one of the {channels} '
                             'channels')
        require_choice('DynamicChannelExchange', ('straight_through', 'index'), gate=gate)
        super().__init__(adapter, count, shared_adapter)
        self.count = count
        self.gate = SelectiveKernel(channels)
        self.gate_learns = gate == 'straight_through'
        # Distributed training demands a gradient of every parameter that asks for one.
        self.gate.requires_grad_(self.gate_learns)

    def forward(self, x1: Tensor, x2: Tensor) -> tuple[Tensor, Tensor]:
        """Exchange features.

        Args:
            x1: Features of the first task (classification), float, (N, C, H, W).
            x2: Features of the second task (segmentation), the same shape.

        Returns:
            The features of both tasks after the exchange, in the shape, dtype and memory format of the inputs.
        """
        chosen1, features1 = self._take_best(x1)
        chosen2, features2 = self._take_best(x2)
        return (x1.index_put(chosen1, self.adapters[0](features2).to(x1.dtype)),
                x2.index_put(chosen2, self.adapters[-1](features1).to(x2.dtype)))

    def score_logits(self, x: Tensor) -> Tensor:
        """Scores s of the channels before their sigmoid, (N, C), for features (N, C, H, W)."""
        with torch.set_grad_enabled(self.gate_learns and torch.is_grad_enabled()):
            return (x * self.gate(x)).mean((2, 3))

    def _best(self, logits: Tensor) -> Tensor:
        """Index of the best-scored channels (N, ratio * C); of equal ones, as channels that are 0, the first."""
        if torch.onnx.is_in_onnx_export():
            return logits.topk(self.count, dim=1).indices  # ONNX takes the first too, PyTorch any
        return logits.sort(dim=1, descending=True, stable=True).indices[:, :self.count]

    def _take_best(self, x: Tensor) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """Index of the best-scored channels, and their features (N, ratio * C, H, W)."""
        logits = self.score_logits(x)
        best = self._best(logits).sort(dim=1).values
        index = torch.arange(x.shape[0], device=x.device)[:, None], best
        features = x[index]
        if self.gate_learns:
            # As s / s.detach(), but exactly 1 where s is too small to divide by.
            log_score = F.logsigmoid(logits[index])
            features = features * (1 + (log_score - log_score.detach())).to(x.dtype)[..., None, None]
        return index, features
