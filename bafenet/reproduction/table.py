"""A table as data, checked: titles, the paper's numbers or our metrics, what each row trains, what it is tested on."""
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from bafenet.classical import METHODS, RULES
from bafenet.errors import InputError, printable
from bafenet.fields import require_dict, require_key, require_list, require_number, require_text

from .columns import BOXES, COSTS, EVALUATORS, MASKS, Column, Evaluator, column, require_metrics

PROTOCOLS = ('paper', 'ours', 'demo', 'release')
TABLE_KEYS = ('title', 'source', 'group', 'rows', 'notes', 'evaluator', 'costs', 'metrics', 'tests', 'base', 'set',
              'rank')
ROW_KEYS = ('key', 'name', 'label', 'base', 'set', 'method', 'paper', 'params', 'flops')
# What a test changes lies in these: the network is trained once.
TEST_PARTS = ('test_dataloader', 'test_evaluator')

Settings = dict[str, Any]


class Method(NamedTuple):
    """A classical method, one of ``bafenet.classical.METHODS``, and the rule of ``RULES`` that thresholds it."""

    name: str
    rule: str


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        key: Its name on the command line, and that of the folder of its runs; may be empty where it is not run here.
        name: Its letter in the paper; may be empty.
        label: What it is.
        paper: The paper's numbers by column, as they are shown; those that our copy lacks are absent.
        base: The config file that it starts from by protocol; empty where it cannot be run here.
        set: What it changes there by protocol: settings by dotted key.
        file: The table's file.
        tests: What its network is tested on: by name and protocol, settings by dotted key; empty for its config's own
            test set.
        evaluator: Name of the evaluator whose numbers its table prints.
        method: The classical method that is measured on the base's test set, and nothing trained; None for a network.
    """

    key: str
    name: str
    label: str
    paper: dict[str, float]
    base: dict[str, str]
    set: dict[str, Settings]
    file: str = ''
    tests: dict[str, dict[str, Settings]] = field(default_factory=dict)
    evaluator: str = BOXES.name
    method: Method | None = None

    @property
    def title(self) -> str:
        """Name and label."""
        return f'{self.name} {self.label}'.strip()

    @property
    def place(self) -> str:
        """Where it stands, for messages."""
        return f'{printable(self.file)}: row {self.key}'

    def settings(self, protocol: str, test: str | None = None) -> list[tuple[str, Settings]]:
        """What it sets under a protocol, and then what one of its tests sets: each with where that stands."""
        of_test = [(f'{printable(self.file)}: tests.{test}', self.tests[test][protocol])] if test else []
        return [(self.place, self.set[protocol]), *of_test]

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
        metrics: The columns of a table of our own, names of its evaluator's; empty for a paper's tables.
        group: Name for several tables at once; may be empty.
        tests: Names of what each network is tested on, once trained; empty for its config's own test set.
        evaluator: Whose numbers it prints.
        costs: Columns before these, names of ``columns.COSTS``.
        rank: The column by which its rows are ranked, the highest first; empty where they are not.
    """

    key: str
    title: str
    source: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    group: str = ''
    tests: tuple[str, ...] = ()
    evaluator: Evaluator = BOXES
    costs: tuple[str, ...] = ()
    rank: str = ''

    @property
    def columns(self) -> tuple[str, ...]:
        """What its columns are called: with several tests ``NAME:METRIC``, test by test."""
        of_tests = tuple(column_of(test, metric) for test in self.tests for metric in self.metrics) or self.metrics
        return of_tests or (*self.costs, *(one.name for one in self.evaluator.columns))

    @property
    def runnable(self) -> list[Row]:
        """The rows that can be run here."""
        return [row for row in self.rows if row.base]

    @property
    def protocols(self) -> tuple[str, ...]:
        """The protocols of its rows, the usual one first."""
        return tuple(self.runnable[0].base) if self.runnable else ()


def column_of(test: str, metric: str) -> str:
    """The column of a metric in a table with several tests."""
    return f'{test}:{metric}'


# --- Reading ----------------------------------------------------------------------------------------------------------


