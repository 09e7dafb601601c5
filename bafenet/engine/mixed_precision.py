"""Mixed precision in bfloat16: training steps whose convolutions run in it, on a CPU or a GPU."""
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmdet.registry import OPTIM_WRAPPERS
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from torch import nn


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """Training steps whose convolutions run in bfloat16, on a CPU or a GPU; weights and their updates stay float32.

    bfloat16 has the range of float32, so that no loss needs a scale. A CPU that multiplies it in hardware (AVX512-BF16,
    AMX, or its like on ARM) takes a step in about 0.6 of the time; mmengine's ``AmpOptimWrapper`` refuses to run on
    one. On a CPU without, where it would only be slower, steps stay in float32 and a notice says so.

    Takes the arguments of mmengine's ``OptimWrapper``.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._on_cpu = multiplies_bfloat16()
        if not self._on_cpu and not torch.cuda.is_available():
            print_log('this CPU has no bfloat16 that PyTorch can use: steps are computed in float32', 'current')

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """The context of one forward pass of the network in training."""
        device = next(model.parameters()).device.type
        enabled = device != 'cpu' or self._on_cpu
        with super().optim_context(model), torch.autocast(device, torch.bfloat16, enabled=enabled):
            yield


def multiplies_bfloat16() -> bool:
    """Whether PyTorch multiplies bfloat16 in this CPU's hardware; elsewhere it emulates, slower than float32."""
    if not torch.backends.mkldnn.is_available():
        return False
    if platform.machine().lower() in ('x86_64', 'amd64'):
        # oneDNN's own answer is yes for all of AVX512, which it emulates with. Older PyTorch has not the questions.
        return any(getattr(torch.cpu, name, bool)() for name in ('_is_avx512_bf16_supported', '_is_amx_tile_supported'))
    supported = getattr(torch.ops.mkldnn, '_is_mkldnn_bf16_supported', bool)
    return supported()
