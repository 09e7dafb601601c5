"""Box edges: how bright a target still is where its box ends, for present and for pasted targets.

A box of three pixels is the extent of a faint blob at some threshold. Where present and pasted targets have another
one, a network learns two meanings of a box.
"""
from typing import Any, NamedTuple

import numpy as np
from mmcv.transforms import Compose
from mmdet.registry import DATASETS
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from rich.console import Console
from rich.table import Table

from bafenet.datasets import SampleIndex, seeded_draws
from bafenet.datasets.parts import loader_parts, split_names
from bafenet.errors import InputError, printable
from bafenet.fileio import require_json_name, write_json
from bafenet.markup import cell

from ..engine.options import load_config, require_settings

PASTE = 'BAGCopyPaste'
# The background is the median of the border of a frame this far around the box, in pixels.
MARGIN = 3
# Targets fainter than this many grey levels above the background end in the noise.
MIN_PEAK = 8
SHARES = np.round(np.arange(0.01, 0.51, 0.01), 2)


class Edges(NamedTuple):
    """How bright targets are on both sides of the sides of their boxes, as shares of their peaks.

    Attributes:
        sizes: (n, 2), width and height in pixels.
        inner: (n, 4), brightest pixel of the outermost column or row within the box: left, top, right, bottom.
        outer: (n, 4), the same of the column or row next to it, outside.
    """

    sizes: np.ndarray
    inner: np.ndarray
    outer: np.ndarray


def measure(image: np.ndarray, boxes: np.ndarray) -> Edges:
    """Edges of the targets that are bright enough and far enough from the border of the image.

    Args:
        image: Grey image (H, W).
        boxes: (n, 4), ``[x1, y1, x2, y2]`` with exclusive ends, rounded to whole pixels here.
    """
    rows = []
    for x1, y1, x2, y2 in np.rint(boxes).astype(int).tolist():
        if min(x1, y1) < MARGIN or x2 > image.shape[1] - MARGIN or y2 > image.shape[0] - MARGIN:
            continue
        frame = image[y1 - MARGIN:y2 + MARGIN, x1 - MARGIN:x2 + MARGIN].astype(float)
        frame -= np.median(np.concatenate([frame[0], frame[-1], frame[1:-1, 0], frame[1:-1, -1]]))
        peak = frame[MARGIN:-MARGIN, MARGIN:-MARGIN].max(initial=0)
        if peak >= MIN_PEAK:
            sides = [_brightest(frame, step) / peak for step in (MARGIN, MARGIN - 1)]
            rows.append(np.concatenate([[x2 - x1, y2 - y1], *sides]))
    table = np.array(rows).reshape(-1, 10)
    return Edges(table[:, :2], table[:, 2:6], table[:, 6:])


def _brightest(frame: np.ndarray, step: int) -> np.ndarray:
    """Brightest pixels (4, ) of the columns and rows ``step`` from the frame's border, over the length of the box."""
    along = slice(MARGIN, -MARGIN)
    return np.array([frame[along, step].max(), frame[step, along].max(),
                     frame[along, -1 - step].max(), frame[-1 - step, along].max()])


def summarize(edges: Edges) -> dict[str, float | None]:
    """What most boxes of a kind have in common.

    Returns:
        ``targets``, mean ``width`` and ``height``; medians ``inner`` and ``outer``; ``share``, of the peak, that says
        best which columns and rows belong to a box, and ``agreement``, the mean of the shares of inner ones at or above
        it and of outer ones below it. All but the first are None where there are no targets.
    """
    if not len(edges.sizes):
        return dict(targets=0, width=None, height=None, inner=None, outer=None, share=None, agreement=None)
    agreement = [((edges.inner >= share).mean() + (edges.outer < share).mean()) / 2 for share in SHARES]
    width, height = edges.sizes.mean(axis=0)
    return dict(targets=len(edges.sizes), width=float(width), height=float(height),
                inner=float(np.median(edges.inner)), outer=float(np.median(edges.outer)),
                share=float(SHARES[np.argmax(agreement)]), agreement=float(np.max(agreement)))


def report(config: str, out: str | None = None, cfg_options: list[str] | None = None) -> dict:
    """Measure present targets, and those that the config's BAG-CP pastes beside them; print both.

    Images are read as for training but neither cut, resized nor flipped; every image is pasted into.

    Args:
        config: Config file.
        out: JSON file for the numbers.
        cfg_options: ``KEY=VALUE`` options.

    Returns:
        ``config``, ``split``, and :func:`summarize` of ``present`` and, where the pipeline pastes, ``pasted`` targets.

    Raises:
        InputError: If the config or its data are bad.
    """
    require_json_name(out)
    init_default_scope('mmdet')
    cfg = load_config(config, cfg_options, ['train_dataloader.dataset'])
    parts = loader_parts(cfg, 'train')
    require_settings(cfg, config, *(f'{part.key}.{name}' for part in parts for name in ('ann_file', 'pipeline')))
    measured = [_measure_split(part.settings) for part in parts]
    results: dict[str, Any] = dict(config=config, split=split_names(cfg.train_dataloader))
    for kind in dict.fromkeys(kind for found in measured for kind in found):
        edges = zip(*(found[kind] for found in measured if kind in found), strict=True)
        results[kind] = summarize(Edges(*map(np.concatenate, edges)))
    print_table(results)
    if out:
        write_json(out, results)
    return results


def _measure_split(settings: ConfigDict) -> dict[str, Edges]:
    loads = [step for step in settings.pipeline if step.type.startswith('Load')]
    pastes = [dict(step, prob=1.0) for step in settings.pipeline if step.type == PASTE]
    dataset = DATASETS.build(dict(settings, pipeline=loads + pastes))
    load, paste = (Compose(list(part)) for part in (dataset.pipeline.transforms[:len(loads)],
                                                    dataset.pipeline.transforms[len(loads):]))
    found: dict[str, list[Edges]] = {'present': [], **({'pasted': []} if pastes else {})}
    for i in range(len(dataset)):
        sample = load(dataset.get_data_info(i))
        if sample.get('gt_bboxes') is None:
            raise InputError(f'{printable(sample["img_path"])}: the training pipeline loads no boxes to measure; give '
                             'the config of a detector')
        present = len(sample['gt_bboxes'])
        found['present'].append(measure(_grey(sample), sample['gt_bboxes'].numpy()))
        if pastes:
            with seeded_draws(SampleIndex(i)):
                sample = paste(sample)
            found['pasted'].append(measure(_grey(sample), sample['gt_bboxes'].numpy()[present:]))
    return {kind: Edges(*(np.concatenate(parts) for parts in zip(*edges, strict=True)))
            for kind, edges in found.items()}


def _grey(sample: dict) -> np.ndarray:
    image = sample['img']
    return image if image.ndim == 2 else image[..., 0]


def print_table(results: dict) -> None:
    """Print what :func:`report` gives."""
    table = Table('targets', 'number', 'width, px', 'height, px', 'inside the side', 'outside', 'boxes end at',
                  'sides that agree', title=cell(f'Where boxes end, in shares of the peak: {results["split"]}'))
    for kind in ('present', 'pasted'):
        if kind in results:
            row = results[kind]
            values = [row[key] for key in ('width', 'height', 'inner', 'outer', 'share', 'agreement')]
            table.add_row(kind, str(row['targets']), *('-' if value is None else f'{value:.2f}' for value in values))
    Console().print(table)
