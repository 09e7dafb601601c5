"""Metrics of runs as rows of one table, and the paper's numbers beside them, each with its conventions."""
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bafenet.analysis.complexity import network_of
from bafenet.datasets.parts import split_settings
from bafenet.engine.config_paths import setting
from bafenet.evaluation.class_keys import by_class, split_class_key
from bafenet.evaluation.report import (
    AT_SCORE,
    BOX_ROWS,
    FPPI_SCORE,
    LEGACY,
    PIXEL_ROWS,
    ROWS,
    WITHOUT_SIDES,
    has_legacy_sides,
    row_labels,
)
from bafenet.reproduction.table import Row, Table
from bafenet.reproduction.tables import read_tables

from .collect import Run

TRUE_SIDES, LEGACY_SIDES = 'true', '+1'
# What says how well boxes agree with the truth; the others are false alarms by image, targets found, and the sky.
ACCURACY = frozenset(key for key in ROWS if 'FPPI' not in key and key not in WITHOUT_SIDES)
PAPER_SPLIT = 'DenseSIRST test_v2'
# The rows that every reader looks for, of Table VII.
_ALWAYS = ('fcos_r50', 'bafenet_r50')


@dataclass(frozen=True)
class MetricRow:
    """A row of the table of metrics.

    Attributes:
        label: The run, or the paper's row.
        kind: ``'test'``, ``'validation'`` or ``'paper'``.
        tested_on: The data, in words.
        sides: ``'true'`` or ``'+1'``: sides x2 - x1 and x2 - x1 + 1; empty where no metric depends on it.
        values: By the metric's name without prefix and ending.
        classes: Those of single classes, by class and by :data:`~bafenet.evaluation.class_keys.CLASS_ROWS`.
        cells: Text of the cells that are not simply the value.
        fppi_score: The lowest score that counts in :data:`~bafenet.evaluation.report.AT_SCORE`; None where it is not
            known.
    """

    label: str
    kind: str
    tested_on: str
    sides: str
    values: dict[str, float]
    classes: dict[str, dict[str, float]] = field(default_factory=dict)
    cells: dict[str, str] = field(default_factory=dict)
    fppi_score: float | None = None


def metric_rows(runs: Sequence[Run]) -> list[MetricRow]:
    """The rows of all runs, and behind them those of the paper where boxes were measured."""
    rows = [row for run in runs for row in _rows_of(run)]
    return rows if _of_masks(rows) else [*rows, *_paper_rows(runs)]


def _of_masks(rows: Sequence[MetricRow]) -> bool:
    """Whether rows have metrics of target masks, and none of boxes."""
    keys = {key for row in rows for key in row.values}
    return bool(keys & PIXEL_ROWS.keys()) and not keys & BOX_ROWS.keys()


def columns_of(rows: Sequence[MetricRow]) -> dict[str, str]:
    """The metrics that some row has, and what a person reads for them; unknown ones last."""
    present = {key for row in rows for key in row.values}
    # One heading for all rows: with the score only where they share it.
    scores = {row.fppi_score for row in rows if AT_SCORE & set(row.values)}
    labels = row_labels(scores.pop() if len(scores) == 1 else None)
    return {**{key: text for key, text in labels.items() if key in present},
            **{key: key for key in sorted(present) if key not in ROWS}}


def class_rows(rows: Sequence[MetricRow]) -> list[MetricRow]:
    """A row for each class of each run that was tested on several."""
    return [MetricRow(f'{row.label}: {name}', row.kind, row.tested_on, row.sides, values)
            for row in rows for name, values in row.classes.items()]


def by_sides(metrics: dict[str, float]) -> dict[str, dict[str, float]]:
    """Metrics by the sides of their boxes, without prefix and ending; those that sides do not matter to in each."""
    values = {key.rsplit('/', 1)[-1]: value for key, value in metrics.items()}
    shared = {key: value for key, value in values.items() if key in WITHOUT_SIDES}
    legacy = {key.removesuffix(LEGACY): value for key, value in values.items() if has_legacy_sides(key)}
    true = {key: value for key, value in values.items() if not has_legacy_sides(key) and key not in shared}
    found = {sides: {**own, **shared} for sides, own in ((TRUE_SIDES, true), (LEGACY_SIDES, legacy)) if own}
    return found or ({'': shared} if shared else {})


def _rows_of(run: Run) -> Iterator[MetricRow]:
    if run.metrics:
        for sides, values in by_sides(run.metrics).items():
            yield _row(run, 'test', tested_on(run), sides, values)
        return
    last = {name: points[-1] for name, points in run.scalars.items() if _is_known(name.removesuffix(LEGACY))}
    if last:
        epoch = max(int(step) for step, _ in last.values())
        splits = _splits_text(run, 'val_dataloader')
        for sides, values in by_sides({name: float(value) for name, (_, value) in last.items()}).items():
            yield _row(run, 'validation', f'{splits}, while training, epoch {epoch}', sides, values)


