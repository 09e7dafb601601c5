"""Validate the fields of a JSON or YAML file or a checkpoint (numbers, texts, lists): an error names the field."""
import re
from collections.abc import Sequence
from typing import Any, Literal, overload

import numpy as np

from .arguments import shown
from .errors import InputError, printable

# Beyond this a coordinate or a metric is a mistake, and its square no float32.
_LARGEST = 1e9
_KEY = re.compile(r'[\w+-]{1,64}')


def require_dict(value: Any, name: str, keys: Sequence[str] = ()) -> dict:
    """``value`` if it is a dict with text as keys, these among them.

    Raises:
        InputError: If it is not.
    """
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise _wrong(name, 'an object with names', value)
    absent = [key for key in keys if key not in value]
    if absent:
        raise InputError(f'{printable(name)} has no {", ".join(absent)}')
    return value


def require_list(value: Any, name: str) -> list:
    """``value`` if it is a list (or tuple).

    Raises:
        InputError: If it is not.
    """
    if not isinstance(value, (list, tuple)):
        raise _wrong(name, 'a list', value)
    return list(value)


@overload
def require_text(value: Any, name: str, optional: Literal[False] = False) -> str: ...


@overload
def require_text(value: Any, name: str, optional: bool) -> str | None: ...


def require_text(value: Any, name: str, optional: bool = False) -> str | None:
    """``value`` if it is text, or None where that is allowed.

    Raises:
        InputError: If it is neither.
    """
    if not isinstance(value, str) and not (optional and value is None):
        raise _wrong(name, 'text', value)
    return value


def require_number(value: Any, name: str, low: float = -_LARGEST, high: float = _LARGEST) -> float:
    """``value`` if it is a number, bounds included; True and False are not numbers here.

    Raises:
        InputError: If it is not.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise _wrong(name, f'a number from {low:g} to {high:g}', value)
    return value


def require_key(value: Any, name: str) -> str:
    """``value`` if it is a name of 1 to 64 letters, digits and _ + -, which may be a part of a file's name.

    Raises:
        InputError: If it is not.
    """
    key = require_text(value, name)
    if not _KEY.fullmatch(key):
        raise InputError(f'{printable(name)}: {printable(repr(key))} is no key; use letters, digits and _ + -, in '
                         'quotes where it is a number')
    return key


@overload
def require_whole(value: Any, name: str, low: int = 0, high: int = 2**53,
                  optional: Literal[False] = False) -> int: ...


@overload
def require_whole(value: Any, name: str, low: int = 0, high: int = 2**53, *, optional: bool) -> int | None: ...


def require_whole(value: Any, name: str, low: int = 0, high: int = 2**53, optional: bool = False) -> int | None:
    """``value`` if it is a whole number, bounds included, or None where that is allowed.

    Raises:
        InputError: If it is neither.
    """
    if optional and value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise _wrong(name, f'a whole number from {low}', value)
    return value


def require_numbers(value: Any, name: str, columns: int | None = None, low: float = -_LARGEST,
                    high: float = _LARGEST, kinds: str = 'iuf') -> np.ndarray:
    """A list of numbers, or of rows of them, as an array.

    Args:
        value: What was read.
        name: Of the field.
        columns: Numbers in a row; None for a list of numbers.
        low: The least that is allowed.
        high: The most.
        kinds: The NumPy kinds that are allowed, ``'iuf'`` numbers, ``'iu'`` whole numbers, ``'b'`` booleans.

    Returns:
        (n, ) or (n, columns).

    Raises:
        InputError: If it is anything else.
    """
    rows = '' if columns is None else f' rows of {columns}'
    wanted = f'a list of{rows} {"booleans" if kinds == "b" else "whole numbers" if kinds == "iu" else "finite numbers"}'
    if not isinstance(value, list):
        raise _wrong(name, wanted, value)
    shape = (0, ) if columns is None else (0, columns)
    if not value:
        return np.zeros(shape, bool if kinds == 'b' else int if kinds == 'iu' else float)
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError):  # rows of several lengths
        raise InputError(f'{printable(name)} must be {wanted}') from None
    if array.dtype.kind not in kinds or array.ndim != len(shape) or array.shape[1:] != shape[1:]:
        raise InputError(f'{printable(name)} must be {wanted}')
    if kinds != 'b' and not (low <= array.min() and array.max() <= high):
        raise InputError(f'{printable(name)} must be {wanted} from {low:g} to {high:g}')
    return array


def summary(value: Any) -> str:
    """A value for a message, short: a number or text itself, and of anything else the type."""
    if value is None or isinstance(value, (str, int, float)):
        return shown(value, 40)
    return f'a {type(value).__name__}'


def _wrong(name: str, wanted: str, value: Any) -> InputError:
    return InputError(f'{printable(name)} must be {wanted} and is {summary(value)}')
