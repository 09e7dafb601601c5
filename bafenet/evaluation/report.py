"""Print metrics as a table, and those of several classes as one with a row per class."""
from collections.abc import Collection

from rich.console import Console
from rich.table import Table

from bafenet.markup import cell

from .class_keys import by_class, class_columns, class_text, split_class_key

# Where the value of the metric's option is not known; it stands in :data:`ROWS`.
_AT_CONFIGS_SCORE = "at the config's fppi_score"
# Metric, without prefix and suffix of the boxes' convention, and what a person reads: those of boxes and sky maps.
BOX_ROWS = {
    'mAP_07': 'mAP_07 (IoU 0.5)',
    'mAP_12': 'mAP_12 (IoU 0.5)',
    'recall': 'recall (IoU 0.5)',
    'mAP_07_iou75': 'mAP_07 (IoU 0.75)',
    'mAP_12_iou75': 'mAP_12 (IoU 0.75)',
    'recall_iou75': 'recall (IoU 0.75)',
    'f1': 'best F1',
    'precision': 'precision at best F1',
    'score_threshold': 'score at best F1',
    'FPPI': f'false alarms per image, {_AT_CONFIGS_SCORE}',
    'FPPI_recall90': 'false alarms per image, at recall 0.9',
    'FPPI_sky': f'false alarms per image, in the sky, {_AT_CONFIGS_SCORE}',
    'FPPI_other': f'false alarms per image, out of the sky, {_AT_CONFIGS_SCORE}',
    'FPPI_sky_recall90': '… in the sky, at recall 0.9',
    'FPPI_other_recall90': '… out of the sky, at recall 0.9',
    'found': f'found by centre, {_AT_CONFIGS_SCORE}',
    'found_FPPI': f'false alarms by centre, {_AT_CONFIGS_SCORE}',
    'found_FPPI_sky': f'false alarms by centre, in the sky, {_AT_CONFIGS_SCORE}',
    'found_FPPI_other': f'false alarms by centre, out of the sky, {_AT_CONFIGS_SCORE}',
    'found_FPPI_found95': 'false alarms by centre, at 95 % found',
    'found_FPPI_sky_found95': '… in the sky, at 95 % found by centre',
    'found_FPPI_other_found95': '… out of the sky, at 95 % found by centre',
    'found_02': 'found by centre at ≤ 0.2 false alarms a side (no maps: ≤ 0.5)',
    'found_02_score': 'score of found by centre at ≤ 0.2',
    'sky_iou': 'sky IoU',
}
# Those of target masks.
PIXEL_ROWS = {
    'IoU': 'IoU of target pixels',
    'nIoU': 'nIoU, mean of the frames',
    'P_d': 'P_d, %',
    'F_a': 'F_a, 1e-6',
    'F_a_legacy': "F_a by DNA-Net's code, 1e-6",
    'hIoU': 'hierarchical IoU',
    'AUC': 'area under the ROC',
    'num_frames': 'frames',
    'num_targets': 'targets',
    'num_detected': 'targets detected',
    'num_alarms': 'false components',
}
ROWS = {**BOX_ROWS, **PIXEL_ROWS}
# By the rule of centres.
FOUND = frozenset(key for key in ROWS if key.startswith('found'))
# What sides of boxes do not matter to: the same whatever the convention, and without its suffix.
WITHOUT_SIDES = FOUND | {'sky_iou', *PIXEL_ROWS}
# At scores of at least the metric's option.
AT_SCORE = frozenset(key for key, label in ROWS.items() if _AT_CONFIGS_SCORE in label)
LEGACY = '_legacy'
FPPI_SCORE = 0.3  # the metric's default
# Of sets with and without true sky maps.
_WITH_SKY = ('FPPI_sky', 'FPPI_other', 'FPPI_sky_recall90', 'FPPI_other_recall90', 'found_FPPI_sky', 'found_FPPI_other',
             'found_FPPI_sky_found95', 'found_FPPI_other_found95', 'sky_iou')
