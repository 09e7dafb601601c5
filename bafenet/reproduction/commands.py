"""A row of a table as the command of ``tools/train.py`` that trains it."""
import shlex
from collections.abc import Sequence

from bafenet.engine.option_text import as_option, split_options
from bafenet.engine.options import LOADERS

from .tables import Row


def train_command(row: Row, protocol: str, data: str | None = None, options: Sequence[str] = ()) -> str:
    """The command that trains a row's network with the row's settings, for a shell in the checkout.

    Args:
        row: The row.
        protocol: One of ``tables.PROTOCOLS``.
        data: Devkit, instead of the protocol's.
        options: ``KEY=VALUE`` options for every row; they come before what a row sets.

    Raises:
        InputError: If the row does not know the protocol, or an option is none.
    """
    base = row.base_of(protocol)
    given = split_options(list(options))
    own = [as_option(key, value) for key, value in row.set[protocol].items()
           if not any(f'{key}.'.startswith(f'{other}.') for other in given)]
    roots = [as_option(f'{loader}.dataset.data_root', data) for loader in LOADERS] if data else []
    changes = [*own, *roots, *options]
    return shlex.join(['python', 'tools/train.py', base, '--work-dir', work_dir(row, protocol),
                       *(['--cfg-options', *changes] if changes else [])])


def work_dir(row: Row, protocol: str) -> str:
    """Where ``tools/train.py`` trains a row, apart from the runs of ``tools/reproduce.py``."""
    return f'work_dirs/{protocol}/{row.key}'
