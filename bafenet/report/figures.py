"""Curves for the page: training and detection, each as a picture with its description and its numbers."""
import io
from collections.abc import Sequence, Sized
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bafenet.errors import InputError
from bafenet.evaluation.detection_curves import ALL, KEYS, OTHER, SKY, DetectionCurves, numbers, require_one_truth
from bafenet.evaluation.report import LEGACY
from bafenet.visualization.curves import MAX_PICTURES, METRICS, RATE, draw_series, is_loss, is_metric
from bafenet.visualization.detection_figures import PANELS
from bafenet.visualization.mask_figures import draw_detection, draw_roc
from bafenet.visualization.run_styles import name_runs

from .collect import Run
from .numbers import LEGACY_SIDES, by_sides
from .sheets import data_address

_DPI = 96  # CSS pixels an inch
_LARGEST_SVG = 400_000  # bytes; larger figures become pixels
_PANEL_SIZE = (4.6, 3.6)  # inches
_SIDES = {SKY: 'in the sky', OTHER: 'out of the sky', ALL: 'all'}
_LONGEST_NAME = 36  # characters in a picture
TITLES = {
    'precision_recall_50': 'Precision against recall, IoU 0.5',
    'precision_recall_75': 'Precision against recall, IoU 0.75',
    'alarms_sky': 'Recall against false alarms per frame in the true sky',
    'alarms_other': 'Recall against false alarms per frame out of the true sky',
    'alarms_all': 'Recall against all false alarms per frame',
    'size': 'Recall by size of the targets',
    'contrast': 'Recall by local contrast of the targets',
    'frame': 'Recall by size of the frames',
    'reliability': 'Share of right boxes by score',
}
_OF_MASKS = {'roc': ('ROC of target pixels', draw_roc),
             'detection': ('Targets detected (P_d) against pixels of false alarms (F_a)', draw_detection)}


def picture(figure: Figure, alt: str, caption: str) -> dict[str, Any]:
    """A figure for the template: a vector graphic, or pixels where that would be large; equal figures, equal bytes."""
    width, height = (round(side * _DPI) for side in figure.get_size_inches())
    out = io.BytesIO()
    with rc_context({'svg.hashsalt': 'bafenet', 'svg.fonttype': 'path'}):
        FigureCanvasAgg(figure).print_figure(out, format='svg', metadata={'Date': None, 'Creator': None})
    kind = 'image/svg+xml'
    if out.tell() > _LARGEST_SVG:
        out, kind = io.BytesIO(), 'image/png'
        FigureCanvasAgg(figure).print_figure(out, format='png', dpi=2 * _DPI, metadata={'Software': None})
    return dict(source=data_address(kind, out.getvalue()), width=width, height=height, alt=alt, caption=caption)


# --- Training ---------------------------------------------------------------------------------------------------------


def training_part(runs: Sequence[Run]) -> dict[str, Any] | None:
    """Training curves of the runs that have a log, and their numbers; None where there is no log.

    Raises:
        InputError: If there are more losses than fit a picture.
    """
    series: dict[str, dict[str, np.ndarray]] = {}
    for run in runs:
        # Several tests of one training have one log.
        if run.scalars and not any(_equal(run.scalars, known) for known in series.values()):
            series[run.label] = run.scalars
    if not series:
        return None
    names = _names_of(series)
    if len(names) > MAX_PICTURES:
        raise InputError(f'{len(names)} different curves are too many; give runs of one network')
    rows = [dict(name=f'{label}: {name}', kind='', cells=[number_cell(value) for value in (
        points[0, 1], points[:, 1].min(), points[:, 1].max(), points[-1, 1])] + [number_cell(points[-1, 0], 9)])
        for label, one in series.items() for name, points in one.items()]
    return dict(figures=[_curve(name, series) for name in names],
                table=dict(columns=['Curve', 'First', 'Lowest', 'Highest', 'Last', 'Last step or epoch'], rows=rows))


def _names_of(series: dict[str, dict[str, np.ndarray]]) -> list[str]:
    """What is drawn: losses, the learning rate, and the metrics that a person looks at first; the table has all."""
    held = {name for one in series.values() for name in one}
    losses = sorted(filter(is_loss, held), key=lambda name: (len(name), name))
    return losses + [RATE] * (RATE in held) + [name + ending for name in METRICS for ending in ('', LEGACY)
                                               if name + ending in held]


