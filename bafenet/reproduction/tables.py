"""The tables as data: titles, sources, the paper's numbers, and the config of each row."""
from dataclasses import dataclass
from typing import Dict, List, Optional, Tuple

import yaml

from bafenet.engine.options import find_config
from bafenet.errors import InputError, first_line

TABLES_FILE = 'configs/paper_tables.yaml'
COLUMNS = ('mAP_07', 'recall_07', 'mAP_12', 'recall_12')
ROMAN = dict(zip('1234567', ('I', 'II', 'III', 'IV', 'V', 'VI', 'VII'), strict=True))
ALL = 'all'


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
    config: Optional[str]
    paper: Dict[str, float]

    @property
    def title(self) -> str:
        """Name and label."""
        return f'{self.name} {self.label}'.strip()


@dataclass(frozen=True)
class Table:
    """A table: its key (``'III'``), title, source, rows and notes."""

    key: str
    title: str
    source: str
    rows: Tuple[Row, ...]
    notes: Tuple[str, ...]


def select_tables(name: str, file: str = TABLES_FILE) -> List[Table]:
    """The tables that a name means.

    Args:
        name: A key of the file, in either case (``iii``), its number (``3``), or ``all``.
        file: YAML file, as ``configs/paper_tables.yaml`` is written; ``configs/…`` is also looked for in the installed
            package.

    Raises:
        InputError: If the file cannot be read, there is no such table, or none of its rows can be run here.
    """
    content = _read(file)
    tables = {key: _table(file, key, body) for key, body in content['tables'].items()}
    keys = {key.lower(): key for key in tables}
    if name.lower() == ALL and content.get('all'):
        return [tables[key] for key in content['all']]
    key = keys.get(ROMAN.get(name, name).lower())
    if key is None:
        known = [*tables, *([ALL] if content.get('all') else [])]
        raise InputError(f'{name}: no such table; choose from {", ".join(known)} (or 2 for II, and so on)')
    if not any(row.config for row in tables[key].rows):
        raise InputError(f'{key}: not here yet, no row of this table has a config; its numbers are in {file}')
    return [tables[key]]


def _read(file: str) -> dict:
    try:
        with open(find_config(file), encoding='utf-8') as stream:
            content = yaml.safe_load(stream)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f'{file}: no YAML file: {first_line(error)}') from error
    if not isinstance(content, dict) or not isinstance(content.get('tables'), dict):
        raise InputError(f'{file}: no file of tables, it has no `tables`; see {TABLES_FILE}')
    if content.get('columns') != list(COLUMNS):
        raise InputError(f'{file}: `columns` must be {list(COLUMNS)}, in this order')
    unknown = set(content.get('all') or ()) - content['tables'].keys()
    if unknown:
        raise InputError(f'{file}: `all` names {", ".join(sorted(unknown))}, which is no table')
    return content


def _table(file: str, key: str, body: dict) -> Table:
    try:
        rows = tuple(_row(fields) for fields in body['rows'])
        return Table(key, body['title'], body['source'], rows, tuple(body.get('notes', ())))
    except (KeyError, TypeError, ValueError) as error:
        reason = f'{type(error).__name__}: {first_line(error)}'
        raise InputError(f'{file}: table {key} is not written as those of {TABLES_FILE} ({reason})') from error


def _row(fields: dict) -> Row:
    numbers = fields.get('paper')
    paper = dict(zip(COLUMNS, map(float, numbers), strict=True)) if numbers else {}
    return Row(fields['name'], fields['label'], fields.get('config'), paper)
