"""Draw detection curves of runs: precision-recall, recall against false alarms, by size and contrast, reliability.

The numbers are those of evaluation/detection_curves.py. Each ``draw_*`` fills one pair of axes, so that a report can
put them where it likes.
"""
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from textwrap import wrap
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bafenet.errors import InputError, printable
from bafenet.fileio import require_json_name, write_json

from ..evaluation.detection_curves import (
    ALL,
    KEYS,
    OTHER,
    SKY,
    BinnedRecall,
    DetectionCurves,
    numbers,
    require_one_truth,
)
from ..evaluation.metric import IOU_SUFFIXES
from ..evaluation.report import LEGACY
from ..evaluation.results import read_results
from ..evaluation.target_properties import CONTRAST, FRAME, QUANTITIES, SIZE, measure_targets
from .run_styles import line_style, name_runs, plain, require_labels, require_picture_name, save_figure, style

Runs = Mapping[str, DetectionCurves]
_SIDES = {SKY: 'false alarms in the sky', OTHER: 'false alarms out of the sky', ALL: 'all false alarms'}
_WIDTH, _HEIGHT = 3.8, 3.1  # inches of a panel: two fill a page, and 400 px of a screen are 4 inches
_KEY_WIDTH = 46  # characters


def draw_precision_recall(axes: Axes, runs: Runs, iou: float = 0.5) -> None:
    """Draw precision against recall at an IoU; the legend gives each run's VOC 2012 AP.

    Args:
        axes: Where to draw.
        runs: Curves by label.
        iou: 0.5 or 0.75.
    """
    for number, one in enumerate(runs.values()):
        curve = one.precision_recall[iou]
        axes.plot(curve.recall, curve.precision, linewidth=1.5, **line_style(number))
    axes.set(xlabel='recall', ylabel='precision', xlim=(0, 1.01), ylim=(0, 1.03),
             title=f'precision–recall, IoU {iou:g}{_sides(runs)}')
    name_runs(axes, [f'{label}: mAP_12 {one.precision_recall[iou].ap_12:.3f}' for label, one in runs.items()],
              loc='best', fontsize='small')
    _finish(axes)


def draw_false_alarms(axes: Axes, runs: Runs, side: str = SKY) -> None:
    """Draw recall against false alarms per frame, on one side of the true horizon or all, on a logarithmic axis.

    Its left end stands for none at all: half an alarm in all frames.

    Args:
        axes: Where to draw.
        runs: Curves by label; those without ``alarms`` are left out.
        side: ``'sky'``, ``'other'`` or ``'all'``.
    """
    left = 1.0
    for number, one in enumerate(runs.values()):
        if side in one.alarms:
            curve = one.alarms[side]
            least = 0.5 / curve.frames
            left = min(left, least)
            axes.step(np.maximum(curve.per_frame, least), curve.recall, where='post', linewidth=1.5,
                      **line_style(number))
    axes.set_xscale('log')
    axes.set_xlim(left=left)
    axes.set(xlabel='false alarms per frame (left end: none)', ylabel='recall', ylim=(0, 1.03),
             title=f'{_SIDES[side]}, IoU 0.5{_sides(runs)}')
    _finish(axes)


def draw_recall_by(axes: Axes, runs: Runs, quantity: str) -> None:
    """Draw the recall in each bin of a quantity with Wilson's 95 % interval, and how many targets the bin has.

    Args:
        axes: Where to draw.
        runs: Curves by label; those that do not know the quantity are left out.
        quantity: ``'size'``, ``'contrast'`` or ``'frame'``.
    """
    known = {number: one.recall_by[quantity] for number, one in enumerate(runs.values()) if quantity in one.recall_by}
    # Bins that are the same in all runs stand side by side without those that are empty.
    ranges = sorted({edges for one in known.values() for edges in _ranges(one)})
    step = min(0.8 / max(len(known), 1), 0.2)
    for place, (number, one) in enumerate(known.items()):
        filled = one.targets > 0
        x = np.array([ranges.index(edges) for edges in _ranges(one)]) + (place - (len(known) - 1) / 2) * step
        low, high = (ends[filled] for ends in one.interval())
        recall = one.recall[filled]
        # Wilson's interval holds the share itself; rounding may not.
        error = np.maximum([recall - low, high - recall], 0)
        axes.errorbar(x, recall, error, markersize=4.5, linewidth=1, elinewidth=1, capsize=2,
                      **{**style(number), 'linestyle': ''})
    axes.set_xticks(range(len(ranges)), [_range_name(*edges) for edges in ranges], fontsize='small')
    if len(ranges) > 5:
        axes.tick_params(axis='x', labelrotation=40)
    axes.set(xlabel=f'{QUANTITIES[quantity].label}; above: targets', ylabel='recall', xlim=(-0.6, len(ranges) - 0.4),
             title=f'recall by {_NAMES[quantity]}, IoU 0.5{_sides(runs)}')
    _write_counts(axes, ranges, list(known.values()))
    _finish(axes)


