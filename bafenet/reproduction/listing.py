"""What tables there are, and the rows of one: what ``tools/reproduce.py --list`` prints."""
from collections.abc import Iterable, Sequence

from bafenet.errors import printable

from .table import Table
from .tables import find_tables, read_tables


def describe_tables(name: str | None = None) -> str:
    """All tables as text, or with a name the rows of the tables that it means, one a line in columns.

    Args:
        name: As for :func:`~bafenet.reproduction.tables.select_tables`.

    Raises:
        InputError: If there is no such table, or a file is not written as a table.
    """
    if name is None:
        return _columns(('table', 'group', 'protocols', 'rows', 'title'), (
            (one.key, one.group, ', '.join(one.protocols), str(len(one.runnable)), one.title)
            for one in read_tables()))
    return '\n\n'.join(map(_describe_rows, find_tables(name)))


def _describe_rows(table: Table) -> str:
    protocols = ', '.join(table.protocols)
    head = f'{table.key}: {table.title} ({f"protocols: {protocols}" if protocols else "cannot be run here"})'
    return f'{printable(head)}\n{_columns(("key", "label"), ((row.key or "-", row.title) for row in table.rows))}'


def _columns(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows of cells in columns as wide as their longest cells."""
    cells = [head, *(tuple(map(printable, row)) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return '\n'.join('  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
                     for row in cells)
