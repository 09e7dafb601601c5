"""Tables as data, one file each in ``configs/tables``: titles, the paper's numbers or our metrics, and what each row
trains: a config by protocol, and the settings that it changes there.
"""
import difflib
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bafenet.engine.options import PACKAGED_CONFIGS
from bafenet.errors import InputError, printable
from bafenet.evaluation.class_keys import split_class_key
from bafenet.evaluation.report import ROWS as METRICS
from bafenet.fields import require_dict, require_list, require_numbers, require_text
from bafenet.plain_yaml import read_yaml

TABLES_FOLDER = 'configs/tables'
PROTOCOLS = ('paper', 'ours', 'demo')
TABLE_KEYS = ('title', 'source', 'group', 'rows', 'notes', 'metrics', 'base')
ROW_KEYS = ('key', 'name', 'label', 'base', 'set', 'paper', 'params', 'flops')
COLUMNS = ('mAP_07', 'recall_07', 'mAP_12', 'recall_12')
ROMAN = dict(zip('1234567', ('I', 'II', 'III', 'IV', 'V', 'VI', 'VII'), strict=True))
# A key is part of a file's name.
_KEY = re.compile(r'[\w+-]{1,64}')

Settings = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        key: Its name on the command line, and that of the folder of its runs; may be empty where it is not run here.
        name: Its letter in the paper; may be empty.
        label: What it is.
        paper: The paper's numbers by column, in [0, 1]; those that our copy lacks are absent.
        base: The config file that it starts from by protocol; empty where it cannot be run here.
        set: What it changes there by protocol: settings by dotted key.
        file: The table's file.
    """

    key: str
    name: str
    label: str
    paper: dict[str, float]
    base: dict[str, str]
    set: dict[str, Settings]
    file: str = ''

    @property
    def title(self) -> str:
        """Name and label."""
        return f'{self.name} {self.label}'.strip()

    @property
    def place(self) -> str:
        """Where it stands, for messages."""
        return f'{printable(self.file)}: row {self.key}'

    def base_of(self, protocol: str) -> str:
        """The config that it starts from under a protocol.

        Raises:
            InputError: If it does not know the protocol.
        """
        if protocol not in self.base:
            raise InputError(f'{self.place}: it has no base for the protocol {printable(protocol)}; give --protocol '
                             f'{" or ".join(self.base)}')
        return self.base[protocol]


@dataclass(frozen=True)
class Table:
    """A table of the paper, or one of our own.

    Attributes:
        key: The name of its file, as in ``'III'``.
        title: What it shows.
        source: Where the paper has it, or what it is a table of.
        rows: Its rows.
        notes: What a reader must know.
        metrics: The columns of a table of our own, names of ``DenseSIRSTMetric``; empty for the paper's tables, whose
            columns are ``COLUMNS``.
        group: Name for several tables at once; may be empty.
    """

    key: str
    title: str
    source: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    group: str = ''

    @property
    def columns(self) -> tuple[str, ...]:
        """What its columns are called."""
        return self.metrics or COLUMNS

    @property
    def runnable(self) -> list[Row]:
        """The rows that can be run here."""
        return [row for row in self.rows if row.base]

    @property
    def protocols(self) -> tuple[str, ...]:
        """The protocols of its rows, the usual one first."""
        return tuple(self.runnable[0].base) if self.runnable else ()


# --- Choosing ---------------------------------------------------------------------------------------------------------


def select_tables(name: str) -> list[Table]:
    """The tables that a name means.

    Args:
        name: The name of a file of ``configs/tables``, in either case (``iii``), its number (``3``), a ``group`` of
            tables, or a file of one's own that ends in ``.yaml``. The folder is also looked for in the installed
            package.

    Raises:
        InputError: If a file cannot be read, there is no such table, or none of its rows can be run here.
    """
    chosen = find_tables(name)
    if not any(table.runnable for table in chosen):
        raise InputError(f'{", ".join(table.key for table in chosen)}: holds the paper\'s numbers alone, no row can be '
                         f'run here yet; they are in {TABLES_FOLDER}')
    return chosen


def find_tables(name: str) -> list[Table]:
    """The same, whether or not their rows can be run here; see :func:`select_tables`."""
    if name.endswith('.yaml'):
        return [read_table(name)]
    tables = read_tables()
    if chosen := _named(name, tables):
        return chosen
    names = [*(table.key for table in tables), *dict.fromkeys(table.group for table in tables if table.group)]
    raise InputError(f'{printable(name)}: no such table; choose from {", ".join(names)} (or 2 for II, and so '
                     'on), or give a file that ends in .yaml')


def _named(name: str, tables: Sequence[Table]) -> list[Table]:
    """The tables of a key, a number or a group; none where there is no such."""
    wanted = ROMAN.get(name, name).lower()
    return [table for table in tables if wanted == table.key.lower()] or [
        table for table in tables if wanted == table.group.lower() != '']


def choose_protocol(tables: Iterable[Table], protocol: str | None = None) -> str:
    """The protocol that is asked for, or else the usual one of the tables.

    Raises:
        InputError: If a table does not know it.
    """
    tables = [table for table in tables if table.runnable]
    protocol = protocol or tables[0].protocols[0]
    for table in tables:
        if protocol not in table.protocols:
            raise InputError(f'{table.key}: no table of the protocol {protocol}; give --protocol '
                             f'{" or ".join(table.protocols)}')
    return protocol


def find_row(key: str) -> Row:
    """The row of any table of ``configs/tables`` that can be run here and has this key.

    Raises:
        InputError: If there is none; keys that are close are given.
    """
    tables = read_tables()
    rows = {row.key: row for table in tables for row in table.runnable}
    if key not in rows and (named := _named(key, tables)):
        keys = dict.fromkeys(row.key for table in named for row in table.runnable)
        raise InputError(f'--row {printable(key)}: is a {"table" if len(named) == 1 else "group of tables"}, and no '
                         f'row; its rows: {", ".join(keys) or "none that can be run here"}')
    if key not in rows:
        close = difflib.get_close_matches(key, rows, n=3)
        hint = f'close: {", ".join(close)}' if close else f'the keys are in {TABLES_FOLDER}'
        raise InputError(f'--row {printable(key)}: no table has such a row; {hint}')
    return rows[key]


# --- Reading ----------------------------------------------------------------------------------------------------------


def read_tables() -> list[Table]:
    """All tables of ``configs/tables``, by name.

    Raises:
        InputError: If one is not written as it should be, or a key stands for two rows.
    """
    folder = Path(TABLES_FOLDER)
    folder = folder if folder.is_dir() else PACKAGED_CONFIGS / 'tables'
    tables = [read_table(str(file)) for file in sorted(folder.glob('*.yaml'))]
    _refuse_two_rows_of_a_key([row for table in tables for row in table.runnable])
    return tables


def read_table(file: str) -> Table:
    """A table from its file.

    Raises:
        InputError: If it cannot be read, or is not written as those of ``configs/tables``.
    """
    content = read_yaml(file)
    try:
        table = _table(file, content)
    except ValueError as error:
        raise InputError(f'{printable(file)}: not written as those of {TABLES_FOLDER} ({printable(error)})') from error
    keys = [row.key for row in table.rows if row.key]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice:
        raise InputError(f'{printable(file)}: two rows have the key {twice}; give each its own')
    return table


def _refuse_two_rows_of_a_key(rows: Iterable[Row]) -> None:
    """A run lies in the folder of its row's key, so that a key stands for one row, in whatever tables."""
    known: dict[str, Row] = {}
    for row in rows:
        first = known.setdefault(row.key, row)
        if (first.base, first.set) != (row.base, row.set):
            raise InputError(f'{row.place}: {printable(first.file)} has another row of this key; give each its own')


