"""Training curves: what a run's losses, its validation metrics and its learning rate did, step by step."""
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bafenet.errors import InputError, printable
from bafenet.fields import require_dict, require_number
from bafenet.reading import parse_json, read_regular, reason_of
from bafenet_command import call_of

from .run_styles import line_style, name_runs, plain, require_labels, require_picture_name, save_figure, style

METRICS = ('mAP_12', 'mAP_12_iou75', 'recall', 'sky_iou', 'irstd/IoU', 'irstd/nIoU', 'irstd/P_d', 'irstd/F_a')
ALL, NONE = 'all', 'none'
PREFIX = 'densesirst/'
# The step size that is applied, and the factor of the config in it; see engine/learning_rate_hook.py.
RATE, FACTOR = 'lr', 'base_lr'
MAX_LOSSES, MAX_PICTURES = 48, 96
Series = dict[str, np.ndarray]
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


def read_scalars(path: Path) -> Series:
    """Read what mmengine logs, one JSON object a line.

    Returns:
        By name, float (n, 2), step and value: each loss (``loss`` is the sum of all), the learning rates ``lr`` and
        ``base_lr``, and each metric, without ``densesirst/``; a metric of another evaluator keeps its prefix. The step
        of a metric is its epoch.

    Raises:
        InputError: If the file is not such a log, or a value is not finite.
    """
    series: dict[str, list] = {}
    try:
        for number, line in enumerate(read_regular(path).splitlines(), 1):
            for name, point in _points(line, number).items():
                series.setdefault(name, []).append(point)
    except (OSError, ValueError) as error:
        raise InputError(f'{printable(path)}: not a training log of mmengine (scalars.json): {reason_of(error)}; give '
                         'another, or a copy without what is from there on') from None
    if not any(map(is_loss, series)):
        raise InputError(f'{printable(path)}: the log holds no loss')
    return {name: np.array(values, float) for name, values in series.items()}


def is_loss(name: str) -> bool:
    """Whether a series is a loss."""
    return name.startswith('loss')


def is_metric(name: str) -> bool:
    """Whether a series is a metric of the validation."""
    return not is_loss(name) and name not in (RATE, FACTOR)


def _points(line: bytes, number: int) -> dict[str, tuple[float, float]]:
    """Step and value of each loss, learning rate and metric of one line."""
    try:
        record = require_dict(parse_json(line), 'it')
        names = [name for name in record if is_loss(name) or name in (RATE, FACTOR) or '/' in name]
        if not names:
            return {}
        step = require_number(require_dict(record, 'it', ['step'])['step'], 'step', 0)
        return {name.removeprefix(PREFIX): (step, require_number(record[name], name, -LARGEST, LARGEST))
                for name in names}
    except ValueError as error:
        # What a training leaves that went astray.
        astray = b'NaN' in line or b'Infinity' in line
        raise ValueError(f'line {number}: {"a value is not finite" if astray else reason_of(error)}') from None


def draw(runs: Sequence[str], out: str, labels: Sequence[str] | None = None,
         metrics: Sequence[str] | None = None) -> None:
    """Draw the losses of runs, their learning rates and, where they were validated, their metrics.

    Args:
        runs: Work dirs, or ``scalars.json`` files.
        out: Picture, ``.png``, ``.svg`` or ``.pdf``.
        labels: Names of the runs; those of their folders by default.
        metrics: See :func:`figure`.

    Raises:
        InputError: If a log cannot be read, the picture cannot be written, labels and runs differ in number, two runs
            have one label, or no log holds a metric.
    """
    require_picture_name(out)
    labels = require_labels(labels, runs)
    series = {label: read_scalars(find_log(run)) for label, run in zip(labels, runs, strict=True)}
    losses = {name for one in series.values() for name in one if is_loss(name)}
    if len(losses) > MAX_LOSSES:
        raise InputError(f'{", ".join(map(printable, runs))}: {len(losses)} different losses are too many for one '
                         'picture; give logs of one network')
    save_figure(figure(series, metrics), out)


def figure(series: dict[str, Series], metrics: Sequence[str] | None = None) -> Figure:
    """One small picture for each loss, for the learning rate and for each metric.

    Args:
        series: By run; see :func:`read_scalars`.
        metrics: Names of metrics, ``['all']`` or ``['none']``; by default those of ``METRICS`` that a log holds.

    Raises:
        InputError: If no log holds one of them, or there are too many pictures.
    """
    held = {name for one in series.values() for name in one}
    losses = sorted(filter(is_loss, held), key=lambda name: (len(name), name))
    names = losses + [RATE] * (RATE in held) + _chosen_metrics(sorted(filter(is_metric, held)), metrics)
    if len(names) > MAX_PICTURES:
        raise InputError(f'{len(names)} pictures are too many for one figure; name fewer by --metrics')
    columns = min(len(names), 3)
    rows = -(-len(names) // columns)
    drawing = Figure(figsize=(4 * columns, 2.8 * rows), layout='constrained')
    axes = drawing.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes[len(names):]:
        axis.remove()
    for axis, name in zip(axes, names, strict=False):
        draw_series(axis, series, name)
    if len(series) > 1:
        name_runs(axes[0], list(series), markers=True)
    return drawing


def _chosen_metrics(held: Sequence[str], wanted: Sequence[str] | None) -> list[str]:
    """Of the metrics that logs hold, those that are wanted, in their order."""
    if wanted is None:
        return [name for name in METRICS if name in held]
    if ALL in wanted:
        first = [name for name in METRICS if name in held]
        return first + [name for name in held if name not in first]
    names = list(dict.fromkeys(name.removeprefix(PREFIX) for name in wanted if name != NONE))
    absent = [name for name in names if name not in held]
    if absent:
        raise InputError(f'--metrics {", ".join(map(printable, absent))}: not in the log; it holds '
                         f'{", ".join(map(printable, held)) or "no metric, for the run was not validated"}')
    return names


def is_estimated(series: Series) -> bool:
    """Whether the optimizer of a run estimates its step size: ``lr`` is no fixed multiple of ``base_lr``."""
    if RATE not in series or FACTOR not in series or series[RATE].shape != series[FACTOR].shape:
        return False
    rate, factor = series[RATE][:, 1], series[FACTOR][:, 1]
    return not np.allclose(rate * factor[0], factor * rate[0], rtol=1e-3, atol=0)


def draw_series(axis: Axes, series: dict[str, Series], name: str) -> None:
    """Draw one loss, metric or the learning rate of runs; losses and learning rates on a logarithmic axis.

    The learning rate is the step size that was applied, d · lr under D-Adaptation and Prodigy, which estimate d; the
    factor lr of the config is drawn thinly where it is another.

    Args:
        axis: Where to draw.
        series: By run; see :func:`read_scalars`.
        name: Of the series.
    """
    by_step, estimated = not is_metric(name), False
    for number, one in enumerate(series.values()):
        if name in one:
            axis.plot(*one[name].T, linewidth=1.2, markersize=4, **(line_style if by_step else style)(number))
        if name == RATE and is_estimated(one):
            estimated = True
            axis.plot(*one[FACTOR].T, linewidth=0.7, alpha=0.6, **line_style(number))
    plain(axis.title, 'learning rate: d · lr, and thinly lr' if estimated else
          'learning rate' if name == RATE else name)
    axis.set_xlabel('step' if by_step else 'epoch')
    positive = any((one[name][:, 1] > 0).any() for one in series.values() if name in one)
    axis.set_yscale('log' if by_step and positive else 'linear')
    axis.grid(alpha=0.3, which='both')