def _is_known(key: str) -> bool:
    return key in ROWS or split_class_key(key) is not None


def _row(run: Run, kind: str, data: str, sides: str, values: dict[str, float]) -> MetricRow:
    """A row of a run, its single classes apart."""
    of_all = {key: value for key, value in values.items() if not split_class_key(key)}
    return MetricRow(run.label, kind, data, sides, of_all, by_class(values),
                     fppi_score=_fppi_score(run, 'test_evaluator' if kind == 'test' else 'val_evaluator'))


def _fppi_score(run: Run, evaluator: str) -> float | None:
    """The ``fppi_score`` of a run's metric; None where its config is not known, or has another metric."""
    if setting(run.config, evaluator, 'type') != 'DenseSIRSTMetric':
        return None
    score = setting(run.config, evaluator, 'fppi_score')
    score = FPPI_SCORE if score is None else score
    return float(score) if isinstance(score, (int, float)) else None


def tested_on(run: Run) -> str:
    """The data of a run's test, in words: the devkit's folder and the split."""
    split = run.results.get('split')
    text = _splits_text(run, 'test_dataloader') if not split else _data_name(run, 'test_dataloader', split)
    seen = run.results.get('training_images')
    return f'{text}; {seen} of the images were trained on' if seen else text


def _splits_text(run: Run, loader: str) -> str:
    splits = ', '.join(part['ann_file'] for part in split_settings(run.config.get(loader)))
    return _data_name(run, loader, splits) if splits else 'not known'


def _data_name(run: Run, loader: str, splits: str) -> str:
    """``SIRSTdevkit test_v2``; the folder is named as the config names it, without those above."""
    parts = split_settings(run.config.get(loader))
    roots = dict.fromkeys(Path(str(part.get('data_root') or '')).name for part in parts)
    names = ', '.join(Path(split.strip()).stem for split in splits.split(','))
    return ' '.join(filter(None, ('/'.join(filter(None, roots)), names)))


# --- The paper's ------------------------------------------------------------------------------------------------------


def _paper_rows(runs: Sequence[Run]) -> Iterator[MetricRow]:
    """The paper's row of each run's network or table row, and two that every reader looks for; each once."""
    tables = [table for table in read_tables() if not table.metrics]
    wanted = {key for run in runs for key in (run.row, network_of(run.config_name)) if key} | {*_ALWAYS}
    for table in tables:
        for row in table.rows:
            if row.key in wanted and row.paper:
                yield _paper_row(table, row)


def _paper_row(table: Table, row: Row) -> MetricRow:
    paper = row.paper
    values: dict[str, float] = {key: paper[key] for key in ('mAP_07', 'mAP_12') if key in paper}
    cells: dict[str, str] = {}
    if {'recall_07', 'recall_12'} <= set(paper):
        values['recall'] = paper['recall_07']
        cells['recall'] = f'{paper["recall_07"]:.3f} and {paper["recall_12"]:.3f}'
    return MetricRow(f'Paper, Table {table.key}: {row.label}', 'paper', PAPER_SPLIT, LEGACY_SIDES, values, cells=cells)


def notes_on(rows: Sequence[MetricRow]) -> list[str]:
    """What must be known before two rows are compared."""
    of_boxes = [
        'Sides of boxes: “true” is x2 − x1; “+1” is x2 − x1 + 1, as the paper computes them. On boxes of 3 pixels the '
        'latter gives higher numbers, so that values marked +1 compare with one another alone.',
        f'The paper’s numbers are of {PAPER_SPLIT}: runs on other data or another split do not compare with them.',
        'The paper picked the best epoch on the test split, once by each mAP: its two recalls are those of two '
        'checkpoints, beside mAP_07 and beside mAP_12. Sorting goes by the first.']
    of_masks = ['Of target masks: P_d is the share of targets that are detected, in %; F_a are pixels of components '
                'that no target took, in a million pixels; IoU, nIoU, hierarchical IoU and the area are from 0 to 1.']
    notes = [*([] if _of_masks(rows) else of_boxes),
             *(of_masks if any(key in row.values for row in rows for key in PIXEL_ROWS) else []),
             'Higher is better, but of false alarms lower; a score is neither.',
             'Empty cells: the data or the paper give no such value.']
    if any(row.kind == 'validation' for row in rows):
        notes.append('Rows marked “while training” are validations of the last epoch, and no test.')
    return notes
