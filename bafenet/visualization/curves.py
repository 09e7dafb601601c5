"""Training curves: what a run's losses and validation metrics did, step by step."""
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bafenet.errors import InputError, printable
from bafenet.fields import require_dict, require_number
from bafenet.fileio import atomic_path, require_writable_file
from bafenet.reading import parse_json, read_regular, reason_of
from bafenet_command import call_of

METRICS = ('mAP_12', 'mAP_12_iou75', 'recall', 'sky_iou')
PREFIX = 'densesirst/'
MAX_LOSSES = 48
LARGEST = 1e30


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
        raise InputError(f'{printable(run)}: no training log here; give a work dir of {call_of("train")}, or its '
                         'scalars.json')
    return found[-1]


def read_scalars(path: Path) -> dict[str, np.ndarray]:
    """Read what mmengine logs, one JSON object a line.

    Returns:
        By name of the loss (``loss`` is the sum of all) or of the metric, without ``densesirst/``: float (n, 2), step
        and value. The step of a metric is its epoch.

    Raises:
        InputError: If the file is not such a log, or a loss is not finite.
    """
    series: dict[str, list] = {}
    try:
        for number, line in enumerate(read_regular(path).splitlines(), 1):
            for name, point in _points(line, number).items():
                series.setdefault(name, []).append(point)
    except (OSError, ValueError) as error:
        raise InputError(f'{printable(path)}: not a training log of mmengine (scalars.json): {reason_of(error)}; give '
                         'another, or a copy without what is from there on') from None
    if not any(name.startswith('loss') for name in series):
        raise InputError(f'{printable(path)}: the log holds no loss')
    return {name: np.array(values, float) for name, values in series.items()}


def _points(line: bytes, number: int) -> dict[str, tuple[float, float]]:
    """Step and value of each loss and metric of one line."""
    try:
        record = require_dict(parse_json(line), 'it')
        names = [name for name in record if name.startswith(('loss', PREFIX))]
        if not names:
            return {}
        step = require_number(require_dict(record, 'it', ['step'])['step'], 'step', 0)
        return {name.removeprefix(PREFIX): (step, require_number(record[name], name, -LARGEST, LARGEST))
                for name in names}
    except ValueError as error:
        # What a training leaves that went astray.
        astray = b'NaN' in line or b'Infinity' in line
        raise ValueError(f'line {number}: {"a value is not finite" if astray else reason_of(error)}') from None


def draw(runs: Sequence[str], out: str, labels: Sequence[str] | None = None) -> None:
    """Draw the losses of runs and, where they were validated, their metrics.

    Args:
        runs: Work dirs, or ``scalars.json`` files.
        out: Picture, ``.png`` or ``.svg``.
        labels: Names of the runs; those of their folders by default.

    Raises:
        InputError: If a log cannot be read, the picture cannot be written, labels and runs differ in number, or two
            runs have one label.
    """
    if not out.endswith(('.png', '.svg')):
        raise InputError(f'--out {printable(out)}: the file must end in .png or .svg')
    require_writable_file(out, '--out')
    labels = labels or [Path(run).stem for run in runs]
    if len(labels) != len(runs):
        raise InputError(f'--labels: {len(labels)} for {len(runs)} runs')
    if len(set(labels)) < len(labels):
        raise InputError(f'--labels: {", ".join(map(printable, labels))} are not all different; give each run a name '
                         'of its own')
    series = {label: read_scalars(find_log(run)) for label, run in zip(labels, runs, strict=True)}
    losses = {name for one in series.values() for name in one if name.startswith('loss')}
    if len(losses) > MAX_LOSSES:
        raise InputError(f'{", ".join(map(printable, runs))}: {len(losses)} different losses are too many for one '
                         'picture; give logs of one network')
    with atomic_path(out) as temporary:
        FigureCanvasAgg(_figure(series)).print_figure(temporary, dpi=110)


def _figure(series: dict[str, dict[str, np.ndarray]]) -> Figure:
    """One small picture for each loss and metric; for ``series`` by run see :func:`read_scalars`."""
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
        for number, one in enumerate(series.values()):
            if name in one:
                axis.plot(*one[name].T, color=f'C{number}', linewidth=1, marker='' if name in losses else 'o')
        # Names are names and no formulas, whatever their dollar signs.
        axis.set_title(printable(name), parse_math=False)
        axis.set_xlabel('step' if name in losses else 'epoch')
        axis.set_yscale('log' if name in losses else 'linear')
        axis.grid(alpha=0.3, which='both')
    if len(series) > 1:
        _name_runs(axes[0], list(series))
    return figure


def _name_runs(axis: Axes, labels: Sequence[str]) -> None:
    """Put a legend into a picture; matplotlib itself would leave out a label that begins with an underscore."""
    lines = [Line2D([], [], color=f'C{number}', linewidth=1) for number in range(len(labels))]
    legend = axis.legend(lines, ['x'] * len(labels))
    for text, label in zip(legend.get_texts(), labels, strict=True):
        text.set_parse_math(False)
        text.set_text(printable(label))