_NAMES = {SIZE: 'target size', CONTRAST: 'local contrast', FRAME: 'frame size'}


def _ranges(one: BinnedRecall) -> list[tuple[float, float]]:
    """Lower and upper edge of each bin that has targets."""
    pairs = zip(one.edges[:-1].tolist(), one.edges[1:].tolist(), strict=True)
    return [pair for pair, count in zip(pairs, one.targets, strict=True) if count]


def _range_name(low: float, high: float) -> str:
    return f'≥ {low:g}' if np.isinf(high) else f'< {high:g}' if low <= 0 else f'{low:g}–{high:g}'


def _write_counts(axes: Axes, ranges: Sequence[tuple[float, float]], known: Sequence[BinnedRecall]) -> None:
    """Write the number of targets above each bin, a line for each run where they differ."""
    counts = [dict(zip(_ranges(one), one.targets[one.targets > 0].tolist(), strict=True)) for one in known]
    counts = counts[:1] if all(one == counts[0] for one in counts) else counts
    for place, edges in enumerate(ranges):
        text = '\n'.join(str(one.get(edges, 0)) for one in counts)
        axes.text(place, 1.03, text, ha='center', va='bottom', fontsize='x-small')
    axes.set_ylim(0, 1.06 + 0.06 * len(counts))


def draw_reliability(axes: Axes, runs: Runs) -> None:
    """Draw the share of right boxes against their score, in bins of equal count; the legend gives the expected error.

    Bars are Wilson's 95 % intervals. On the diagonal scores are shares.

    Args:
        axes: Where to draw.
        runs: Curves by label; those without ``reliability`` are left out.
    """
    axes.plot([0, 1], [0, 1], color='0.5', linewidth=1, linestyle=':')
    for number, one in enumerate(runs.values()):
        bins = one.reliability
        if bins is not None:
            error = np.maximum([bins.shares - bins.low, bins.high - bins.shares], 0)
            axes.errorbar(bins.scores, bins.shares, error, markersize=4.5, linewidth=1.2, elinewidth=1, capsize=2,
                          **style(number))
    lowest = next((one.reliability.lowest for one in runs.values() if one.reliability is not None), 0)
    axes.set(xlabel=f'mean score of boxes ≥ {lowest:g}, ten bins of equal count', xlim=(0, 1.01), ylim=(0, 1.03),
             ylabel='share within 3 px of a target', title='reliability of scores')
    name_runs(axes, [f'{label}: error {one.reliability.error:.3f}' if one.reliability else f'{label}: no box'
                     for label, one in runs.items()], loc='best', fontsize='small')
    _finish(axes)


def _has_reliability(one: DetectionCurves) -> bool:
    return one.reliability is not None


def _has_alarms(side: str, one: DetectionCurves) -> bool:
    return side in one.alarms


def _has_bins(quantity: str, one: DetectionCurves) -> bool:
    return quantity in one.recall_by


def _sides(runs: Runs) -> str:
    return ' (sides x2 − x1 + 1)' if any(one.legacy_coordinates for one in runs.values()) else ''


def _finish(axes: Axes) -> None:
    axes.grid(alpha=0.3)
    axes.spines[['top', 'right']].set_visible(False)


class Panel(NamedTuple):
    """One picture of a figure: what draws it, and whether a run has what it shows."""

    draw: Callable[[Axes, Runs], None]
    known: Callable[[DetectionCurves], bool] = lambda one: True


PANELS = {
    'precision_recall_50': Panel(partial(draw_precision_recall, iou=0.5)),
    'precision_recall_75': Panel(partial(draw_precision_recall, iou=0.75)),
    **{f'alarms_{side}': Panel(partial(draw_false_alarms, side=side), partial(_has_alarms, side))
       for side in (SKY, OTHER, ALL)},
    **{quantity: Panel(partial(draw_recall_by, quantity=quantity), partial(_has_bins, quantity))
       for quantity in QUANTITIES},
    'reliability': Panel(draw_reliability, _has_reliability),
}


