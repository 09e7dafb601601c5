"""Kinds of values that a setting of a config may have: numbers, choices, lists, text, parts."""
import math
from collections.abc import Callable
from typing import Any, NamedTuple

from mmdet.registry import MODELS

from bafenet.arguments import MAX_CHANNELS

MAX_SIDE = 16384  # pixels of an image's side


class Allowed(NamedTuple):
    """What a setting may be.

    Attributes:
        words: In words, after "must be".
        test: Whether a value, of any type, is allowed.
        example: One such value.
    """

    words: str
    test: Callable[[Any], bool]
    example: Any


def is_whole(value: Any) -> bool:
    """Whether a value is an int, and no bool."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether a value is a finite int or float, and no bool."""
    return is_whole(value) or isinstance(value, float) and math.isfinite(value)


def whole(low: int, high: int | None = None) -> Allowed:
    """Whole numbers from ``low`` to ``high``, without end where that is None."""
    words = f'a whole number of at least {low}' if high is None else f'a whole number from {low} to {high}'
    return Allowed(words, lambda value: is_whole(value) and low <= value <= (math.inf if high is None else high),
                   max(low, 1))


def number(low: float, high: float = math.inf, above: bool = False) -> Allowed:
    """Finite numbers from ``low`` to ``high``; with ``above``, not ``low`` itself."""
    start = f'above {low:g}' if above else f'of at least {low:g}'
    words = f'a finite number {start}' + (f' and at most {high:g}' if math.isfinite(high) else '')
    return Allowed(words, lambda value: is_number(value) and low <= value <= high and not (above and value == low),
                   1.0 if low < 1 <= high else high)


def choice(*values: Any) -> Allowed:
    """One of some values, of their very types."""
    # 1 == True, and neither is the other.
    return Allowed(f'one of {", ".join(map(str, values))}',
                   lambda value: any(value == item and type(value) is type(item) for item in values), values[0])


def list_of(item: Allowed, length: int | None = None, ascending: bool = False, empty: bool = False) -> Allowed:
    """A list or tuple of items, one or more where no ``length`` is given; ``empty`` allows none."""
    def test(value: Any) -> bool:
        return (isinstance(value, (list, tuple)) and (len(value) == length if length else empty or len(value) > 0)
                and all(map(item.test, value))
                and (not ascending or all(low < high for low, high in zip(value, value[1:], strict=False))))

    words = f'a list of {length or "one or more"} values{" in ascending order" if ascending else ""}, each {item.words}'
    return Allowed(words, test, [item.example] * (1 if ascending else length or 1))


def range_of(item: Allowed) -> Allowed:
    """Two items, the first not above the second."""
    return Allowed(f'two values (low, high) in this order, each {item.words}',
                   lambda value: list_of(item, 2).test(value) and value[0] <= value[1], [item.example] * 2)


def either(*kinds: Allowed) -> Allowed:
    """What one of some kinds allows."""
    return Allowed(', or '.join(kind.words for kind in kinds), lambda value: any(kind.test(value) for kind in kinds),
                   kinds[0].example)


FLAG = Allowed('True or False', lambda value: isinstance(value, bool), True)
TEXT = Allowed('text', lambda value: isinstance(value, str), '')
TEMPLATE = Allowed('a file name with one {}, which a number takes', lambda value: isinstance(value, str)
                   and value.count('{}') == 1 == value.count('{') and value.count('}') == 1 and '/' not in value,
                   'epoch_{}.pth')
NONE = Allowed('None', lambda value: value is None, None)
COUNT, INDEX = whole(1), whole(0)
SHARE, FACTOR, POSITIVE, FINITE = number(0, 1), number(0), number(0, above=True), number(-math.inf)
CHANNELS = whole(1, MAX_CHANNELS)
SIZE = list_of(whole(1, MAX_SIDE), 2)
SEED = either(whole(0, 2**32 - 1), NONE)
NETWORK = Allowed('the name of a registered network part', lambda value: isinstance(value, str)
                  and MODELS.get(value) is not None, 'lsk')
NAMES = either(TEXT, list_of(TEXT), NONE)
SETTINGS = Allowed('a dict of settings', lambda value: isinstance(value, dict), {})
PART = Allowed('a dict of settings with a type', lambda value: isinstance(value, dict) and 'type' in value, {})
PARTS = list_of(PART, empty=True)


def named(names: str, allowed: Allowed) -> dict[str, Allowed]:
    """One kind for several names, with spaces between them."""
    return dict.fromkeys(names.split(), allowed)
