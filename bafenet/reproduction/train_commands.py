"""A row of a table as commands: ``tools/train.py`` that trains it, and ``tools/test.py`` for each of its tests."""
import shlex
from collections.abc import Sequence
from typing import Any

from bafenet.datasets.parts import Part, loader_parts
from bafenet.engine.option_text import as_option, split_options
from bafenet.engine.options import load_config
from bafenet.engine.silent_logging import quiet
from bafenet.errors import InputError
from bafenet_command import call_of

from .table import Row


def train_command(row: Row, protocol: str, data: str | None = None, options: Sequence[str] = ()) -> str:
    """The command that trains a row's network with the row's settings, for a shell in the checkout, or by ``bafenet``.

    Of a row with a classical method it is the one that measures it, by each rule.

    Args:
        row: The row.
        protocol: One of ``table.PROTOCOLS``.
        data: Devkit, instead of the protocol's.
        options: ``KEY=VALUE`` options, instead of what the row sets under the same keys.

    Raises:
        InputError: If the row does not know the protocol, or an option is none.
    """
    if row.method is not None:
        part = _parts(row, protocol, ['test'], options)[0]
        return _command('classical', ['measure', data or part.settings['data_root'], '--split',
                                      part.settings['ann_file'], '--methods', row.method.name])
    return _command('train', [row.base_of(protocol), '--work-dir', _work_dir(row, protocol, options)],
                    command_options(row, protocol, data, options))


def testing_commands(row: Row, protocol: str, data: str | None = None, options: Sequence[str] = ()) -> list[str]:
    """The commands that then test it, one for each of the row's tests; none where it is tested as its config says.

    Args:
        row: As of :func:`train_command`.
        protocol: Likewise.
        data: Likewise.
        options: Likewise.

    Raises:
        InputError: Likewise.
    """
    if not row.tests:
        return []
    folder = _work_dir(row, protocol, options)
    return [_command('test', [row.base_of(protocol), folder, '--out', f'{folder}/results_{test}.json'],
                     command_options(row, protocol, data, options, test)) for test in row.tests]


def _work_dir(row: Row, protocol: str, options: Sequence[str]) -> str:
    given = split_options(list(options))
    # Runs on other splits go to folders of their own, as with `train.py --splits`.
    return row_arguments(row, protocol)['default_work_dir'] + (f'_{given["splits"].text}' if 'splits' in given else '')


def _command(name: str, arguments: Sequence[str], changes: Sequence[str] = ()) -> str:
    tool = call_of(name)
    words = [*(['python'] if tool.endswith('.py') else []), *tool.split(), *arguments,
             *(['--cfg-options', *changes] if changes else [])]
    return ' '.join(map(_quoted, words))


def command_options(row: Row, protocol: str, data: str | None = None, options: Sequence[str] = (),
                    test: str | None = None) -> list[str]:
    """The ``--cfg-options`` of :func:`train_command`: those of the row that no other is given instead of, and these.

    Those of :func:`testing_commands` where a test is named.
    """
    roots = [as_option(f'{part.key}.data_root', data) for part in _parts(row, protocol)] if data else []
    given = [*roots, *options]
    keys = split_options(given)
    settings = {key: value for _, part in row.settings(protocol, test) for key, value in part.items()}
    own = [as_option(key, value) for key, value in settings.items()
           if not any(f'{key}.'.startswith(f'{other}.') for other in keys)]
    return [*own, *given]


def _parts(row: Row, protocol: str, loaders: Sequence[str] = ('train', 'val', 'test'),
           options: Sequence[str] = ()) -> list[Part]:
    """The datasets of a row."""
    with quiet():
        cfg = load_config(row.base_of(protocol), list(options), settings=[(row.place, row.set[protocol])])
    return [part for loader in loaders for part in loader_parts(cfg, loader)]


def _quoted(word: str) -> str:
    """A word for a shell; one with single quotes, as dicts have, in double ones where it can be."""
    return f'"{word}"' if "'" in word and not set('"$`\\!') & set(word) else shlex.quote(word)


def row_arguments(row: Row, protocol: str) -> dict[str, Any]:
    """``config``, ``settings`` and ``default_work_dir`` of :func:`bafenet.engine.train.train` for a row.

    Raises:
        InputError: If the row does not know the protocol, or is no network.
    """
    if row.method is not None:
        raise InputError(f'{row.place}: {row.method.name} is not trained; measure it by {call_of("classical")} measure '
                         f'--methods {row.method.name}')
    # Apart from the runs of tools/reproduce.py, which go on from what lies in their folders.
    return dict(config=row.base_of(protocol), settings=[(row.place, row.set[protocol])],
                default_work_dir=f'work_dirs/{protocol}/{row.key}')
