"""What a checkpoint may hold beyond tensors: the allow-list of ``torch.load(weights_only=True)``.

PyTorch refuses mmengine's own checkpoints otherwise. Allowed are the types in them, and nothing that a file could call.
"""
from collections.abc import Callable
from pickle import UnpicklingError
from typing import Any, NoReturn

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

# What NumPy pickles a number by; its module has another name in NumPy 1.
_scalar = np.float64().__reduce__()[0]
_NUMBERS = ('b1', 'u1', 'i4', 'i8', 'f4', 'f8')
_STATISTICS = ('min', 'max', 'mean', 'current')


def number_dtype(code: str, align: bool = False, copy: bool = True) -> np.dtype:
    """Stand in for ``numpy.dtype`` in a checkpoint: plain numbers alone.

    The dtype is NumPy's own instance and never a copy, because that instance ignores ``__setstate__``: a
    copy would take any fields and flags that a file gives it, pointers to objects among them.

    Raises:
        UnpicklingError: if ``code`` is not that of a plain number.
    """
    if code not in _NUMBERS:
        raise UnpicklingError(f'Unsupported GLOBAL numpy.dtype({code})')
    return np.dtype(code)


def empty_array(array_type: Any, shape: Any, code: Any) -> np.ndarray:
    """Stand in for NumPy's ``_reconstruct`` in a checkpoint: an empty array, to be filled by its state."""
    return np.empty(0, np.uint8)


def no_array(*args: Any) -> NoReturn:
    """Stand in for ``numpy.ndarray`` in a checkpoint, where it may be named but not called.

    ``ndarray((1,), 'O', data)`` would take the bytes of a file for the address of an object.
    """
    raise UnpicklingError('Unsupported GLOBAL numpy.ndarray (called)')


def history_method(owner: type, name: str) -> Callable:
    """Stand in for ``builtins.getattr`` in a checkpoint, by which ``HistoryBuffer`` names its four statistics.

    Raises:
        UnpicklingError: if anything else is asked for.
    """
    if owner is not HistoryBuffer or name not in _STATISTICS:
        raise UnpicklingError('Unsupported GLOBAL builtins.getattr')
    return getattr(HistoryBuffer, name)


def install() -> None:
    """Allow-list the types of ``HistoryBuffer`` and of NumPy numbers and arrays, under NumPy 1's and 2's names."""
    named: list[Any] = [(history_method, 'builtins.getattr'), (number_dtype, 'numpy.dtype'),
                        (no_array, 'numpy.ndarray')]
    for module in ('numpy.core.multiarray', 'numpy._core.multiarray'):
        named += [(empty_array, f'{module}._reconstruct'), (_scalar, f'{module}.scalar')]
    # A file can give these their state, but not name them: a name in a pickle ends at its line's end.
    filled: list[type] = [np.ndarray, *(type(np.dtype(code)) for code in _NUMBERS)]
    named += [(kind, f'{kind.__module__}.{kind.__name__}\n') for kind in filled]
    torch.serialization.add_safe_globals([HistoryBuffer, *named])
