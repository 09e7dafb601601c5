"""Error types of a tested checkpoint: the gap to an mAP of 1 by type, and localisation errors; printed and written."""
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from bafenet.errors import InputError
from bafenet.fileio import require_json_name, write_json
from bafenet.markup import cell

from ..evaluation.metric import IOU_SUFFIXES
from ..evaluation.results import read_results, scores_of
from . import localisation
from .tide import Frame, classify, gap

_KEYS = ('boxes', 'scores', 'labels', 'gt_boxes', 'gt_labels')


def report(results: str, out: str | None = None) -> dict:
    """Analyse, print tables and, with ``out``, write the numbers as JSON.

    Args:
        results: What ``tools/test.py --out`` wrote.
        out: JSON file.

    Returns:
        ``results``, ``checkpoint``, ``split``, number of ``images`` and ``targets``; ``gaps``:
        :func:`~bafenet.analysis.tide.gap` at IoU ``'0.5'`` and ``'0.75'``; ``localisation``:
        :func:`~bafenet.analysis.localisation.describe`.

    Raises:
        InputError: If the results cannot be read or do not hold what is needed.
    """
    require_json_name(out)
    content, frames = read_frames(results)
    report = dict(
        results=Path(results).name,
        checkpoint=content.get('checkpoint'),
        split=content.get('split'),
        images=len(frames),
        targets=sum(len(frame.truth) for frame in frames),
        gaps={f'{iou_thr:g}': gap(classify(frames, iou_thr)) for iou_thr in IOU_SUFFIXES},
        localisation=localisation.describe(frames))
    _check_agreement(results, content, report)
    print_tables(report)
    if out:
        write_json(out, report)
    return report


def read_frames(path: str) -> tuple[dict, list[Frame]]:
    """Read what ``tools/test.py --out`` wrote: all of it, and its boxes.

    Raises:
        InputError: If the file cannot be read, holds no images or no true boxes, or has several classes.
    """
    content = read_results(path, image_keys=_KEYS)
    images = content['images']
    frames = [_frame(image) for image in images]
    if not any(len(frame.truth) for frame in frames):
        raise InputError(f'{path}: there is no target in its {len(frames)} images; give the results of another split')
    if any(label for image in images for label in image['labels'] + image['gt_labels']):
        raise InputError(f'{path}: it has several classes, and the analysis knows one')
    return content, frames


def _frame(image: dict) -> Frame:
    boxes, truth = (np.array(image[key], np.float32) for key in ('boxes', 'gt_boxes'))
    in_sky = np.array(image['in_sky'], bool) if 'in_sky' in image else None
    return Frame(boxes.reshape(-1, 4), scores_of(image), truth.reshape(-1, 4), in_sky)


def _check_agreement(path: str, content: dict, report: dict) -> None:
    """Check that the boxes give the mAP_12 of the file; they do not where targets were ignored."""
    for iou_thr, suffix in IOU_SUFFIXES.items():
        ours = report['gaps'][f'{iou_thr:g}']['mAP_12']
        stated = content.get('metrics', {}).get(f'densesirst/mAP_12{suffix}')
        if stated is not None and abs(stated - ours) > 1e-6:
            raise InputError(f'{path}: its boxes give an mAP_12 of {ours:.6f} at IoU {iou_thr:g} and its metrics say '
                             f'{stated:.6f}; the file was changed, or the split has ignored targets')


def print_tables(report: dict) -> None:
    """Print what :func:`report` gives."""
    console = Console()
    console.print(cell(f'{report["results"]}: {report["split"]}, {report["images"]} images, {report["targets"]} '
                       'targets'), soft_wrap=True)
    for iou_thr, values in report['gaps'].items():
        console.print(_gap_table(iou_thr, values))
    boxes = report['localisation']
    if 'errors' in boxes:
        console.print(_error_table(boxes))
    console.print(_jitter_table(boxes))
    if 'jitter' in boxes:
        console.print('\n'.join(_jitter_lines(boxes['jitter'])), highlight=False, soft_wrap=True)


def _gap_table(iou_thr: str, values: dict) -> Table:
    table = _table(f'mAP_12 at IoU {iou_thr}: {values["mAP_12"]:.3f}, gap to 1: {values["gap"]:.3f}',
                   'error', 'number', 'mAP_12 fixed', 'gain', 'share of the gap')
    for kind, row in values['types'].items():
        table.add_row(kind, str(row['count']), f'{row["fixed"]:.3f}', f'{row["gain"]:+.3f}', _percent(row['share']))
    return table


def _error_table(boxes: dict) -> Table:
    table = _table(f'Detected minus true, native pixels ({boxes["pairs"]} detections of IoU ≥ 0.1)',
                   '', 'mean', 'median', 'std', 'robust std')
    for name, row in boxes['errors'].items():
        table.add_row(name, f'{row["mean"]:+.3f}', f'{row["median"]:+.3f}', f'{row["std"]:.3f}',
                      f'{row["robust_std"]:.3f}')
    return table


def _jitter_table(boxes: dict) -> Table:
    table = _table('Boxes that keep their IoU', '', 'IoU ≥ 0.5', 'IoU ≥ 0.75')
    rows = {f'true boxes, normal jitter of {jitter} px a side': shares
            for jitter, shares in boxes['jittered_truth'].items()}
    if 'shares' in boxes:
        rows['detections of IoU ≥ 0.1'] = boxes['shares']
    for name, shares in rows.items():
        table.add_row(name, *map(_percent, shares.values()))
    return table


def _jitter_lines(jitter: dict) -> list[str]:
    return [f'A side\'s error about its bias: std {jitter["std"]:.3f} px, robust {jitter["robust_std"]:.3f} px',
            f'The jitter of true boxes with as many at IoU ≥ 0.5: {jitter["same_iou_0.5"]:.2f} px, at IoU ≥ 0.75: '
            f'{jitter["same_iou_0.75"]:.2f} px']


def _table(title: str, first: str, *columns: str) -> Table:
    table = Table(first, title=title)
    for column in columns:
        table.add_column(column, justify='right')
    return table


def _percent(share: Any) -> str:
    return 'n/a' if share is None else f'{100 * share:.1f} %'
