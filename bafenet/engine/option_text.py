"""The text of ``--cfg-options``: keys, and values as numbers, text and lists."""
from typing import Any

from mmengine.config import DictAction

from bafenet.arguments import shown
from bafenet.errors import InputError, printable

MAX_VALUE = 4096  # characters
MAX_BRACKETS = 8  # in one another


def parse_options(options: list[str]) -> dict:
    """``KEY=VALUE`` strings as a dict; values are numbers, booleans, None, lists, tuples or strings.

    Raises:
        InputError: If an option is not of this form, or two of them contradict each other.
    """
    return {key: value for key, (_, value) in split_options(options).items()}


def split_options(options: list[str]) -> dict[str, tuple[str, Any]]:
    """Text and value of each ``KEY=VALUE`` by its key.

    Raises:
        InputError: As :func:`parse_options`.
    """
    values: dict[str, tuple[str, Any]] = {}
    for option in options:
        key, separator, text = option.partition('=')
        name = f'--cfg-options {shown(option)[1:-1]}'
        if not key or not separator:
            raise InputError(f'{name}: must be KEY=VALUE')
        if not all(key.split('.')) or key != key.strip():
            raise InputError(f'{name}: the key has an empty part; write it as model.backbone.depth')
        if key in values and values[key][0] != text:
            raise InputError(f'{name}: {printable(key)}={shown(values[key][0])[1:-1]} is given too; give one of them')
        values[key] = text, _parse_value(name, text)
    for key in values:
        parts = key.split('.')
        above = next((one for i in range(1, len(parts)) if (one := '.'.join(parts[:i])) in values), None)
        if above is not None:
            raise InputError(f'--cfg-options {printable(key)}: {printable(above)} is given too, of which it is a part; '
                             'give one of them')
    return values


def _parse_value(name: str, text: str) -> Any:
    if len(text) > MAX_VALUE:
        raise InputError(f'{name}: the value has {len(text)} characters, of at most {MAX_VALUE}; write a config of '
                         'your own')
    if text.lstrip('\'" ').startswith(('{', 'dict(')):
        raise InputError(f'{name}: a dict cannot be given; set its parts, as optim_wrapper.clip_grad.max_norm=35')
    _require_balanced(name, text)
    return _parse_part(name, text)


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
