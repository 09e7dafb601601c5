"""Predict in bfloat16: weights and features in half the memory, normalisation, scores and boxes in float32."""
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from ..arguments import require_choice
from ..errors import InputError
from ..models.exchange import MLPAdapter
from .mixed_precision import multiplies_bfloat16

PRECISIONS = ('float32', 'bfloat16')
# Layers of a detector that hold its weights; what stands beside them counts pixels and grey levels.
_PARTS = ('backbone', 'neck', 'bbox_head')


def set_precision(network: nn.Module, precision: str = 'float32') -> None:
    """Convert a network to predict in a precision, in place.

    In bfloat16 the normalised frame is converted before the backbone, and what the head predicts is float32 again
    before it becomes scores and boxes. A CPU that cannot multiply it emulates it, which is slower than float32; a
    warning says so.

    Args:
        network: A one-stage detector in eval mode, on its device, fused.
        precision: ``'float32'``, as it is, or ``'bfloat16'``.

    Raises:
        InputError: If there is no such precision, or the network is no one-stage detector.
    """
    require_choice('load', PRECISIONS, precision=precision)
    if precision == 'float32':
        return
    parts: list[Any] = [getattr(network, name, None) for name in _PARTS]
    if parts[0] is None or parts[2] is None:
        raise InputError(f"precision='bfloat16': {type(network).__name__} is no one-stage detector; take 'float32'")
    if next(network.parameters()).device.type == 'cpu' and not multiplies_bfloat16():
        print_log('precision bfloat16: this CPU emulates it, many times slower than float32', 'current', 30)
    for part in filter(None, parts):
        part.to(torch.bfloat16)
    for module in network.modules():
        if isinstance(module, MLPAdapter) and not module.mix_channels:
            # Its pieces lie closer than bfloat16 can tell apart.
            module.float()
    parts[0].register_forward_pre_hook(_to_bfloat16)


def _to_bfloat16(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(value.to(torch.bfloat16) for value in inputs)
