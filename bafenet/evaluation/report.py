"""Print metrics as a table."""

from rich.console import Console
from rich.table import Table

from bafenet.markup import cell

# Where the value of the metric's option is not known; it stands in :data:`ROWS`.
_AT_CONFIGS_SCORE = "at the config's fppi_score"
# Metric, without prefix and suffix of the boxes' convention, and what a person reads.
ROWS = {
    'mAP_07': 'mAP_07 (IoU 0.5)',
    'mAP_12': 'mAP_12 (IoU 0.5)',
    'recall': 'recall (IoU 0.5)',
    'mAP_07_iou75': 'mAP_07 (IoU 0.75)',
    'mAP_12_iou75': 'mAP_12 (IoU 0.75)',
    'recall_iou75': 'recall (IoU 0.75)',
    'f1': 'best F1',
    'precision': 'precision at best F1',
    'score_threshold': 'score at best F1',
    'FPPI_sky': f'false alarms per image, in the sky, {_AT_CONFIGS_SCORE}',
    'FPPI_other': f'false alarms per image, out of the sky, {_AT_CONFIGS_SCORE}',
    'FPPI_sky_recall90': '… in the sky, at recall 0.9',
    'FPPI_other_recall90': '… out of the sky, at recall 0.9',
    'sky_iou': 'sky IoU',
}
LEGACY = '_legacy'
FPPI_SCORE = 0.3  # the metric's default


def row_labels(fppi_score: float | None = None) -> dict[str, str]:
    """What a person reads for each metric.

    Args:
        fppi_score: The lowest score of a false alarm in ``FPPI_sky`` and ``FPPI_other``; None where it is not known.

    Returns:
        :data:`ROWS`, with the score where it is known.
    """
    known = _AT_CONFIGS_SCORE if fppi_score is None else f'at scores ≥ {fppi_score:g}'
    return {key: label.replace(_AT_CONFIGS_SCORE, known) for key, label in ROWS.items()}


def print_metrics(metrics: dict[str, float], training_images: int = 0, fppi_score: float | None = None) -> None:
    """Print metrics as one table; ``n/a`` where the data do not define a value.

    Args:
        metrics: Values by key, as an evaluator returns them (``prefix/key``).
        training_images: How many of the images the network was trained on, which the title then says.
        fppi_score: See :func:`row_labels`.
    """
    values = {key.rsplit('/', 1)[-1]: value for key, value in metrics.items()}
    legacy = any(key.endswith(LEGACY) for key in values)
    values = {key.removesuffix(LEGACY): value for key, value in values.items()}
    table = Table(title='DenseSIRST metrics' + (', boxes with sides x2 - x1 + 1' if legacy else '') + (
        f', {training_images} images that were trained on' if training_images else ''))
    table.add_column('metric')
    table.add_column('value', justify='right')
    for key, label in {**row_labels(fppi_score), **{key: key for key in values if key not in ROWS}}.items():
        table.add_row(cell(label), f'{values[key]:.3f}' if key in values else 'n/a')
    Console().print(table)