def _curve(name: str, series: dict[str, dict[str, np.ndarray]]) -> dict[str, Any]:
    """One curve of all runs as a picture; each run keeps its colour in all of them."""
    figure = Figure(figsize=_figure_size(series), layout='constrained')
    draw_series(figure.subplots(), series, name)
    _add_key(figure, short_names(list(series)))
    title = f'{"learning rate" if name == RATE else name} by {"epoch" if is_metric(name) else "step"}'
    having = ', '.join(label for label, one in series.items() if name in one)
    return picture(figure, f'{title} of {having}. The numbers are in the table below.', title)


def _figure_size(runs: Sized) -> tuple[float, float]:
    """Width and height in inches, with room for the names of several runs."""
    return _PANEL_SIZE[0], _PANEL_SIZE[1] + (0.2 * len(runs) if len(runs) > 1 else 0)


def short_names(labels: Sequence[str]) -> list[str]:
    """Names of runs that leave room for the curves; of long ones the ends, and a number where these are alike."""
    short = [label if len(label) <= _LONGEST_NAME else f'{label[:_LONGEST_NAME - 13]}…{label[-12:]}'
             for label in labels]
    return [f'{number}: {name}' if short.count(name) > 1 else name for number, name in enumerate(short, 1)]


def _add_key(figure: Figure, labels: Sequence[str]) -> None:
    if len(labels) > 1:
        name_runs(figure, labels, markers=True, loc='outside lower center', ncols=1, fontsize='small')