def parse_table(file: str, content: Any) -> Table:
    """A table of what its file holds.

    Args:
        file: The file, whose name is the table's.
        content: Plain values, as YAML gives them.

    Raises:
        ValueError: If they are none of a table; it names the field.
    """
    body = require_dict(content, 'it')
    _refuse_unknown(body, TABLE_KEYS, 'it')
    require_dict(body, 'it', ('title', 'source', 'rows'))
    base = None if body.get('base') is None else _by_protocol(body['base'], 'base')
    tests = _tests(body['tests']) if 'tests' in body else {}
    name, = _known('evaluator', [body.get('evaluator', BOXES.name)], EVALUATORS)
    evaluator, costs = EVALUATORS[name], _known('costs', body.get('costs') or [], COSTS)
    printed = [one for one in (*map(column, costs), *evaluator.columns) if one.in_papers]
    common = require_dict(body.get('set', {}), 'set')
    rows = tuple(_row(file, fields, f'rows[{i}]', base, tests, printed, evaluator, common)
                 for i, fields in enumerate(require_list(body['rows'], 'rows')))
    metrics = require_metrics(require_list(body.get('metrics') or [], 'metrics'), evaluator)
    if metrics and any(row.paper for row in rows):
        raise ValueError('a table with `metrics` has no numbers of the paper')
    if metrics and costs:
        raise ValueError('a table with `metrics` has no `costs`')
    if tests and not metrics:
        raise ValueError('a table with `tests` needs `metrics`, the columns of each test')
    notes = tuple(_text(note, f'notes[{i}]') for i, note in enumerate(require_list(body.get('notes') or [], 'notes')))
    group = require_key(body['group'], 'group') if body.get('group') is not None else ''
    table = Table(require_key(Path(file).stem, "the file's name"), _text(body['title'], 'title'),
                  _text(body['source'], 'source'), rows, notes, metrics, group, tuple(tests), evaluator, costs,
                  _text(body.get('rank', ''), 'rank'))
    if table.rank:
        _known('rank', [table.rank], table.columns)
    for row in table.runnable:
        if set(row.base) != set(table.protocols):
            raise ValueError(f'row {row.key} has a base for {", ".join(row.base)}, and the first row for '
                             f'{", ".join(table.protocols)}')
    return table


def _row(file: str, fields: Any, place: str, base: dict[str, str] | None, tests: Mapping[str, Settings],
         columns: Sequence[Column], evaluator: Evaluator, common: Settings) -> Row:
    # A key that is misspelt is absent too; the misspelling is what to say.
    _refuse_unknown(require_dict(fields, place), ROW_KEYS, place)
    require_dict(fields, place, ('label', ))
    key = require_key(fields['key'], f'{place}.key') if fields.get('key') is not None else ''
    without_key = next((what for what in ('base', 'set', 'method') if what in fields), None)
    if not key and without_key:
        raise ValueError(f'{place} has a {without_key} and no key; give it one')
    own = _by_protocol(fields['base'], f'{place}.base') if 'base' in fields else base
    own = own if key and own else {}
    if 'set' in fields and not own:
        raise ValueError(f'{place} has a set and no base; give it, or the table, one')
    method = _method(fields, place, own, tests, evaluator) if 'method' in fields else None
    name = _text(fields.get('name', ''), f'{place}.name')
    settings = _merged(_settings(common if own else {}, 'set', own), _settings(fields.get('set', {}), f'{place}.set',
                                                                               own))
    return Row(key, name, _text(fields['label'], f'{place}.label'), _paper(fields.get('paper'), place, columns), own,
               settings, file,
               {test: _settings(value, f'tests.{test}', own) for test, value in tests.items()} if own else {},
               evaluator.name, method)


def _paper(numbers: Any, place: str, columns: Sequence[Column]) -> dict[str, float]:
    """A paper's numbers, as it prints them, by column, as they are shown; null stands for one that is not there."""
    if numbers is None:
        return {}
    numbers = require_list(numbers, f'{place}.paper')
    if len(numbers) != len(columns):
        raise ValueError(f'{place}.paper has {len(numbers)} numbers for {len(columns)} columns '
                         f'({", ".join(one.name for one in columns)})')
    return {one.name: one.printed * float(require_number(number, f'{place}.paper: {one.name}', 0, one.highest))
            for one, number in zip(columns, numbers, strict=True) if number is not None}


def _method(fields: dict, place: str, base: dict[str, str], tests: Mapping[str, Settings],
            evaluator: Evaluator) -> Method:
    """The classical method of a row."""
    value = require_dict(fields['method'], f'{place}.method', Method._fields)
    _refuse_unknown(value, Method._fields, f'{place}.method')
    name, = _known(f'{place}.method.name', [value['name']], METHODS)
    rule, = _known(f'{place}.method.rule', [value['rule']], RULES)
    if evaluator is not MASKS or 'set' in fields or tests or not base:
        raise ValueError(f'{place} has a method: it needs a base, whose test set it is measured on, in a table with '
                         f'evaluator: {MASKS.name}, and neither set nor tests')
    return Method(name, rule)


def _tests(value: Any) -> dict[str, Settings]:
    """Settings, for all protocols or by protocol, of each test by its name."""
    tests = {require_key(name, 'tests'): require_dict(settings, f'tests.{name}')
             for name, settings in require_dict(value, 'tests').items()}
    if not tests:
        raise ValueError('tests names no test; give each its settings, as NAME: {test_dataloader.dataset.data_root: …}')
    for name, settings in tests.items():
        own = [value for key, value in settings.items() if key in PROTOCOLS] or [settings]
        for key in (key for one in own for key in require_dict(one, f'tests.{name}')):
            if key.split('.')[0] not in TEST_PARTS:
                raise ValueError(f'tests.{name} sets {key!r}; a test changes {" and ".join(TEST_PARTS)} alone: the '
                                 'network is trained once')
    return tests


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


def _merged(common: dict[str, Settings], own: dict[str, Settings]) -> dict[str, Settings]:
    """By protocol, the settings of all rows and then a row's own, which win."""
    return {protocol: {**settings, **own[protocol]} for protocol, settings in common.items()}


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
