"""Checks of the arguments that a user gives to a network's parts."""
import math
from typing import Any, Optional, Sequence

from bafenet.errors import InputError, printable

MAX_CHANNELS = 2**16


def require_whole(owner: str, low: int = 1, high: Optional[int] = None, **values: Any) -> None:
    """Refuse values that are no whole numbers, or out of range.

    Args:
        owner: Whose arguments they are, for the message.
        low: The least that is allowed.
        high: The most, or None.
        **values: Values by argument.

    Raises:
        InputError: If one is.
    """
    limit = f'at least {low}' if high is None else f'from {low} to {high}'
    for name, value in values.items():
        if not _is_whole(value) or value < low or (high is not None and value > high):
            raise InputError(f'{owner}: {name}={_shown(value)} must be a whole number, {limit}')


def require_wholes(owner: str, low: int = 1, **values: Any) -> None:
    """Refuse values that are no lists of whole numbers of at least ``low``, or empty; see :func:`require_whole`."""
    for name, value in values.items():
        if not _is_list(value) or not value or not all(_is_whole(item) and item >= low for item in value):
            raise InputError(f'{owner}: {name}={_shown(value)} must be a list of whole numbers, each at least {low}')


def require_number(owner: str, low: float = 0.0, what: str = 'a number', above: bool = False, **values: Any) -> None:
    """Refuse values that are no finite numbers, or too low.

    Args:
        owner: Whose arguments they are, for the message.
        low: The least that is allowed.
        what: In which unit they are, for the message.
        above: Whether ``low`` itself is not allowed.
        **values: Values by argument.

    Raises:
        InputError: If one is.
    """
    for name, value in values.items():
        if not is_number(value) or value < low or (above and value == low):
            limit = 'above' if above else 'at least'
            raise InputError(f'{owner}: {name}={_shown(value)} must be {limit} {low:g}: {what}, and finite')


def require_choice(owner: str, known: Sequence[Any], **values: Any) -> None:
    """Refuse values that are not among the known ones; see :func:`require_whole`."""
    for name, value in values.items():
        if not isinstance(value, type(known[0])) or value not in known:
            raise InputError(f'{owner}: {name}={_shown(value)} must be one of {", ".join(map(repr, known))}')


def require_flags(owner: str, **values: Any) -> None:
    """Refuse values that are neither True nor False; see :func:`require_whole`."""
    for name, value in values.items():
        if not isinstance(value, bool):
            raise InputError(f'{owner}: {name}={_shown(value)} must be True or False')


def require_part(owner: str, optional: bool = False, **values: Any) -> None:
    """Refuse values that are no configs with a ``type``, or None where it is optional; see :func:`require_whole`."""
    for name, value in values.items():
        if not (isinstance(value, dict) and 'type' in value or optional and value is None):
            end = ', or None' if optional else ''
            raise InputError(f'{owner}: {name}={_shown(value)} must be a config, as dict(type=…){end}')


def is_number(value: Any) -> bool:
    """Whether a value is a finite number, and no bool."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < math.inf


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def _shown(value: Any) -> str:
    text = printable(repr(value))
    return text if len(text) <= 60 else f'{text[:59]}…'
