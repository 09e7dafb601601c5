"""Training curves: what a run's losses and validation metrics did, step by step."""
import json
from pathlib import Path
from typing import Dict, List, Optional, Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bafenet.errors import InputError
from bafenet.fileio import atomic_path

METRICS = ('mAP_12', 'mAP_12_iou75', 'recall', 'sky_iou')
PREFIX = 'densesirst/'


def find_log(run: str) -> Path:
    """The scalars of a run: the file itself, or in a work dir the newest one.

    Raises:
        InputError: If there is none.
    """
    path = Path(run)
    if path.is_file():
        return path
    # The folders are named by the time at which the run was started.
    found = sorted(path.glob('*/vis_data/scalars.json'))
    if not found:
        raise InputError(f'{run}: no training log here; give a work dir of tools/train.py, or its scalars.json')
    return found[-1]


def read_scalars(path: Path) -> Dict[str, np.ndarray]:
    """Read what mmengine logs, one JSON object a line.

    Returns:
        By name of the loss (``loss`` is the sum of all) or of the metric, without ``densesirst/``: float (n, 2), step
        and value. The step of a metric is its epoch.

    Raises:
        InputError: If the file is not such a log.
    """
    series: Dict[str, List] = {}
    try:
        for line in path.read_text(encoding='utf-8').splitlines():
            record = json.loads(line)
            for name, value in record.items():
                if name.startswith(('loss', PREFIX)):
                    series.setdefault(name.removeprefix(PREFIX), []).append((record['step'], value))
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise InputError(f'{path}: not a training log of mmengine (scalars.json): {error!r}') from None
    if not any(name.startswith('loss') for name in series):
        raise InputError(f'{path}: the log holds no loss')
    return {name: np.array(values, float) for name, values in series.items()}


def draw(runs: Sequence[str], out: str, labels: Optional[Sequence[str]] = None) -> None:
    """Draw the losses of runs and, where they were validated, their metrics.

    Args:
        runs: Work dirs, or ``scalars.json`` files.
        out: Picture, ``.png`` or ``.svg``.
        labels: Names of the runs; those of their folders by default.

    Raises:
        InputError: If a log cannot be read, or labels and runs differ in number.
    """
    if not out.endswith(('.png', '.svg')):
        raise InputError(f'--out {out}: the file must end in .png or .svg')
    labels = labels or [Path(run).stem for run in runs]
    if len(labels) != len(runs):
        raise InputError(f'--labels: {len(labels)} for {len(runs)} runs')
    series = {label: read_scalars(find_log(run)) for label, run in zip(labels, runs, strict=True)}
    losses = sorted({name for one in series.values() for name in one if name.startswith('loss')}, key=len)
    metrics = [name for name in METRICS if any(name in one for one in series.values())]
    names = losses + metrics
    columns = min(len(names), 3)
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(4 * columns, 2.8 * rows), layout='constrained')
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes[len(names):]:
        axis.remove()
    for axis, name in zip(axes, names, strict=False):
        for label, one in series.items():
            if name in one:
                axis.plot(*one[name].T, label=label, linewidth=1, marker='' if name in losses else 'o')
        axis.set(title=name, xlabel='step' if name in losses else 'epoch')
        axis.set_yscale('log' if name in losses else 'linear')
        axis.grid(alpha=0.3, which='both')
    if len(series) > 1:
        axes[0].legend()
    with atomic_path(out) as temporary:
        FigureCanvasAgg(figure).print_figure(temporary, dpi=110)
