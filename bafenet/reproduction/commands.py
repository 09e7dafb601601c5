"""A row of a table as the command of ``tools/train.py`` that trains it."""
import shlex
from collections.abc import Sequence
from typing import Any

from bafenet.engine.option_text import as_option, split_options
from bafenet.engine.options import LOADERS

from .tables import Row, find_row


def train_command(row: Row, protocol: str, data: str | None = None, options: Sequence[str] = ()) -> str:
    """The command that trains a row's network with the row's settings, for a shell in the checkout.

    Args:
        row: The row.
        protocol: One of ``tables.PROTOCOLS``.
        data: Devkit, instead of the protocol's.
        options: ``KEY=VALUE`` options, instead of what the row sets under the same keys.

    Raises:
        InputError: If the row does not know the protocol, or an option is none.
    """
    base = row.base_of(protocol)
    roots = [as_option(f'{loader}.dataset.data_root', data) for loader in LOADERS] if data else []
    given = split_options([*roots, *options])
    own = [as_option(key, value) for key, value in row.set[protocol].items()
           if not any(f'{key}.'.startswith(f'{other}.') for other in given)]
    changes = [*own, *roots, *options]
    suffix = f'_{given["splits"].text}' if 'splits' in given else ''
    words = ['python', 'tools/train.py', base, '--work-dir', f'work_dirs/{name_of(row, protocol)}{suffix}',
             *(['--cfg-options', *changes] if changes else [])]
    return ' '.join(map(_quoted, words))


def train_arguments(key: str, protocol: str) -> dict[str, Any]:
    """``config``, ``settings`` and ``name`` for :func:`bafenet.engine.cli.train` that train the row of a key.

    Raises:
        InputError: If no table has such a row, or it does not know the protocol.
    """
    row = find_row(key)
    return dict(config=row.base_of(protocol), settings=[(row.place, row.set[protocol])], name=name_of(row, protocol))


def name_of(row: Row, protocol: str) -> str:
    """What a row that ``tools/train.py`` trains is called: the folder of its run below ``work_dirs``."""
    return f'{protocol}/{row.key}'


def _quoted(word: str) -> str:
    """A word for a shell; one with single quotes, as dicts have, in double ones where it can be."""
    return f'"{word}"' if "'" in word and not set('"$`\\!') & set(word) else shlex.quote(word)