def figure(runs: Runs, panels: Sequence[str] = tuple(PANELS), columns: int = 2) -> Figure:
    """Draw panels of runs beside each other; a last cell names the runs, their frames, and what was left out.

    Args:
        runs: Curves by label.
        panels: Keys of :data:`PANELS`; those that no run has the numbers for are left out.
        columns: Panels in a row; two fill the width of a page.

    Raises:
        InputError: If none is left.
    """
    drawn = [PANELS[name] for name in panels if any(map(PANELS[name].known, runs.values()))]
    if not drawn:
        notes = [f'{label}: {note}' for label, one in runs.items() for note in one.notes]
        raise InputError(f'nothing to draw: {"; ".join(notes)}')
    columns = min(len(drawn) + 1, columns)
    rows = -(-(len(drawn) + 1) // columns)
    figure = Figure(figsize=(_WIDTH * columns, _HEIGHT * rows), layout='constrained')
    cells = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, panel in zip(cells, drawn, strict=False):
        panel.draw(axes, runs)
    for axes in cells[len(drawn):]:
        axes.set_axis_off()
    draw_key(cells[len(drawn)], runs)
    return figure


def draw_key(axes: Axes, runs: Runs) -> None:
    """Say which line is which run, what each was tested on, and what was left out.

    Args:
        axes: Where to draw.
        runs: Curves by label.
    """
    words = [[label, f'{one.frames:,} frames, {one.targets:,} targets', f'recall by bins at scores ≥ {one.score:.3g}']
             for label, one in runs.items()]
    notes = {note: [label for label, one in runs.items() if note in one.notes] for one in runs.values()
             for note in one.notes}
    below = ['bars: 95 % intervals (Wilson)', *(note if len(labels) == len(runs) else f'{", ".join(labels)}: {note}'
                                                for note, labels in notes.items())]
    name_runs(axes, ['\n'.join(part for line in lines for part in wrap(printable(line), _KEY_WIDTH))
                     for lines in words],
              markers=True, loc='upper left', fontsize='small', frameon=False, borderaxespad=0)
    text = axes.text(0.02, 0.02, '', transform=axes.transAxes, va='bottom', fontsize='x-small')
    plain(text, *(part for line in below for part in wrap(printable(line), _KEY_WIDTH + 10)))


def draw(results: Sequence[str],
         out: str,
         labels: Sequence[str] | None = None,
         json: str | None = None,
         score: float | None = None,
         frames: str | None = None,
         panels: Sequence[str] = tuple(PANELS),
         columns: int = 2,
         edges: Mapping[str, Sequence[float]] | None = None,
         legacy_coordinates: bool = False,
         different_splits: bool = False) -> dict[str, DetectionCurves]:
    """Read files of results, draw their curves into one figure and, with ``json``, write the numbers.

    Args:
        results: What ``tools/test.py --out`` wrote, a file a run.
        out: Picture, ``.png``, ``.svg`` or ``.pdf``.
        labels: Names of the runs; those of their files by default.
        json: JSON file for the numbers.
        score: The lowest score that counts in the recall by bins; None for each run's own, where its F1 is highest.
        frames: Folder of the frames, if they are not where the results say.
        panels: What to draw, keys of :data:`PANELS`.
        columns: Panels in a row.
        edges: Edges of bins by quantity, instead of those of ``QUANTITIES``.
        legacy_coordinates: Give boxes sides of ``x2 - x1 + 1``.
        different_splits: Draw runs of different splits, too.

    Returns:
        The numbers by label.

    Raises:
        InputError: If a file cannot be read or written, or runs are not of one split.
    """
    require_picture_name(out)
    require_json_name(json, '--json')
    labels = require_labels(labels, results)
    contents = {label: read_results(path, image_keys=KEYS) for label, path in zip(labels, results, strict=True)}
    if not different_splits:
        require_one_truth(contents)
    targets, runs = None, {}
    for (label, content), path in zip(contents.items(), results, strict=True):
        # One truth is measured once.
        targets = measure_targets(content['images'], frames) if targets is None or different_splits else targets
        try:
            runs[label] = numbers(content, score, edges, frames, legacy_coordinates, targets)
        except InputError as error:
            raise InputError(f'{printable(path)}: {error}') from error
        _check_agreement(path, content, runs[label])
    save_figure(figure(runs, panels, columns), out)
    if json:
        write_json(json, dict(runs={label: dict(results=Path(path).name, split=contents[label].get('split'),
                                                checkpoint=contents[label].get('checkpoint'), **one.to_dict())
                                    for (label, one), path in zip(runs.items(), results, strict=True)}))
    return runs


def _check_agreement(path: str, content: Mapping[str, Any], one: DetectionCurves) -> None:
    """Check that the boxes give the mAP_12 of the file; they do not where targets were ignored."""
    ending = LEGACY if one.legacy_coordinates else ''
    for iou, suffix in IOU_SUFFIXES.items():
        stated, ours = content.get('metrics', {}).get(f'densesirst/mAP_12{suffix}{ending}'), one.precision_recall[iou]
        if stated is not None and abs(stated - ours.ap_12) > 1e-6:
            raise InputError(f'{printable(path)}: its boxes give an mAP_12 of {ours.ap_12:.6f} at IoU {iou:g} and its '
                             f'metrics say {stated:.6f}; the file was changed, or the split has ignored targets')
