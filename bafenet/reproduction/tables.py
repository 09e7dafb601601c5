"""The tables of ``configs/tables``: all of them, those that a name means, and a row by its key."""
import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path

from bafenet.engine.options import PACKAGED_CONFIGS
from bafenet.errors import InputError, printable
from bafenet.plain_yaml import read_yaml

from .table import Row, Table, parse_table

TABLES_FOLDER = 'configs/tables'
ROMAN = dict(zip('1234567', ('I', 'II', 'III', 'IV', 'V', 'VI', 'VII'), strict=True))


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
        table = parse_table(file, content)
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
        if _what_is_run(first) != _what_is_run(row):
            raise InputError(f'{row.place}: {printable(first.file)} has another row of this key; give each its own')


def _what_is_run(row: Row) -> tuple:
    return row.base, row.set, row.tests, row.method
