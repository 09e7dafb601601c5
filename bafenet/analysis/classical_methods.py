"""Measure classical methods on frames with target masks, by pixel and by target; draw found against false alarms."""
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from matplotlib.figure import Figure
from mmdet.registry import DATASETS
from mmengine.registry import init_default_scope
from rich.console import Console
from rich.table import Table

from bafenet.classical import METHODS, RULES
from bafenet.errors import InputError, printable
from bafenet.fields import require_dict, require_list, require_numbers, require_text
from bafenet.fileio import require_json_name, write_json
from bafenet.markup import cell
from bafenet.parallel import map_with_progress
from bafenet.reading import read_json
from bafenet_command import call_of

from ..devkit.box_matching import component_boxes, component_maxima
from ..engine.silent_logging import quiet
from ..evaluation.centre_matching import match_centres
from ..evaluation.irstd_metric import IRSTDMetric
from ..evaluation.matching import Instances
from ..visualization.run_styles import line_style, name_runs, plain, require_picture_name, save_figure

_COLUMNS = {'IoU': ('IoU', '.4f'), 'P_d': ('P_d, %', '.2f'), 'F_a': ('F_a, 1e-6', '.1f')}  # of the printed table
_PEAK = 5  # a detection of a curve is the largest response of so many pixels each way
_PEAKS = 100  # of a frame
_WHAT = f'what {call_of("classical")} measure --out writes'


def measure(data_root: str,
            split: str,
            methods: Sequence[str] = tuple(METHODS),
            workers: int = 1,
            limit: int | None = None,
            out: str | None = None) -> dict:
    """Run classical methods over a split, and print and write what they are worth.

    Args:
        data_root: Folder of frames and target masks, in a layout that ``SIRSTSegDataset`` knows.
        split: Split file, below ``data_root``; empty for all frames.
        methods: Keys of ``bafenet.classical.METHODS``.
        workers: Processes.
        limit: Take every so many-th frame that at most so many are left.
        out: JSON file to write.

    Returns:
        ``data_root``, ``split``, ``frames``, and ``methods``: for each ``ms`` (milliseconds of processor time a frame),
        ``rules`` (by threshold rule the pixel metrics of ``IRSTDMetric``, and ``found`` and ``alarms``) and ``curve``
        (``found`` and ``alarms`` of its peaks by falling response). ``found`` is the share of the targets that are
        found by their centres (``evaluation.centre_matching``), ``alarms`` false alarms a frame.

    Raises:
        InputError: If the data or the name of the file are not as they should be.
    """
    require_json_name(out)
    measured = measure_frames(dict(data_root=data_root, ann_file=split), methods, workers, limit)
    results = dict(data_root=data_root, split=split, **measured)
    if out:
        write_json(out, results)
    _print(results)
    return results


def measure_frames(dataset: Mapping[str, Any], methods: Sequence[str], workers: int = 1,
                   limit: int | None = None) -> dict:
    """Run classical methods over the frames of a dataset.

    Args:
        dataset: Arguments of ``SIRSTSegDataset`` that say which frames: ``data_root``, ``ann_file`` and the like.
        methods: As of :func:`measure`; ``workers`` and ``limit`` likewise.
        workers: Processes.
        limit: Take every so many-th frame that at most so many are left.

    Returns:
        ``frames`` and ``methods`` of :func:`measure`.

    Raises:
        InputError: If the data are not as they should be.
    """
    init_default_scope('mmdet')
    frames_of = DATASETS.build(dict(
        type='SIRSTSegDataset', with_boxes=True, test_mode=True,
        pipeline=[dict(type='LoadInfraredImage'), dict(type='LoadTargetMask')], **dataset))
    count = len(frames_of) if limit is None else min(limit, len(frames_of))
    frames = np.linspace(0, len(frames_of) - 1, count).round().astype(int).tolist()
    measured = list(map_with_progress(partial(_measure_frame, frames_of, list(methods)), frames, workers, 'frames'))
    with quiet():  # the metric says that masks have no probabilities
        sums = {name: _sum_up([frame[name] for frame in measured]) for name in methods}
    return dict(frames=len(frames), methods=sums)


def _measure_frame(dataset: Any, methods: Sequence[str], index: int) -> dict[str, dict]:
    """What each method gives for one frame: pixel counts by rule, targets found by rule and by peak, seconds."""
    frame = dataset[index]
    image = frame['img']
    grey = (image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)).astype(np.float64)
    truth = Instances(np.array([one['bbox'] for one in frame['instances']], float).reshape(-1, 4),
                      np.zeros(len(frame['instances']), int))
    results = {}
    for name in methods:
        begun = time.process_time()
        response = METHODS[name](grey)
        seconds = time.process_time() - begun
        masks = {rule: response > threshold(response) for rule, threshold in RULES.items()}
        results[name] = dict(
            seconds=seconds, targets=len(truth.boxes), peaks=_matched(*_peaks(response), truth),
            pixels={rule: _pixel_counts(frame, mask) for rule, mask in masks.items()},
            components={rule: _matched(*_components(response, mask), truth) for rule, mask in masks.items()})
    return results


def _pixel_counts(frame: dict, mask: np.ndarray) -> list[dict]:
    metric = IRSTDMetric()
    truth = torch.from_numpy(np.ascontiguousarray(frame['gt_target_mask']))[None]
    metric.process(None, [dict(img_id=frame['img_id'], gt_target_mask=dict(sem_seg=truth),
                               pred_sem_seg=dict(sem_seg=torch.from_numpy(mask[None].astype(np.uint8))))])
    return metric.results


