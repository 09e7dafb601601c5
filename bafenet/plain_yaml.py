"""Read YAML safely: small files of plain values, without aliases."""
from typing import Any

import yaml

from .errors import InputError, printable
from .reading import PathLike, read_regular, reason_of

_MAX_BYTES = 2**18


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