_WITHOUT_SKY = ('FPPI', 'FPPI_recall90', 'found_FPPI', 'found_FPPI_found95')


def row_labels(fppi_score: float | None = None) -> dict[str, str]:
    """What a person reads for each metric.

    Args:
        fppi_score: The lowest score that counts in :data:`AT_SCORE`; None where it is not known.

    Returns:
        :data:`ROWS`, with the score where it is known.
    """
    known = _AT_CONFIGS_SCORE if fppi_score is None else f'at scores ≥ {fppi_score:g}'
    return {key: label.replace(_AT_CONFIGS_SCORE, known) for key, label in ROWS.items()}


def rows_of(keys: Collection[str]) -> list[str]:
    """The :data:`ROWS` of a table of metrics, those without a value included: false alarms by side, in all, or both.

    Those of boxes, or of masks, alone where there are no others.

    Args:
        keys: Of the metrics that have a value, without prefix and suffix.
    """
    sky, all_alarms, found = (any(key in keys for key in group) for group in (_WITH_SKY, _WITHOUT_SKY, FOUND))
    # Results of before there was the rule of centres have none of it.
    hidden = {*(_WITH_SKY if all_alarms and not sky else ()), *(() if all_alarms else _WITHOUT_SKY),
              *(() if found else FOUND)}
    masks, boxes = (any(key in keys for key in rows) for rows in (PIXEL_ROWS, BOX_ROWS))
    hidden |= {*(() if masks else PIXEL_ROWS), *(BOX_ROWS if masks and not boxes else ())}
    return [key for key in ROWS if key not in hidden]


def has_legacy_sides(key: str) -> bool:
    """Whether a key, with or without prefix, is one of boxes with sides x2 - x1 + 1."""
    name = key.rsplit('/', 1)[-1]
    return name.endswith(LEGACY) and name not in ROWS


def plain_keys(metrics: dict[str, float]) -> dict[str, float]:
    """Metrics by key without prefix and suffix of the boxes' convention."""
    return {key.rsplit('/', 1)[-1].removesuffix(LEGACY if has_legacy_sides(key) else ''): value
            for key, value in metrics.items()}


def value_text(key: str, value: float) -> str:
    """A value of :data:`ROWS` as text: frames, targets and components are counted."""
    return f'{value:.0f}' if key.startswith('num_') else f'{value:.3f}'


def print_metrics(metrics: dict[str, float], training_images: int = 0, fppi_score: float | None = None) -> None:
    """Print metrics as one table, and those of single classes as another; ``n/a`` where a value is not defined.

    Args:
        metrics: Values by key, as an evaluator returns them (``prefix/key``).
        training_images: How many of the images the network was trained on, which the title then says.
        fppi_score: See :func:`row_labels`.
    """
    legacy = any(map(has_legacy_sides, metrics))
    values = plain_keys(metrics)
    of_masks = not set(values).isdisjoint(PIXEL_ROWS) and set(values).isdisjoint(BOX_ROWS)
    title = 'Metrics of target masks' if of_masks else 'DenseSIRST metrics'
    table = Table(title=title + (', boxes with sides x2 - x1 + 1' if legacy else '') + (
        f', {training_images} images that were trained on' if training_images else ''))
    table.add_column('metric')
    table.add_column('value', justify='right')
    labels = row_labels(fppi_score)
    others = [key for key in values if key not in ROWS and not split_class_key(key)]
    for key in [*rows_of(values), *others]:
        table.add_row(cell(labels.get(key, key)), value_text(key, values[key]) if key in values else 'n/a')
    console = Console()
    console.print(table)
    if of_classes := by_class(values):
        console.print(_class_table(of_classes))


def _class_table(of_classes: dict[str, dict[str, float]]) -> Table:
    columns = class_columns(of_classes.values())
    table = Table('class', title='By class')
    for label in columns.values():
        table.add_column(label, justify='right')
    for name, values in of_classes.items():
        table.add_row(cell(name), *(class_text(row, values[row]) if row in values else 'n/a' for row in columns))
    return table