def _table(file: str, content: Any) -> Table:
    body = require_dict(content, 'it')
    _refuse_unknown(body, TABLE_KEYS, 'it')
    require_dict(body, 'it', ('title', 'source', 'rows'))
    base = None if body.get('base') is None else _by_protocol(body['base'], 'base')
    rows = tuple(_row(file, fields, f'rows[{i}]', base)
                 for i, fields in enumerate(require_list(body['rows'], 'rows')))
    names = body.get('metrics') or []
    of_classes = [name for name in names if isinstance(name, str) and split_class_key(name)]
    metrics = _known('metrics', names, [*METRICS, *of_classes])
    if metrics and any(row.paper for row in rows):
        raise ValueError('a table with `metrics` has no numbers of the paper')
    notes = tuple(_text(note, f'notes[{i}]') for i, note in enumerate(require_list(body.get('notes') or [], 'notes')))
    group = _key(body['group'], 'group') if body.get('group') is not None else ''
    table = Table(_key(Path(file).stem, "the file's name"), _text(body['title'], 'title'),
                  _text(body['source'], 'source'), rows, notes, metrics, group)
    for row in table.runnable:
        if set(row.base) != set(table.protocols):
            raise ValueError(f'row {row.key} has a base for {", ".join(row.base)}, and the first row for '
                             f'{", ".join(table.protocols)}')
    return table


