"""Validate arguments of constructors and options: a wrong type, or a value out of range, is one line."""
import math
from collections.abc import Sequence
from numbers import Integral, Number, Real
from typing import Any

from .errors import InputError, printable

MAX_SEED = 2**32 - 1
MAX_WORKERS = 256
MAX_CHANNELS = 8192


def require_number(name: str, value: Any, low: float, high: float = math.inf, whole: bool = False,
                   above: bool = False, unit: str = '') -> None:
    """Demand a finite number (no truth value, no NaN) from ``low`` to ``high``.

    Args:
        name: What it is, for the message: ``--option``, ``Class: argument``, or words.
        value: The value, Python's or NumPy's.
        low: Least value.
        high: Greatest value.
        whole: Demand an integer.
        above: Demand more than ``low``.
        unit: What is counted, for the message.

    Raises:
        InputError: If it is not.
    """
    is_one = is_whole(value) if whole else is_number(value)
    if is_one and low <= value <= high and not (above and value == low):
        return
    kind = f'a {"whole " if whole else ""}number{f" of {unit}" if unit else ""}'
    if above:
        end = '' if math.isinf(high) else f' and at most {high}'
        raise _refusal(name, value, f'above {low}{end}: {kind}')
    raise _refusal(name, value, f'{kind} of at least {low}' if math.isinf(high) else f'{kind} from {low} to {high}')


def _refusal(name: str, value: Any, words: str) -> InputError:
    if name.startswith('--'):
        return InputError(f'{name} {shown(value)}: give {words}')
    if ': ' in name:
        return InputError(f'{name}={shown(value)} must be {words}')
    return InputError(f'{name} is {shown(value)}; give {words}')


def require_range(name: str, value: Any, low: float, high: float, whole: bool = False) -> None:
    """Demand two such numbers, the lower end first.

    Raises:
        InputError: If they are not.
    """
    if isinstance(value, (str, bytes, dict, set)) or not hasattr(value, '__len__') or len(value) != 2:
        raise _refusal(name, value, 'two numbers, the lower end first')
    first, last = value
    require_number(name, first, low, high, whole)
    if not isinstance(last, Real) or not first <= last <= high:
        raise InputError(f'{name} is from {shown(first)} to {shown(last)}; give the lower end first, and no more than '
                         f'{high}')
    require_number(name, last, low, high, whole)


# --- Arguments of constructors ----------------------------------------------------------------------------------------


def require_whole(owner: str, low: int = 1, high: float = math.inf, **values: Any) -> None:
    """Demand integers from ``low`` to ``high``.

    Args:
        owner: Whose arguments they are, for the message.
        low: Least value.
        high: Greatest value.
        **values: Each by its name.

    Raises:
        InputError: If one is not.
    """
    for name, value in values.items():
        require_number(f'{owner}: {name}', value, low, high, whole=True)


def require_wholes(owner: str, low: int = 1, **values: Any) -> None:
    """Demand lists of integers of at least ``low``, none of them empty; see :func:`require_whole`."""
    for name, value in values.items():
        if not (isinstance(value, (list, tuple)) and value and all(is_whole(item) and item >= low for item in value)):
            raise InputError(f'{owner}: {name}={shown(value)} must be a list of whole numbers, each at least {low}')


def require_choice(owner: str, known: Sequence[Any], **values: Any) -> None:
    """Demand values that are among the known ones; see :func:`require_whole`."""
    for name, value in values.items():
        if not isinstance(value, type(known[0])) or value not in known:
            raise InputError(f'{owner}: {name}={shown(value)} must be one of {", ".join(map(repr, known))}')


def require_flags(owner: str, **values: Any) -> None:
    """Demand truth values, for a text such as 'False' counts as true everywhere; see :func:`require_whole`."""
    for name, value in values.items():
        if not isinstance(value, bool):
            raise InputError(f'{owner}: {name}={shown(value)} must be True or False')


def require_part(owner: str, optional: bool = False, **values: Any) -> None:
    """Demand configs with a ``type``, or None where it is optional; see :func:`require_whole`."""
    for name, value in values.items():
        if not (isinstance(value, dict) and 'type' in value or optional and value is None):
            end = ', or None' if optional else ''
            raise InputError(f'{owner}: {name}={shown(value)} must be a config, as dict(type=…){end}')


# --- Values -----------------------------------------------------------------------------------------------------------


def is_whole(value: Any) -> bool:
    """Whether a value is an integer, Python's or NumPy's, and no truth value."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether a value is a finite real number, Python's or NumPy's, and no truth value."""
    is_real = isinstance(value, Real) and not isinstance(value, bool)
    return is_real and -math.inf < value < math.inf


def shown_text(text: str, length: int = 60) -> str:
    """A text as :func:`shown` shows it, without quotes."""
    return printable(text) if len(text) <= length else f'{printable(text[:length - 1])}…'


def shown(value: Any, length: int = 60) -> str:
    """A value as a message shows it: on one line, printable, and no longer than ``length``."""
    try:
        # NumPy's numbers name their type in repr.
        text = str(value) if isinstance(value, Number) else repr(value)
    except (ValueError, RecursionError):  # Python writes out no integers of thousands of digits
        return 'a huge number' if isinstance(value, Number) else f'a {type(value).__name__} too large to show'
    text = printable(text[:length + 1])
    return text if len(text) <= length else f'{text[:length - 1]}…'
