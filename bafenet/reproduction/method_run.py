"""A run of a table that measures a classical method on a split, in place of training a network and testing it."""
from mmengine.config import Config

from bafenet.analysis.classical_methods import measure_frames
from bafenet.datasets.parts import loader_parts
from bafenet.errors import InputError
from bafenet.evaluation.report import PIXEL_ROWS

from .columns import MASKS
from .depends import METHOD

TEST = 'classical'  # the name of its only test
# Settings of a dataset that say which frames it has.
_FRAMES = ('data_root', 'ann_file', 'data_prefix', 'holdout', 'holdout_seed', 'held_out', 'indices')


def measure_method(cfg: Config, limit: int | None = None) -> tuple[dict, float]:
    """Measure the classical method of a run on its test set.

    Args:
        cfg: The run's config, with ``method`` and ``test_dataloader``.
        limit: Take no more frames.

    Returns:
        What ``test.py`` would write of it (``split``, ``metrics``), and milliseconds of a frame.

    Raises:
        InputError: If the test set is not one dataset, or its data are not as they should be.
    """
    parts = loader_parts(cfg, 'test')
    if len(parts) != 1:
        raise InputError('test_dataloader: a classical method is measured on one dataset; give a base with one')
    settings = {key: value for key, value in parts[0].settings.items() if key in _FRAMES}
    method = measure_frames(settings, [cfg[METHOD].name], limit=limit)['methods'][cfg[METHOD].name]
    values = method['rules'][cfg[METHOD].rule]
    metrics = {f'irstd/{name}': values[name] for name in PIXEL_ROWS if name in values}
    return dict(split=settings['ann_file'], metrics=metrics), method['ms']


def method_columns(test: dict) -> dict[str, float]:
    """What it says in the columns of a paper's table; see ``columns.table_columns``."""
    return MASKS.read({TEST: test}, {})