def _row(file: str, fields: Any, place: str, base: dict[str, str] | None) -> Row:
    # A key that is misspelt is absent too; the misspelling is what to say.
    _refuse_unknown(require_dict(fields, place), ROW_KEYS, place)
    require_dict(fields, place, ('label', ))
    key = _key(fields['key'], f'{place}.key') if fields.get('key') is not None else ''
    if not key and ('base' in fields or 'set' in fields):
        raise ValueError(f'{place} has a {"base" if "base" in fields else "set"} and no key; give it one')
    own = _by_protocol(fields['base'], f'{place}.base') if 'base' in fields else base
    own = own if key and own else {}
    if 'set' in fields and not own:
        raise ValueError(f'{place} has a set and no base; give it, or the table, one')
    paper = {}
    if fields.get('paper') is not None:
        numbers = require_numbers(fields['paper'], f'{place}.paper', None, 0, 1)
        if len(numbers) != len(COLUMNS):
            raise ValueError(f'{place}.paper has {len(numbers)} numbers for {len(COLUMNS)} columns')
        paper = dict(zip(COLUMNS, map(float, numbers), strict=True))
    name = _text(fields.get('name', ''), f'{place}.name')
    return Row(key, name, _text(fields['label'], f'{place}.label'), paper, own,
               _settings(fields.get('set', {}), f'{place}.set', own), file)


def _by_protocol(value: Any, place: str) -> dict[str, str]:
    """Config files by protocol; one alone is that of ours."""
    files = {'ours': value} if isinstance(value, str) else require_dict(value, place)
    _refuse_unknown(files, PROTOCOLS, place)
    if not files:
        raise ValueError(f'{place} names no config; give one for each protocol, as ours: configs/….py')
    return {protocol: _text(file, f'{place}.{protocol}') for protocol, file in files.items()}


def _settings(value: Any, place: str, base: dict[str, str]) -> dict[str, Settings]:
    """Settings by dotted key for each protocol of ``base``, for all of them or each its own."""
    value = require_dict(value, place)
    if not any(key in PROTOCOLS for key in value):
        settings = dict.fromkeys(base, value)
    elif set(value) != set(base):
        raise ValueError(f'{place} is for {", ".join(value)}, and its base for {", ".join(base)}; give settings for '
                         'each of these, or for all of them at once')
    else:
        settings = {protocol: require_dict(own, f'{place}.{protocol}') for protocol, own in value.items()}
    for own in settings.values():
        for key, item in own.items():
            _require_plain(item, f'{place}: {key}')
    return settings


def _require_plain(value: Any, place: str) -> None:
    """Refuse what YAML reads as a date, bytes or a set, and numbers that no setting has."""
    if isinstance(value, (dict, list)):
        for item in require_dict(value, place).values() if isinstance(value, dict) else value:
            _require_plain(item, place)
    elif not isinstance(value, (str, int, float, type(None))) or isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f'{place} must be text, a finite number, a list or a dict, and is {printable(value)}')


def _refuse_unknown(content: dict, known: Sequence[str], name: str) -> None:
    unknown = [key for key in content if key not in known]
    if unknown:
        raise ValueError(f'{name} has {unknown[0]!r}, which is none of {", ".join(known)}')


def _known(what: str, names: Any, known: Iterable[str]) -> tuple[str, ...]:
    for name in require_list(names, what):
        if not isinstance(name, str) or name not in known:
            raise ValueError(f'{what}: {name!r} is none of {", ".join(known)}')
    return tuple(names)


def _text(value: Any, name: str) -> str:
    return require_text(value, name) or ''


def _key(value: Any, name: str) -> str:
    key = _text(value, name)
    if not _KEY.fullmatch(key):
        raise ValueError(f'{name}: {key!r} is no key; use letters, digits and _ + -, in quotes where it is a number')
    return key
