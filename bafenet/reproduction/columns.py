"""What a table's columns are: metrics of the evaluator that tests its rows, or costs of a network; units and scales."""
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from mmengine.config import Config

from bafenet.arguments import shown
from bafenet.engine.pipeline_steps import step_name
from bafenet.errors import InputError, printable
from bafenet.evaluation.class_keys import split_class_key
from bafenet.evaluation.report import BOX_ROWS, LEGACY, PIXEL_ROWS, plain_keys

Tests = Mapping[str, dict]


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: Its name: of a metric, without prefix and suffix, or of a cost.
        unit: What its numbers are in, for the head; empty for shares in [0, 1] and where the name says it.
        scale: What a measured value is multiplied by to be shown.
        printed: What the number that a paper prints is multiplied by to be shown.
        highest: The highest number that a paper may print; the lowest is 0.
        in_papers: Whether papers print it; ours stands alone where they do not.
        comparable: Whether the difference of the two says something.
    """

    name: str
    unit: str = ''
    scale: float = 1.0
    printed: float = 1.0
    highest: float = 1.0
    in_papers: bool = True
    comparable: bool = True

    @property
    def head(self) -> str:
        """Name and unit."""
        return f'{self.name}, {self.unit}' if self.unit else self.name


@dataclass(frozen=True)
class Evaluator:
    """An evaluator whose numbers tables print.

    Attributes:
        name: Its registered name.
        metrics: What it may give, without prefix and suffix.
        columns: The columns of a paper's table.
        read: The values of these from the tests of a run, by the metric that picked the checkpoint, and the evaluator's
            settings.
        data: What the papers' tables were tested on.
        note: What a reader of its numbers must know.
    """

    name: str
    metrics: tuple[str, ...]
    columns: tuple[Column, ...]
    read: Callable[[Tests, Mapping[str, Any]], dict[str, float]]
    data: str
    note: str = ''


def read_boxes(tests: Tests, settings: Mapping[str, Any]) -> dict[str, float]:
    """The four numbers of a row of the paper's tables of boxes.

    Where checkpoints were picked by both mAPs (the paper's protocol), ``mAP_07`` and ``recall_07`` come from the one
    best by ``mAP_07``, and ``mAP_12`` and ``recall_12`` from the one best by ``mAP_12``. Otherwise all come from
    the same one, and both recalls are equal.

    Args:
        tests: What ``test.py`` wrote, by the metric that picked its checkpoint.
        settings: Of the evaluator.

    Raises:
        InputError: If a test lacks one of them.
    """
    suffix = LEGACY if settings.get('legacy_coordinates') else ''
    by_metric = {key.rsplit('/', 1)[-1].removesuffix(LEGACY): test['metrics'] for key, test in tests.items()}
    columns = {}
    for year in ('07', '12'):
        metrics = by_metric.get(f'mAP_{year}', next(iter(by_metric.values())))
        names = {key.rsplit('/', 1)[-1]: value for key, value in metrics.items()}
        wanted = {f'mAP_{year}': f'mAP_{year}{suffix}', f'recall_{year}': f'recall{suffix}'}
        columns.update(_picked(names, wanted, 'DenseSIRSTMetric'))
    return columns


def read_masks(tests: Tests, settings: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a row of a table of target masks, as ``IRSTDMetric`` gives them, from the first test.

    Raises:
        InputError: If it lacks one of them.
    """
    wanted = {column.name: column.name for column in MASKS.columns}
    return _picked(plain_keys(next(iter(tests.values()))['metrics']), wanted, 'IRSTDMetric')


def _picked(values: Mapping[str, float], wanted: Mapping[str, str], evaluator: str) -> dict[str, float]:
    absent = [name for name in wanted.values() if name not in values]
    if absent:
        raise InputError(f'the test of a run has no {", ".join(absent)}: its split has no target, or '
                         f'test_evaluator is no {evaluator}; correct the config')
    return {column: values[name] for column, name in wanted.items()}


BOXES = Evaluator('DenseSIRSTMetric', tuple(BOX_ROWS),
                  tuple(map(Column, ('mAP_07', 'recall_07', 'mAP_12', 'recall_12'))), read_boxes, 'DenseSIRST test_v2')
MASKS = Evaluator(
    'IRSTDMetric', tuple(PIXEL_ROWS),
    (Column('IoU', '×100', scale=100, highest=100), Column('P_d', '%', highest=100),
     Column('F_a', '1e-6', highest=1e6), Column('F_a_legacy', '1e-6', in_papers=False)),
    read_masks, 'NUDT-SIRST test',
    'IoU is the intersection over the union, both summed over the set; P_d the share of the targets that are detected; '
    'F_a the pixels of components that no target took, of all pixels. F_a_legacy is F_a as the code of DNA-Net and '
    'SIRST-5K counts it, which forgets components as large as a detected one in their frame: the papers\' F_a of '
    'networks compare with it, those of classical methods with F_a.')
EVALUATORS = {one.name: one for one in (BOXES, MASKS)}
# Frames over which the paper's times were taken.
_TIMED_FRAMES = 664
# What a network costs, whatever its weights.
COSTS = {one.name: one for one in (
    Column('params', 'M', scale=1e-6, highest=1e6), Column('flops', 'G', scale=1e-9, in_papers=False),
    # SIRST-5K prints the seconds of a script over all test frames.
    Column('ms', 'per frame', printed=1000 / _TIMED_FRAMES, highest=1e6, comparable=False))}
_COLUMNS = {column.name: column for one in EVALUATORS.values() for column in one.columns} | COSTS


def column(name: str) -> Column:
    """The column of a name, of a table with several tests as ``NAME:METRIC`` too."""
    return replace(_COLUMNS.get(name.rpartition(':')[2], Column(name)), name=name)


def require_metrics(names: list, evaluator: Evaluator) -> tuple[str, ...]:
    """Names of metrics of an evaluator, those of single classes included.

    Raises:
        InputError: If one is none.
    """
    for name in names:
        if not isinstance(name, str) or not (name in evaluator.metrics or (evaluator is BOXES
                                                                            and split_class_key(name))):
            other = next((one.name for one in EVALUATORS.values() if name in one.metrics), None)
            hint = f'; it is one of {other}: give evaluator: {other}' if other else ''
            raise InputError(f'metrics: {shown(name)} is none of {", ".join(evaluator.metrics)}{hint}')
    return tuple(names)


# --- In a config ------------------------------------------------------------------------------------------------------


def evaluators_of(cfg: Config, source: str = 'the config') -> dict[str, dict]:
    """Settings of the evaluators of a config's test that tables know, by name, in their order.

    Raises:
        InputError: If there is none, or one twice.
    """
    settings = cfg.get('test_evaluator')
    settings = settings if isinstance(settings, (list, tuple)) else [settings]
    named = [(step_name(one), one) for one in settings if isinstance(one, dict) and one.get('type')]
    known = [(name, one) for name, one in named if name in EVALUATORS]
    if not known or len(dict(known)) < len(known):
        raise InputError(f'{printable(source)}: test_evaluator must be one {" or ".join(EVALUATORS)}, or one of each; '
                         'a table prints its numbers')
    return dict(known)


def require_evaluator(cfg: Config, name: str, source: str) -> None:
    """Refuse a config that is not tested by the evaluator of its table.

    Raises:
        InputError: If it is not.
    """
    found = evaluators_of(cfg, source)
    if name not in found:
        raise InputError(f'{printable(source)}: test_evaluator is {" and ".join(found)}, and the table prints numbers '
                         f'of {name}; give the table evaluator: {next(iter(found))}, or another base')


def has_legacy_sides(cfg: Config) -> bool:
    """Whether boxes of a config's test have sides x2 - x1 + 1."""
    return bool(evaluators_of(cfg).get(BOXES.name, {}).get('legacy_coordinates', False))


def table_columns(tests: Tests, evaluators: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """What the tests of a run say in the columns of the papers' tables, in the units of the evaluators.

    Args:
        tests: What ``test.py`` wrote, by the metric that picked its checkpoint.
        evaluators: As :func:`evaluators_of` gives them.

    Raises:
        InputError: If a test lacks a number.
    """
    return {name: value for evaluator, settings in evaluators.items()
            for name, value in EVALUATORS[evaluator].read(tests, settings).items()}
