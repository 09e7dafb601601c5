"""Reference exchange modules, plain formulas and loops: what the benchmark and the tests compare the fast ones with."""
from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor

from bafenet.models.exchange import ChannelExchange, DynamicChannelExchange, MLPAdapter
from bafenet.models.selective_kernel import SelectiveKernel


def plain_channel_exchange(module: ChannelExchange, x1: Tensor, x2: Tensor) -> tuple[Tensor, Tensor]:
    """:class:`ChannelExchange` (paper Eq. 4-7) whose scalar adapter builds its hidden layer.

    Args:
        module: Its weights are used; both directions share an :class:`MLPAdapter` of one number.
        x1: Features of the first task, float (N, C, H, W).
        x2: Features of the second task, the same shape.

    Returns:
        The features of both tasks after the exchange.
    """
    adapter, = cast(Iterable[MLPAdapter], module.adapters)
    index = torch.arange(0, x1.shape[1], module.exchanged[1].step, device=x1.device)
    adapted1, adapted2 = (adapter.layers(x.index_select(1, index).unsqueeze(-1)).squeeze(-1) for x in (x1, x2))
    return x1.index_copy(1, index, adapted2), x2.index_copy(1, index, adapted1)


def plain_dynamic_exchange(module: DynamicChannelExchange, x1: Tensor, x2: Tensor) -> tuple[Tensor, Tensor]:
    """:class:`DynamicChannelExchange` (the paper's later version), sample by sample.

    Args:
        module: Its weights are used; both directions share an :class:`MLPAdapter` over channels.
        x1: Features of the first task, float (N, C, H, W).
        x2: Features of the second task, the same shape.

    Returns:
        The features of both tasks after the exchange.
    """
    scores1, scores2 = _plain_scores(module, x1), _plain_scores(module, x2)
    pairs = [_exchange_sample(module, *sample) for sample in zip(x1, x2, scores1, scores2, strict=True)]
    return torch.stack([pair[0] for pair in pairs]), torch.stack([pair[1] for pair in pairs])


def plain_selective_kernel(module: SelectiveKernel, x: Tensor) -> Tensor:
    """:class:`SelectiveKernel` of ``x``, float (N, C, H, W), in the memory format that it comes in."""
    near = module.near(x)
    far = module.far(near)
    near, far = module.near_reduction(near), module.far_reduction(far)
    views = torch.cat([near, far], dim=1)
    summary = torch.cat([torch.mean(views, dim=1, keepdim=True), torch.max(views, dim=1, keepdim=True)[0]], dim=1)
    weights = torch.sigmoid(module.weighing(summary))
    return module.expansion(near * weights[:, 0:1] + far * weights[:, 1:2])


def _plain_scores(module: DynamicChannelExchange, x: Tensor) -> Tensor:
    with torch.set_grad_enabled(module.gate_learns and torch.is_grad_enabled()):
        return torch.sigmoid((x * plain_selective_kernel(module.gate, x)).mean(dim=(2, 3)))


def _exchange_sample(module: DynamicChannelExchange, x1: Tensor, x2: Tensor, scores1: Tensor,
                     scores2: Tensor) -> tuple[Tensor, Tensor]:
    """Exchange one sample's features (C, H, W), given the scores (C,) of its channels."""
    adapter, = cast(Iterable[MLPAdapter], module.adapters)
    best1, best2 = (torch.topk(scores, module.count).indices.sort().values for scores in (scores1, scores2))
    adapted = []
    for x, scores, best in ((x1, scores1, best1), (x2, scores2, best2)):
        chosen = x.index_select(0, best)
        if module.gate_learns:
            chosen = chosen * (scores[best] / scores[best].detach())[:, None, None]
        adapted.append(adapter.layers(chosen.flatten(1).T).T.unflatten(1, x.shape[1:]))
    return x1.index_copy(0, best1, adapted[1]), x2.index_copy(0, best2, adapted[0])
