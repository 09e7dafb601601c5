"""Precision, derivatives and order of the operators: at least float32, no autocast, sums that can be repeated."""
import functools
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

Result = TypeVar('Result')


def at_least_float32(dtype: torch.dtype) -> torch.dtype:
    """float32 for half precision, any wider type as it is."""
    return torch.promote_types(dtype, torch.float32)


def widened(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Floating-point tensors in one type, their widest, float32 at least."""
    dtype = torch.float32
    for tensor in tensors:
        dtype = torch.promote_types(dtype, tensor.dtype)
    return tuple(tensor.to(dtype) for tensor in tensors)


def in_own_precision(operator: Callable[..., Result]) -> Callable[..., Result]:
    """An operator that autocast leaves alone, as it does compiled ones; its first argument is a tensor."""

    @functools.wraps(operator)
    def run(*args, **kwargs) -> Result:
        tensor = args[0] if args else next(iter(kwargs.values()))
        with torch.autocast(tensor.device.type, enabled=False):
            return operator(*args, **kwargs)

    return run


def must_repeat(tensor: Tensor) -> bool:
    """Whether PyTorch must add up in the same order each time, and torchvision's CUDA gradients would not."""
    return tensor.is_cuda and torch.are_deterministic_algorithms_enabled()


def gradients(function: Callable[..., Tensor], inputs: Sequence[Tensor], grad_output: Tensor) -> tuple[Tensor, ...]:
    """Gradients of a function with respect to all of its inputs.

    mmcv calls a backward operator with the forward one's inputs alone, so the function runs once more.

    Args:
        function: Differentiable in all inputs.
        inputs: Floating-point tensors.
        grad_output: The gradient of what ``function`` returns, of its shape.

    Returns:
        The gradients, of the shapes of ``inputs``; zeros of an input that does not count.
    """
    with torch.enable_grad():
        leaves = [tensor.detach().requires_grad_() for tensor in inputs]
        output = function(*leaves)
        if not output.requires_grad:
            return tuple(torch.zeros_like(leaf) for leaf in leaves)
        return torch.autograd.grad(output, leaves, grad_output.to(output.dtype), materialize_grads=True)
