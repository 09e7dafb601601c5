"""Calibrate scores: fit a monotone map from results of tests, measure it cross-fitted, print it for a config."""
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.optimize import minimize
from scipy.special import expit, xlog1py, xlogy

from bafenet.compat.config_text import parse_config
from bafenet.engine.config_paths import setting
from bafenet.errors import InputError, printable
from bafenet.fileio import require_json_name, write_json
from bafenet.markup import cell

from ..evaluation.calibration import BINS, LOWEST, Judged, judge, reliability
from ..evaluation.detection_curves import KEYS
from ..evaluation.results import read_results
from ..models.score_calibration import KEY, MIN_SLOPE, knots_of
from .recording_halves import halves_of

MOST_KNOTS = 12  # of a map, without its ends
PRECISION = 0.9
_OPTION = f'model.test_cfg.{KEY}'
_LARGEST = (20.0, 20.0, 50.0)  # coefficients: where right and wrong boxes do not overlap nothing else bounds them
_CLOSE_ENOUGH = 0.002  # of a piecewise linear map to the smooth one
_GRID = np.linspace(0, 1, 1001)
Map = dict[str, list[float]]


class Source(NamedTuple):
    """Results of one file.

    Attributes:
        path: The file.
        images: Its images.
        boxes: Those of its boxes that are right or wrong.
    """

    path: str
    images: list[dict[str, Any]]
    boxes: Judged


def calibrate(results: Sequence[str], recordings: str | None = None, precision: float = PRECISION,
              out: str | None = None) -> dict[str, Any]:
    """Fit a map of scores, print how well calibrated boxes are with and without it, and the map.

    Args:
        results: What ``tools/test.py --out`` wrote, of scores that are not calibrated; each file weighs the same.
        recordings: ``groups.txt`` of ``tools/dataset/recordings.py``, the frames of one recording in a line; None to
            find recordings by the frames or, where these are not here, by their names.
        precision: The share of right boxes from which boxes are likely targets, in (0, 1).
        out: JSON file for the numbers.

    Returns:
        ``calibration``, as ``model.test_cfg.calibration`` takes it; ``precision``; ``recordings``, how they were found;
        ``files``: by file ``results``, ``boxes``, ``raw``, ``fitted`` and ``cross_fitted``
        (:meth:`~bafenet.evaluation.calibration.Reliability.to_dict`, or None where it is not known).

    Raises:
        InputError: If a file cannot be read, holds calibrated scores, or has too few boxes to fit anything.
    """
    require_json_name(out)
    sources = [read_source(path) for path in results]
    halves, found_by = halves_of([source.images for source in sources], recordings)
    fitted = fit([source.boxes for source in sources])
    likely = likely_score(sources, fitted, precision)
    crossed = cross_fit(sources, halves)
    report = dict(
        calibration=dict(fitted, **({} if likely is None else dict(likely=likely))), precision=precision,
        recordings=found_by,
        files=[dict(results=Path(source.path).name, boxes=int((source.boxes.scores >= LOWEST).sum()), **{
            name: bins and bins.to_dict() for name, bins in (
                ('raw', reliability(source.boxes.scores, source.boxes.is_right)),
                ('fitted', reliability(apply(fitted, source.boxes.scores), source.boxes.is_right)),
                ('cross_fitted', None if scores is None else reliability(scores, source.boxes.is_right)))})
            for source, scores in zip(sources, crossed, strict=True)])
    print_report(report)
    if out:
        write_json(out, report)
    return report


def read_source(path: str) -> Source:
    """Read what ``tools/test.py --out`` wrote.

    Raises:
        InputError: If the file cannot be read, or its scores are calibrated.
    """
    content = read_results(path, image_keys=KEYS)
    text = content.get('resolved_config')
    try:
        calibrated = setting(parse_config(text, 'it') if text else {}, 'model', 'test_cfg', KEY)
    except InputError:
        calibrated = False  # a config of code, which tests of this kind do not write
    if calibrated:
        raise InputError(f'{printable(path)}: its scores are calibrated already; test again with --cfg-options '
                         f'{_OPTION}=False')
    images = content['images']
    return Source(path, images, judge(images))


# --- The map ----------------------------------------------------------------------------------------------------------


def fit(sources: Sequence[Judged]) -> Map:
    """Fit beta calibration: the share of right boxes at a score s is ``sigmoid(a ln s - b ln(1 - s) + c)``, a, b ≥ 0.

    Kull, Silva Filho and Flach, Beta calibration, AISTATS 2017: three numbers, which a few hundred boxes determine, and
    cross-fitted the errors are below those of isotonic regression. Boxes below 0.1, nearly all wrong, would weigh more
    than all others and do not count. The smooth map becomes a piecewise linear one of at most 12 knots.

    Args:
        sources: Boxes; each source weighs the same, however many it has.

    Returns:
        ``scores`` and ``shares`` of the knots, without (0, 0) and (1, 1).

    Raises:
        InputError: If there are not both right and wrong boxes.
    """
    counted = [source.scores >= LOWEST for source in sources]
    scores, right = (np.concatenate([values[kept] for values, kept in zip(column, counted, strict=True)])
                     for column in ([one.scores for one in sources], [one.is_right for one in sources]))
    weights = np.concatenate([np.full(kept.sum(), 1 / max(kept.sum(), 1)) for kept in counted])
    if right.all() or not right.any():
        raise InputError(f'{len(right)} boxes of a score of {LOWEST:g} or more, {int(right.sum())} of them right: both '
                         'right and wrong ones are needed; give results of more frames, or of a lower score_thr')
    features = _features(scores)
    weights *= len(scores) / weights.sum()

    def loss(coefficients: np.ndarray) -> tuple[float, np.ndarray]:
        logits = features @ coefficients
        return (float((weights * (np.logaddexp(0, logits) - right * logits)).sum()),
                features.T @ (weights * (expit(logits) - right)))

    start, bounds = np.array([1, 1, 0]), [(0, _LARGEST[0]), (0, _LARGEST[1]), (-_LARGEST[2], _LARGEST[2])]
    found = minimize(loss, start, jac=True, bounds=bounds, method='L-BFGS-B').x
    return _knots(lambda values: expit(_features(values) @ found))


