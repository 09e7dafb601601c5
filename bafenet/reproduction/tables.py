"""The tables as data: titles, sources, the paper's numbers or our metrics, and the config of each row."""
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bafenet.engine.options import find_config
from bafenet.errors import InputError, printable
from bafenet.evaluation.report import ROWS as METRICS
from bafenet.fields import require_dict, require_list, require_numbers, require_text
from bafenet.plain_yaml import read_yaml

TABLES_FILE = 'configs/tables.yaml'
PROTOCOLS = ('paper', 'ours', 'demo')
TABLE_KEYS = ('title', 'source', 'rows', 'notes', 'metrics', 'protocols')
ROW_KEYS = ('name', 'label', 'config', 'paper', 'params', 'flops')
COLUMNS = ('mAP_07', 'recall_07', 'mAP_12', 'recall_12')
ROMAN = dict(zip('1234567', ('I', 'II', 'III', 'IV', 'V', 'VI', 'VII'), strict=True))


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        name: Its letter in the paper; may be empty.
        label: What it is.
        config: Config file, or None where it cannot be run here.
        paper: The paper's numbers by column, in [0, 1]; those that our copy lacks are absent.
    """

    name: str
    label: str
    config: str | None
    paper: dict[str, float]

    @property
    def title(self) -> str:
        """Name and label."""
        return f'{self.name} {self.label}'.strip()


@dataclass(frozen=True)
class Table:
    """A table of the paper, or one of our own.

    Attributes:
        key: Its name in the file, as in ``'III'``.
        title: What it shows.
        source: Where the paper has it, or what it is a table of.
        rows: Its rows.
        notes: What a reader must know.
        metrics: The columns of a table of our own, names of ``DenseSIRSTMetric``; empty for the paper's tables, whose
            columns are ``COLUMNS``.
        protocols: Protocols under which it makes sense, the usual one first.
    """

    key: str
    title: str
    source: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    metrics: tuple[str, ...] = ()
    protocols: tuple[str, ...] = PROTOCOLS

    @property
    def columns(self) -> tuple[str, ...]:
        """What its columns are called."""
        return self.metrics or COLUMNS


def select_tables(name: str, file: str = TABLES_FILE) -> list[Table]:
    """The tables that a name means.

    Args:
        name: A key of the file, in either case (``iii``), its number (``3``), or one of the file's ``groups``.
        file: YAML file, as ``configs/tables.yaml`` is written; ``configs/…`` is also looked for in the installed
            package.

    Raises:
        InputError: If the file cannot be read, there is no such table, or none of its rows can be run here.
    """
    content = _read(file)
    tables = {key: _table(file, key, body) for key, body in content['tables'].items()}
    groups = {**{key: [key] for key in tables}, **content.get('groups', {})}
    keys = {key.lower(): group for key, group in groups.items()}.get(ROMAN.get(name, name).lower())
    if keys is None:
        raise InputError(f'{printable(name)}: no such table; choose from {", ".join(groups)} (or 2 for II, and so on)')
    chosen = [tables[key] for key in keys]
    if not any(row.config for table in chosen for row in table.rows):
        raise InputError(f'{", ".join(keys)}: not here yet, no row has a config; the numbers are in {printable(file)}')
    return chosen


def choose_protocol(tables: Iterable[Table], protocol: str | None = None) -> str:
    """The protocol that is asked for, or else the usual one of the tables.

    Raises:
        InputError: If a table does not know it.
    """
    tables = list(tables)
    protocol = protocol or tables[0].protocols[0]
    for table in tables:
        if protocol not in table.protocols:
            raise InputError(f'{table.key}: no table of the protocol {protocol}; give --protocol '
                             f'{" or ".join(table.protocols)}')
    return protocol


def _read(file: str) -> dict:
    file = find_config(file)
    content = read_yaml(file)
    shown = printable(file)
    if not isinstance(content, dict) or not isinstance(content.get('tables'), dict):
        raise InputError(f'{shown}: no file of tables, it has no `tables`; see {TABLES_FILE}')
    if content.get('columns') != list(COLUMNS):
        raise InputError(f'{shown}: `columns` must be {list(COLUMNS)}, in this order')
    groups = content.get('groups', {})
    if not isinstance(groups, dict) or not all(keys and isinstance(keys, list) for keys in groups.values()):
        raise InputError(f'{shown}: `groups` must give a list of tables for each name')
    try:
        _refuse_unknown(content, ('columns', 'groups', 'tables'), 'it')
        for name in (*content['tables'], *groups):
            # A table's name is part of a file's.
            if not isinstance(name, str) or not re.fullmatch(r'[\w+-]{1,64}', name):
                raise ValueError(f'{name!r} is no name of a table: use letters, digits and _ + -, in quotes where it '
                                 'is a number')
    except ValueError as error:
        raise InputError(f'{shown}: not written as {TABLES_FILE} ({printable(error)})') from None
    for name, keys in groups.items():
        if unknown := [key for key in keys if not isinstance(key, str) or key not in content['tables']]:
            raise InputError(f'{shown}: `groups` has {", ".join(map(printable, unknown))} under {name}, which is no '
                             'table')
    return content


def _table(file: str, key: str, body: dict) -> Table:
    try:
        require_dict(body, 'it', ('title', 'source', 'rows'))
        _refuse_unknown(body, TABLE_KEYS, 'it')
        rows = tuple(_row(fields, f'rows[{i}]') for i, fields in enumerate(require_list(body['rows'], 'rows')))
        metrics = _known('metrics', body.get('metrics') or [], METRICS)
        if metrics and any(row.paper for row in rows):
            raise ValueError('a table with `metrics` has no numbers of the paper')
        notes = tuple(require_text(note, f'notes[{i}]')
                      for i, note in enumerate(require_list(body.get('notes') or [], 'notes')))
        return Table(key, require_text(body['title'], 'title'), require_text(body['source'], 'source'), rows, notes,
                     metrics, _known('protocols', body.get('protocols') or PROTOCOLS, PROTOCOLS))
    except ValueError as error:
        raise InputError(f'{printable(file)}: table {key} is not written as those of {TABLES_FILE} '
                         f'({printable(error)})') from error


def _refuse_unknown(content: dict, known: Sequence[str], name: str) -> None:
    unknown = [key for key in content if key not in known]
    if unknown:
        raise ValueError(f'{name} has {unknown[0]!r}, which is none of {", ".join(known)}')


def _known(what: str, names: Any, known: Iterable[str]) -> tuple[str, ...]:
    for name in require_list(names, what):
        if not isinstance(name, str) or name not in known:
            raise ValueError(f'{what}: {name!r} is none of {", ".join(known)}')
    return tuple(names)


def _row(fields: Any, place: str) -> Row:
    require_dict(fields, place, ('name', 'label'))
    _refuse_unknown(fields, ROW_KEYS, place)
    paper = {}
    if fields.get('paper') is not None:
        numbers = require_numbers(fields['paper'], f'{place}.paper', None, 0, 1)
        if len(numbers) != len(COLUMNS):
            raise ValueError(f'{place}.paper has {len(numbers)} numbers for {len(COLUMNS)} columns')
        paper = dict(zip(COLUMNS, map(float, numbers), strict=True))
    name, label, config = (require_text(fields.get(key), f'{place}.{key}', optional=key == 'config')
                           for key in ('name', 'label', 'config'))
    return Row(name, label, config, paper)
