"""Print metrics as a table."""

from rich.console import Console
from rich.table import Table

from bafenet.markup import cell

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
    'FPPI_sky': 'false alarms per image, in the sky',
    'FPPI_other': 'false alarms per image, out of the sky',
    'FPPI_sky_recall90': '… in the sky, at recall 0.9',
    'FPPI_other_recall90': '… out of the sky, at recall 0.9',
    'sky_iou': 'sky IoU',
}
LEGACY = '_legacy'


def print_metrics(metrics: dict[str, float], training_images: int = 0) -> None:
    """Print metrics as one table; ``n/a`` where the data do not define a value.

    Args:
        metrics: Values by key, as an evaluator returns them (``prefix/key``).
        training_images: How many of the images the network was trained on, which the title then says.
    """
    values = {key.rsplit('/', 1)[-1]: value for key, value in metrics.items()}
    legacy = any(key.endswith(LEGACY) for key in values)
    values = {key.removesuffix(LEGACY): value for key, value in values.items()}
    table = Table(title='DenseSIRST metrics' + (', boxes with sides x2 - x1 + 1' if legacy else '') + (
        f', {training_images} images that were trained on' if training_images else ''))
    table.add_column('metric')
    table.add_column('value', justify='right')
    for key, label in {**ROWS, **{key: key for key in values if key not in ROWS}}.items():
        table.add_row(cell(label), f'{values[key]:.3f}' if key in values else 'n/a')
    Console().print(table)