def _peaks(response: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The strongest local maxima of a response, boxes and responses; neighbours that are equally strong are one."""
    highest = cv2.dilate(response, np.ones((2 * _PEAK + 1, 2 * _PEAK + 1), np.uint8))
    boxes, strength = _components(response, (response == highest) & (response > 0))
    kept = np.argsort(-strength, kind='stable')[:_PEAKS]
    return boxes[kept], strength[kept]


def _components(response: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The 8-connected components of a mask as boxes (N, 4), and their largest responses (N,)."""
    return component_boxes(mask), component_maxima(mask, response)


def _matched(boxes: np.ndarray, strength: np.ndarray, truth: Instances) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The strength of detections, which of them find a target, and which are false alarms; each (N,)."""
    none = Instances(np.zeros((0, 4)), np.zeros(0, int))
    return strength, *match_centres(Instances(boxes, np.zeros(len(boxes), int), strength), truth, none, 1)


def _sum_up(frames: list[dict]) -> dict:
    """The numbers of one method over all frames."""
    targets = sum(frame['targets'] for frame in frames)
    scores, found, alarms = (np.concatenate(part) for part in zip(*(frame['peaks'] for frame in frames), strict=True))
    order = np.argsort(-scores, kind='stable')
    found, alarms = np.cumsum(found[order]), np.cumsum(alarms[order])
    # Where another target is found, and the last: all that the curve turns on.
    turns = np.unique(np.append(np.flatnonzero(np.diff(found, prepend=0)), max(len(found) - 1, 0)))[:len(found)]
    rules = {}
    for rule in RULES:
        metric = IRSTDMetric()
        counts = [np.sum([frame['components'][rule][part].sum() for frame in frames]) for part in (1, 2)]
        rules[rule] = dict(metric.compute_metrics([one for frame in frames for one in frame['pixels'][rule]]),
                           **(dict(found=float(counts[0] / targets)) if targets else {}),
                           alarms=float(counts[1] / len(frames)))
    return dict(ms=1000 * float(np.mean([frame['seconds'] for frame in frames])), rules=rules,
                curve=dict(found=(found[turns] / max(targets, 1)).tolist(),
                           alarms=(alarms[turns] / len(frames)).tolist()))


def _print(results: dict) -> None:
    table = Table(title=cell(f'{results["data_root"]}, {results["frames"]} frames; false alarms and ms are a frame\'s'))
    for head in ('method', 'rule', *(head for head, _ in _COLUMNS.values()), 'found, %', 'alarms', 'ms'):
        table.add_column(head, justify='left' if head in ('method', 'rule') else 'right')
    for name, method in results['methods'].items():
        for rule, values in method['rules'].items():
            numbers = [format(values[key], spec) if key in values else 'n/a' for key, (_, spec) in _COLUMNS.items()]
            share = f'{100 * values["found"]:.1f}' if 'found' in values else 'n/a'
            table.add_row(cell(name), rule, *numbers, share, f'{values["alarms"]:.2f}', f'{method["ms"]:.0f}')
    Console().print(table)


def draw(results: Sequence[str], out: str, labels: Sequence[str] | None = None) -> None:
    """Draw found against false alarms of every method, a panel for each file.

    Args:
        results: Files that :func:`measure` wrote.
        out: Picture to write.
        labels: Titles of the panels; the files' data by default.

    Raises:
        InputError: If a file is not such, the labels are not as many, or the picture cannot be written.
    """
    require_picture_name(out)
    if labels is not None and len(labels) != len(results):
        raise InputError(f'--labels: {len(labels)} for {len(results)} files; give one for each')
    contents = [_read(path) for path in results]
    figure = Figure(figsize=(3.8 * len(contents), 3.6), layout='constrained')
    axes = figure.subplots(1, len(contents), sharey=True, squeeze=False)[0]
    names = list(dict.fromkeys(name for content in contents for name in content['methods']))
    for number, (content, one) in enumerate(zip(contents, axes, strict=True)):
        for name, method in content['methods'].items():
            curve = method['curve']
            one.step(curve['alarms'], curve['found'], where='post', linewidth=1.5, **line_style(names.index(name)))
        one.set(xlim=(0, _PEAKS), ylim=(0, 1), xlabel='false alarms a frame')
        one.set_xscale('symlog', linthresh=0.1)
        plain(one.title, labels[number] if labels else Path(content['data_root']).name)
    axes[0].set_ylabel('share of the targets that are found')
    name_runs(axes[-1], names, fontsize='small')
    save_figure(figure, out)


def _read(path: str) -> dict:
    content = read_json(path, _WHAT)
    try:
        methods = require_dict(require_dict(content, 'it', ('data_root', 'methods'))['methods'], 'methods')
        require_text(content['data_root'], 'data_root')
        for name, method in methods.items():
            curve = require_dict(require_dict(method, name, ('curve', ))['curve'], f'{name}.curve', ('found', 'alarms'))
            sides = [require_numbers(require_list(curve[key], key), f'{name}.curve.{key}')
                     for key in ('found', 'alarms')]
            if len(sides[0]) != len(sides[1]):
                raise InputError(f'{name}.curve has {len(sides[0])} shares and {len(sides[1])} numbers of alarms')
    except InputError as error:
        raise InputError(f'{printable(path)}: not {_WHAT} ({printable(error)}); give such a file') from None
    return content