def _equal(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def number_cell(value: float | None, digits: int = 4) -> dict[str, Any]:
    """A cell of a table that holds a number; an empty one for None or NaN."""
    if value is None or not np.isfinite(value):
        return dict(text='', value=None, mark='')
    return dict(text=f'{value:.{digits}g}', value=float(value), mark='')


# --- Detection --------------------------------------------------------------------------------------------------------


def detection_part(runs: Sequence[Run], score: float | None, folder: str | None) -> dict[str, Any] | None:
    """Detection curves of the runs whose results say what was found in each frame, or hold curves of target masks.

    None where there is no such run.

    Args:
        runs: The runs.
        score: The lowest score that counts in the recall by bins; None for each run's own, where its F1 is highest.
        folder: Where frames are looked for that are not where the results say.
    """
    of_masks = _mask_curves(runs)
    curves, notes = {}, []
    for run in runs:
        if run.images and all(key in image for image in run.images for key in KEYS):
            try:
                curves[run.label] = numbers(run.results, score, folder=folder,
                                            legacy_coordinates=list(by_sides(run.metrics)) == [LEGACY_SIDES])
            except InputError as error:
                notes.append(f'{run.label}: no curves: {error}')
    if not curves:
        return dict(figures=of_masks[0], tables=of_masks[1], notes=notes) if notes or of_masks[0] else None
    notes += [f'{label}: {note}' for label, one in curves.items() for note in one.notes]
    notes += _mixed(runs, curves)
    drawn = [name for name, panel in PANELS.items() if any(map(panel.known, curves.values()))]
    return dict(figures=[*(_panel(name, curves) for name in drawn), *of_masks[0]], notes=notes,
                tables=[*_tables(curves), *of_masks[1]])


def _mask_curves(runs: Sequence[Run]) -> tuple[list[dict[str, Any]], list[tuple[str, dict[str, Any]]]]:
    """Figures and tables of the curves of target masks, of the runs that have some."""
    figures, tables = [], []
    for kind, (title, draw) in _OF_MASKS.items():
        having = {run.label: run.results['curves'][kind] for run in runs if kind in run.results.get('curves', {})}
        if not having:
            continue
        figure = Figure(figsize=_figure_size(having), layout='constrained')
        draw(figure.subplots(), having)
        _add_key(figure, short_names(list(having)))
        figures.append(picture(figure, f'{title}: {", ".join(having)}. The numbers are in the tables below.', title))
        tables.append(_rate_table(kind, having))
    return figures, tables


def _rate_table(kind: str, having: dict[str, dict[str, list[float]]]) -> tuple[str, dict[str, Any]]:
    """The highest rate of found ones at no more than some false alarms."""
    false, true, rates, caption = {
        'roc': ('false_positive_rate', 'true_positive_rate', (1e-6, 1e-5, 1e-4, 1e-3, 1e-2),
                'Highest true positive rate of pixels at a false positive rate of no more than …'),
        'detection': ('F_a', 'P_d', (1, 3, 10, 30, 100, 1000), 'Highest P_d, %, at an F_a (1e-6) of no more than …'),
    }[kind]
    rows = [dict(name=label, kind='', cells=[
        number_cell(np.max(np.array(curve[true])[np.array(curve[false]) <= rate], initial=0)) for rate in rates])
        for label, curve in having.items()]
    return caption, dict(columns=['Run', *(f'{rate:g}' for rate in rates)], rows=rows)


def _mixed(runs: Sequence[Run], curves: dict[str, DetectionCurves]) -> list[str]:
    """What is unlike in curves that stand in one picture."""
    notes = []
    if len(curves) > 1:
        try:
            require_one_truth({run.label: run.results for run in runs if run.label in curves})
        except InputError as error:
            notes.append('The runs were not tested on the same frames and boxes, so that their curves do not compare: '
                         f'{str(error).split(": give")[0]}.')
        if len({one.legacy_coordinates for one in curves.values()}) > 1:
            legacy = ', '.join(label for label, one in curves.items() if one.legacy_coordinates)
            notes.append(f'Boxes of {legacy} have sides x2 − x1 + 1, those of the others x2 − x1: their curves do not '
                         'compare.')
    return notes


def _panel(name: str, curves: dict[str, DetectionCurves]) -> dict[str, Any]:
    figure = Figure(figsize=_figure_size(curves), layout='constrained')
    short = dict(zip(short_names(list(curves)), curves.values(), strict=True))
    PANELS[name].draw(figure.subplots(), short)
    if not name.startswith(('precision_recall', 'reliability')):  # they have keys of their own
        _add_key(figure, list(short))
    title = TITLES.get(name, name)
    return picture(figure, f'{title}: {", ".join(curves)}. The numbers are in the tables below.', title)


def _tables(curves: dict[str, DetectionCurves]) -> list[tuple[str, dict[str, Any]]]:
    """The numbers behind the pictures: precision at recalls, recalls at false alarms, recalls by bins."""
    levels = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
    precision = [dict(name=f'{label}, IoU {iou:g}', kind='', cells=[
        number_cell(max(curve.precision[curve.recall >= level], default=None), 3) for level in levels])
        for label, one in curves.items() for iou, curve in one.precision_recall.items()]
    rates = (0.01, 0.03, 0.1, 0.3, 1, 3, 10)
    alarms = [dict(name=f'{label}, {_SIDES[side]}', kind='', cells=[
        number_cell(np.max(curve.recall[curve.per_frame <= rate], initial=0), 3) for rate in rates])
        for label, one in curves.items() for side, curve in one.alarms.items()]
    tables = [('Highest precision at a recall of at least …', dict(columns=['Run', *map(str, levels)], rows=precision))]
    if alarms:
        tables.append(('Recall at no more false alarms per frame than …',
                       dict(columns=['Run', *map(str, rates)], rows=alarms)))
    return [*tables, *_bins(curves), *_reliability(curves)]


def _bins(curves: dict[str, DetectionCurves]) -> list[tuple[str, dict[str, Any]]]:
    tables = []
    for quantity in dict.fromkeys(name for one in curves.values() for name in one.recall_by):
        rows = []
        for label, one in curves.items():
            if binned := one.recall_by.get(quantity):
                low, high = binned.interval()
                rows += [dict(name=f'{label}, {binned.edges[i]:g} to {binned.edges[i + 1]:g}', kind='', cells=[
                    number_cell(binned.recall[i], 3), number_cell(low[i], 3), number_cell(high[i], 3),
                    number_cell(binned.found[i], 8), number_cell(binned.targets[i], 8)])
                    for i in np.flatnonzero(binned.targets)]
        tables.append((TITLES.get(quantity, quantity),
                       dict(columns=['Run and bin', 'Recall', '95 % from', '95 % to', 'Found', 'Targets'], rows=rows)))
    return tables


def _reliability(curves: dict[str, DetectionCurves]) -> list[tuple[str, dict[str, Any]]]:
    """The bins of scores of each run, and in their captions the expected calibration error."""
    tables = []
    for label, one in curves.items():
        if (bins := one.reliability) is not None:
            rows = [dict(name=f'{label}, bin {number}', kind='', cells=[number_cell(value, 3) for value in (
                mean, share, low, high)] + [number_cell(count, 8)]) for number, (mean, share, low, high, count) in
                enumerate(zip(bins.scores, bins.shares, bins.low, bins.high, bins.counts, strict=True), 1)]
            tables.append((f'{TITLES["reliability"]}, {label}: expected calibration error {bins.error:.3f}',
                           dict(columns=['Run and bin', 'Mean score', 'Share right', '95 % from', '95 % to', 'Boxes'],
                                rows=rows)))
    return tables
