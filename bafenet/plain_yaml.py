"""Read YAML safely: small files of plain values, without aliases."""
import re
from typing import Any

import yaml

from .errors import InputError, printable
from .reading import PathLike, read_regular, reason_of

_MAX_BYTES = 2**18
_LEADING_ZERO = re.compile(r'[-+]?0[0-9_]+')


class _PlainYaml(yaml.SafeLoader):
    """YAML without aliases, which can say a billion things in ten lines, and with each key once."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise yaml.composer.ComposerError(None, None, f'*{event.anchor} is an alias, write out what it stands for',
                                              event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict:
        content = super().construct_mapping(node, deep)
        if len(content) < len(node.value):
            raise yaml.constructor.ConstructorError(None, None, 'a key stands there twice', node.start_mark)
        return content

    def construct_number(self, node: Any) -> int | float:
        # YAML reads 010 as 8 and 1:30 as 90, which no one who writes a setting means.
        if ':' in node.value or _LEADING_ZERO.fullmatch(node.value):
            raise yaml.constructor.ConstructorError(None, None, f'{node.value} is no decimal number; write it as one, '
                                                    'or as text in quotes', node.start_mark)
        return self.construct_yaml_int(node) if node.tag.endswith(':int') else self.construct_yaml_float(node)


for _kind in ('int', 'float'):
    _PlainYaml.add_constructor(f'tag:yaml.org,2002:{_kind}', _PlainYaml.construct_number)


def read_yaml(path: PathLike) -> Any:
    """Read a small YAML file (256 KiB) of plain values, without aliases.

    Raises:
        InputError: If it cannot be read, or is anything else.
    """
    try:
        return yaml.load(read_regular(path, _MAX_BYTES).decode('utf-8'), _PlainYaml)
    except RecursionError as error:
        raise InputError(f'{printable(path)}: no YAML file: it is nested too deeply; correct it') from error
    # A date that does not exist is a ValueError of its own.
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError(f'{printable(path)}: no YAML file: {_reason_of(error)}; correct it') from error


def _reason_of(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem and error.problem_mark:
        return f'line {error.problem_mark.line + 1}: {printable(error.problem)}'
    return reason_of(error)
