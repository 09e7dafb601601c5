"""Checks of arguments: a value of a wrong type or out of range is answered in one line that names it."""
from numbers import Integral, Real
from typing import Any

from .errors import InputError, printable

MAX_SEED = 2**32 - 1
MAX_WORKERS = 256


def require_number(name: str, value: Any, low: float, high: float, whole: bool = False) -> None:
    """Demand a number (no truth value, no NaN) from ``low`` to ``high``.

    Args:
        name: What it is, for the message: an argument's name or an option.
        value: The value.
        low: Least value.
        high: Greatest value.
        whole: Demand an integer.

    Raises:
        InputError: If it is none.
    """
    kind = Integral if whole else Real
    if isinstance(value, bool) or not isinstance(value, kind) or not low <= value <= high:
        given = f'{name} {shown(value)}:' if name.startswith('--') else f'{name} is {shown(value)};'
        raise InputError(f'{given} give {"a whole number" if whole else "a number"} from {low} to {high}')


def require_range(name: str, value: Any, low: float, high: float, whole: bool = False) -> None:
    """Demand two such numbers, the lower end first.

    Raises:
        InputError: If they are none.
    """
    if isinstance(value, (str, bytes, dict, set)) or not hasattr(value, '__len__') or len(value) != 2:
        raise InputError(f'{name} is {shown(value)}; give two numbers, the lower end first')
    first, last = value
    require_number(name, first, low, high, whole)
    if not isinstance(last, Real) or not first <= last <= high:
        raise InputError(f'{name} is from {shown(first)} to {shown(last)}; give the lower end first, and no more than '
                         f'{high}')
    require_number(name, last, low, high, whole)


def require_flags(owner: str, **flags: Any) -> None:
    """Demand truth values.

    Args:
        owner: Whose arguments they are, for the message.
        **flags: Each by its name.

    Raises:
        InputError: If one is none; a text such as 'False' counts as true everywhere.
    """
    for name, value in flags.items():
        if not isinstance(value, bool):
            raise InputError(f'{owner}: {name}={shown(value)} must be True or False')


def shown(value: Any) -> str:
    """A value for a message: printable and short."""
    try:
        text = printable(repr(value) if isinstance(value, str) else value)
    except ValueError:  # Python writes out no integers of thousands of digits
        text = 'a huge number'
    return text if len(text) <= 60 else f'{text[:60]}…'
