"""The text of ``--cfg-options``: keys, and values as numbers, text, lists and Python literals."""
import math
from typing import Any, NamedTuple

from mmengine.config import DictAction

from bafenet.arguments import shown, shown_text
from bafenet.errors import InputError, first_line, printable

from ..compat.config_text import parse_literal, require_plain

MAX_VALUE = 4096  # characters
MAX_BRACKETS = 8  # in one another


class Option(NamedTuple):
    """What is given for one key.

    Attributes:
        text: As it was written, for messages.
        value: What it was read as.
        verbatim: What it is as the name of a file or folder, which may look like a number or a list; None where
            ``value`` is no reading of a text.
    """

    text: str
    value: Any
    verbatim: str | None = None


def parse_options(options: list[str]) -> dict:
    """``KEY=VALUE`` strings as a dict; values are numbers, booleans, None, text, lists, tuples or dicts.

    Python literals are read as Python does wherever a quote or a dict is in them. Elsewhere names need no quotes,
    ``1,2`` is a list, and ``(1)`` a tuple of one.

    Raises:
        InputError: If an option is not of this form, or two of them contradict each other.
    """
    return {key: option.value for key, option in split_options(options).items()}


def split_options(options: list[str]) -> dict[str, Option]:
    """What each ``KEY=VALUE`` gives, by its key.

    Raises:
        InputError: As :func:`parse_options`.
    """
    values: dict[str, Option] = {}
    for option in options:
        key, separator, text = option.partition('=')
        name = f'--cfg-options {shown_text(option)}'
        if not key or not separator:
            raise InputError(f'{name}: must be KEY=VALUE')
        if not is_key(key):
            raise InputError(f'{name}: the key has an empty part or blanks around it; write it as '
                             'model.backbone.depth')
        if key in values and values[key].text != text:
            raise InputError(f'{name}: {printable(key)}={shown_text(values[key].text)} is given too; give one of them')
        values[key] = _read(name, text)
    return values


def is_key(key: str) -> bool:
    """Whether a text is a dotted key: no part is empty, no blanks around it."""
    return all(key.split('.')) and key == key.strip()


def as_option(key: str, value: Any) -> str:
    """The ``KEY=VALUE`` that is read as a value: the inverse of :func:`parse_options`, not quoted for a shell.

    Args:
        key: Dotted key.
        value: Plain Python value.

    Raises:
        InputError: If no text is read as it: it is no plain value, NaN within a dict, or longer than an option may be.
    """
    texts = [value] if isinstance(value, str) else []
    texts.append('nan' if isinstance(value, float) and math.isnan(value) else _literal(value))
    for text in texts:
        try:
            read = _read('', text)
        except InputError:
            continue
        # 1 == 1.0 == True, and none is the other.
        if repr(read.value) == repr(value) and (not isinstance(value, str) or read.verbatim == value):
            return f'{key}={text}'
    raise InputError(f'{printable(key)}={shown(value)} cannot be written as an option; write a config of your own')


def _literal(value: Any) -> str:
    """A value as Python text, infinity too."""
    if isinstance(value, float) and math.isinf(value):
        return '1e999' if value > 0 else '-1e999'
    if isinstance(value, dict):
        return f'{{{", ".join(f"{name!r}: {_literal(item)}" for name, item in value.items())}}}'
    if isinstance(value, list):
        return f'[{", ".join(map(_literal, value))}]'
    if isinstance(value, tuple):
        return f'({", ".join(map(_literal, value))}{"," if len(value) == 1 else ""})'
    return repr(value)


# --- Values -----------------------------------------------------------------------------------------------------------


def _read(name: str, text: str) -> Option:
    if len(text) > MAX_VALUE:
        raise InputError(f'{name}: the value has {len(text)} characters, of at most {MAX_VALUE}; write a config of '
                         'your own')
    stripped = text.strip()
    is_dict = stripped.lstrip('([').startswith(('{', 'dict('))
    if is_dict or {'"', "'", '{'} & set(stripped):
        try:
            value = _parse_literal(stripped)
            return Option(text, value, value if isinstance(value, str) else text.strip('\'"'))
        except (SyntaxError, ValueError, TypeError, AttributeError, RecursionError, MemoryError) as error:
            if is_dict:
                raise InputError(f"{name}: no Python literal, such as {{'max_norm': 35}} with names and text in quotes "
                                 f'({type(error).__name__}: {first_line(error).split(" on line ")[0]})') from error
    _require_balanced(name, text)
    return Option(text, _parse_part(name, text), text.strip('\'"'))


def _parse_literal(text: str) -> Any:
    """A Python literal; values at the top that commas part are a list, as elsewhere in options.

    Raises:
        ValueError: Or another of those of Python's parser, if it is none, or no plain value.
    """
    items = parse_literal(f'[{text}]')
    if type(items) is not list or not items:
        raise ValueError('not one value')
    require_plain(items)
    return items[0] if len(items) == 1 and not text.endswith(',') else items


def _parse_part(name: str, text: str) -> Any:
    """The grammar of mmengine (``1``, ``[1,(2,a)]``, ``1,2``), but blanks in text stay, as those in a path."""
    text = text.strip('\'" ')
    parts = _split_at_commas(text)
    if len(parts) == 1 and text[:1] + text[-1:] in ('()', '[]'):
        items = [_parse_part(name, part) for part in _without_last_blank(_split_at_commas(text[1:-1]))]
        return tuple(items) if text[0] == '(' else items
    if len(parts) > 1:
        return [_parse_part(name, part) for part in _without_last_blank(parts)]
    value = DictAction._parse_int_float_bool(text)
    if isinstance(value, int) and abs(value) >= 2**63:
        raise InputError(f'{name}: the number has more than 64 bits')
    return value


def _split_at_commas(text: str) -> list[str]:
    """The parts of a text between the commas outside of brackets."""
    parts, start, depth = [], 0, 0
    for place, sign in enumerate(text):
        depth += (sign in '([') - (sign in ')]')
        if sign == ',' and depth == 0:
            parts.append(text[start:place])
            start = place + 1
    return [*parts, text[start:]]


def _without_last_blank(parts: list[str]) -> list[str]:
    return parts if parts[-1].strip() else parts[:-1]


def _require_balanced(name: str, text: str) -> None:
    opened: list[str] = []
    for sign in text:
        if sign in '([':
            opened.append(sign)
        elif sign in ')]' and (not opened or opened.pop() + sign not in ('()', '[]')):
            opened.append('')
            break
        if len(opened) > MAX_BRACKETS:
            raise InputError(f'{name}: more than {MAX_BRACKETS} brackets in one another')
    if opened:
        raise InputError(f'{name}: Imbalanced brackets; close each that is opened')