def apply(fitted: Map, scores: np.ndarray) -> np.ndarray:
    """Scores (N, ) through a map of :func:`fit`."""
    return np.interp(scores, *knots_of(fitted))


def _features(scores: np.ndarray) -> np.ndarray:
    """Ln s, -ln(1 - s) and 1: float (N, 3)."""
    inside = scores.clip(1e-6, 1 - 1e-6)
    return np.stack([xlogy(1, inside), -xlog1py(1, -inside), np.ones_like(inside)], axis=1)


def _knots(curve: Callable[[np.ndarray], np.ndarray]) -> Map:
    """A piecewise linear map near a monotone curve, knots where it is farthest until it is near enough."""
    # Never flat, so that scores keep their order.
    values = (1 - 4 * MIN_SLOPE) * curve(_GRID) + 4 * MIN_SLOPE * _GRID
    values[[0, -1]] = 0, 1
    chosen = [0, len(_GRID) - 1]
    while len(chosen) < MOST_KNOTS + 2:
        error = np.abs(np.interp(_GRID, _GRID[chosen], values[chosen]) - values)
        if error.max() <= _CLOSE_ENOUGH:
            break
        chosen = sorted([*chosen, int(error.argmax())])
    inner = chosen[1:-1] or [len(_GRID) // 2]
    return dict(scores=_GRID[inner].round(3).tolist(), shares=values[inner].round(6).tolist())


# --- How good it is ---------------------------------------------------------------------------------------------------


def cross_fit(sources: Sequence[Source], halves: Sequence[np.ndarray] | None) -> Sequence[np.ndarray | None]:
    """Scores of each source's boxes by the map that was fitted without their recordings.

    Args:
        sources: The results.
        halves: Of each source, the half that each image is in, 0 or 1, int (n, ); None of a single recording.

    Returns:
        float (N, ) of each source, or None of each where a half alone fits nothing.
    """
    unknown = [None] * len(sources)
    if halves is None:
        return unknown
    sides = [half[source.boxes.image] for source, half in zip(sources, halves, strict=True)]
    try:
        maps = [fit([_subset(source.boxes, side != half) for source, side in zip(sources, sides, strict=True)])
                for half in (0, 1)]
    except InputError:
        return unknown
    return [np.where(side == 0, apply(maps[0], source.boxes.scores), apply(maps[1], source.boxes.scores))
            for source, side in zip(sources, sides, strict=True)]


def _subset(boxes: Judged, kept: np.ndarray) -> Judged:
    return Judged(*(values[kept] for values in boxes))


def likely_score(sources: Sequence[Source], fitted: Map, precision: float) -> float | None:
    """The lowest calibrated score, in thousandths, from which boxes are right by the precision, a mean over the files.

    Asked of each file alone, it would follow the one with the most clutter and hide most targets of all others.

    Returns:
        None where there is none; a source without such boxes does not count.
    """
    thresholds = _GRID[1:-1].round(3)
    total, some = np.zeros(len(thresholds)), np.zeros(len(thresholds), int)
    for source in sources:
        scores = apply(fitted, source.boxes.scores)
        order = np.argsort(scores, kind='stable')
        # How many boxes from each one on are right, none of them behind the last.
        right = np.append(np.cumsum(source.boxes.is_right[order][::-1])[::-1], 0)
        first = np.searchsorted(scores[order], thresholds)
        count = len(scores) - first
        total += right[first] / np.maximum(count, 1)
        some += count > 0
    return next(iter(thresholds[(some > 0) & (total >= precision * some)].tolist()), None)


# --- Printing ---------------------------------------------------------------------------------------------------------


def print_report(report: dict[str, Any]) -> None:
    """Print what :func:`calibrate` gives: errors, recordings, the map as an option and as a dict."""
    console = Console()
    table = Table('results', title=f'expected calibration error, boxes of scores ≥ {LOWEST:g} in {BINS} bins of equal '
                  'count')
    for column in ('boxes', 'raw', 'fitted', 'cross-fitted'):
        table.add_column(column, justify='right')
    for one in report['files']:
        table.add_row(cell(one['results']), str(one['boxes']), *(
            'n/a' if one[name] is None else f'{one[name]["error"]:.3f}' for name in ('raw', 'fitted', 'cross_fitted')))
    console.print(table)
    calibration = report['calibration']
    likely = calibration.get('likely')
    text = ', '.join(f'{key}={value!r}' for key, value in calibration.items())
    print(printable(report['recordings']),
          f'no score from which {report["precision"]:g} of the boxes are right' if likely is None else
          f'likely targets: boxes of calibrated scores ≥ {likely:g}, of which {report["precision"]:g} are right, '
          'each file weighing the same', '', 'in a config, model.test_cfg:', f'{KEY}=dict({text})', '', 'as an option:',
          f'--cfg-options {shlex.quote(f"{_OPTION}=dict({text})")}', sep='\n')
