"""What a SIRSTdevkit is like: the paper's Table I row and Fig. 4, its clusters, and where it differs from the paper.

Single images are measured in image_statistics.py; the definitions are in :data:`DEFINITIONS`.
"""
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bafenet.devkit import read_split, require_palette_sky
from bafenet.errors import InputError, printable
from bafenet.fileio import atomic_path, require_writable_folder, write_json
from bafenet.synthesis.devkit import BOXES, POINTS, SKY_PALETTE, SPLITS, TARGET_PALETTE

from .checks import image_names, map_with_progress
from .image_statistics import (
    CLUSTER_DISTANCE,
    CONTRAST_MARGIN,
    MIN_CLUSTER,
    ImageStatistics,
    file_of,
    find_clusters,
    local_contrast,
    measure_image,
)
from .paper_statements import Statement, compare_with_paper

__all__ = ['ImageStatistics', 'Statement', 'compare_with_paper', 'draw_figures', 'find_clusters', 'local_contrast',
           'measure_image', 'print_tables', 'report', 'split_names', 'summarize']

DEFINITIONS = {
    'area': 'pixels of a target in its mask',
    'contrast': 'mean grey level in a target\'s box over the mean in the ring around the box that reaches '
                f'{CONTRAST_MARGIN} pixels further on each side; neighbouring targets in the ring count, as the paper '
                'says; below 1 = darker than its surroundings. The paper gives no formula: of all rings of 1 to 20 '
                f'pixels, {CONTRAST_MARGIN} gives its lowest value, 0.15; the share below 2 is 77 % to 84 % with any',
    'contrast_paper_boxes': 'the same with the boxes one pixel up and left of their targets, as the paper\'s release '
                            'reads them (box_origin=1)',
    'brightness': 'brightest pixel of a target over the brightest pixel of its image; 1 = as bright as any',
    'cluster': f'{MIN_CLUSTER} or more targets joined by single linkage, the centres of their boxes at most '
               f'{CLUSTER_DISTANCE} pixels apart',
    'in_sky': 'at least half of the target\'s pixels are sky',
}

CONTRAST_EDGES = np.linspace(0, 5, 26)
BRIGHTNESS_EDGES = np.linspace(0, 1, 21)
COLOR = '#2f6db5'


def report(devkit: str | Path, out: str | Path, split: str | None = None, workers: int = 1) -> None:
    """Measure a devkit, print tables, and write ``statistics.json`` and the figures; ``tools/dataset/stats.py``.

    Args:
        devkit: The devkit.
        out: Folder for the files, created where it is missing.
        split: Stem of a split file; None for all images.
        workers: Processes to use; the result does not depend on it.

    Raises:
        InputError: If a file is missing or bad, there is no target, or ``out`` cannot be written.
    """
    root, out = Path(devkit), Path(out)
    require_writable_folder(out, '--out')
    names = image_names(root) if split is None else split_names(root, split)
    require_palette_sky(file_of(root, SKY_PALETTE, name) for name in names)
    images = list(map_with_progress(partial(measure_image, root), names, workers, 'statistics'))
    summary = summarize(images)
    summary = {'devkit': str(root), 'split': split, 'table_1': _table_1(root, summary), **summary}
    statements = compare_with_paper(summary)
    summary['statements'] = [asdict(statement) for statement in statements]
    print_tables(summary, statements)
    try:
        write_json(out / 'statistics.json', summary)
        draw_figures(images, summary, out)
    except OSError as error:
        raise InputError(f'{printable(out)}: cannot be written: {error.strerror}') from error
    print(f'{printable(out)}: statistics.json and the figures written')


def summarize(images: Sequence[ImageStatistics]) -> dict:
    """Put the measurements of all images together, ready for JSON.

    Args:
        images: At least one with a target.

    Returns:
        Counts, means, quantiles and histograms.

    Raises:
        InputError: If there is no target.
    """
    pooled = {key: np.concatenate([getattr(image, key) for image in images])
              for key in ('sizes', 'area', 'contrast', 'contrast_paper_boxes', 'brightness', 'in_sky', 'cluster')}
    if not len(pooled['area']):
        raise InputError('no target in any target mask, so there is nothing to measure')
    cluster_sizes = [np.bincount(image.cluster[image.cluster >= 0]) for image in images]
    clustered = pooled['cluster'] >= 0
    return {
        'definitions': DEFINITIONS,
        'images': len(images),
        'boxes': sum(image.boxes for image in images),
        'targets': len(pooled['area']),
        'targets_per_image': _distribution(np.array([len(image.area) for image in images])),
        'area': _distribution(pooled['area']),
        'box_area': _distribution(pooled['sizes'].prod(axis=1)),
        'image_sizes': _size_counts(np.array([image.size for image in images])),
        'target_sizes': _size_counts(pooled['sizes']),
        'share_below_5x5': float((pooled['sizes'] < 5).all(axis=1).mean()),
        'contrast': _contrast(pooled['contrast']),
        'contrast_paper_boxes': _contrast(pooled['contrast_paper_boxes']),
        'brightness': {
            **_distribution(pooled['brightness']),
            'share_brightest': float((pooled['brightness'] == 1).mean()),
            'histogram': _histogram(pooled['brightness'], BRIGHTNESS_EDGES),
        },
        'share_in_sky': float(pooled['in_sky'].mean()),
        'clusters': {
            'clusters': int(sum(map(len, cluster_sizes))),
            'share_of_targets': float(clustered.mean()),
            'share_in_sky': float(pooled['in_sky'][clustered].mean()) if clustered.any() else None,
            'per_image': _counts([len(sizes) for sizes in cluster_sizes]),
            'targets_per_cluster': _counts(np.concatenate(cluster_sizes).tolist()),
        },
    }


def _distribution(values: np.ndarray) -> dict[str, float | None]:
    """Mean and quantiles; None where no value is defined."""
    finite = values[np.isfinite(values)]
    keys = ('mean', 'min', 'median', 'p90', 'max')
    if not len(finite):
        return dict.fromkeys(keys)
    numbers = (finite.mean(), finite.min(), np.median(finite), np.percentile(finite, 90), finite.max())
    return dict(zip(keys, map(float, numbers), strict=True))


def _contrast(values: np.ndarray) -> dict:
    finite = values[np.isfinite(values)]
    return {
        **_distribution(values),
        'share_below_2': float((finite < 2).mean()) if len(finite) else None,
        'undefined': len(values) - len(finite),
        'histogram': _histogram(values, CONTRAST_EDGES),
    }


def _histogram(values: np.ndarray, edges: np.ndarray) -> dict[str, list[float]]:
    """Share of the defined values in each bin; the last one holds all that is above, too."""
    finite = values[np.isfinite(values)]
    counts, _ = np.histogram(np.minimum(finite, edges[-1]), edges)
    return {'edges': edges.round(6).tolist(), 'share': (counts / max(len(finite), 1)).tolist()}


def _counts(values: Sequence[int]) -> dict[str, int]:
    """How often each value occurs, in order."""
    return {str(value): count for value, count in sorted(Counter(values).items())}


def _size_counts(sizes: np.ndarray) -> list[dict[str, int]]:
    """How often each size occurs, the most frequent first."""
    values, counts = np.unique(sizes, axis=0, return_counts=True)
    return [{'width': int(values[i, 0]), 'height': int(values[i, 1]), 'count': int(counts[i])}
            for i in np.argsort(-counts, kind='stable')]


def _table_1(root: Path, summary: dict) -> dict:
    """The devkit's row of the paper's Table I, as far as files can tell."""
    annotations = {'Pixel': TARGET_PALETTE, 'BBox': BOXES, 'Point': POINTS}
    return {
        'dataset': root.resolve().name,
        'annotation_type': ' + '.join(kind for kind, folder in annotations.items() if (root / folder).is_dir()),
        'image_number': summary['images'],
        'target_number': summary['boxes'],
        'average_target_area': summary['area']['mean'],
        'sparse_or_clustered': 'Clustered' if summary['clusters']['share_of_targets'] > 0.5 else 'Sparse',
        'background_semantic_annotation': (root / SKY_PALETTE).is_dir(),
    }


def print_tables(summary: dict, statements: Sequence[Statement]) -> None:
    """Print the Table I row and the statements beside their measurements."""
    console = Console()
    row = Table(*(key.replace('_', ' ') for key in summary['table_1']), title='Table I')
    row.add_row(*(f'{value:.1f}' if isinstance(value, float) else escape(printable(value))
                  for value in summary['table_1'].values()))
    console.print(row)
    clusters = summary['clusters']
    console.print(f'{summary["share_in_sky"]:.1%} of the targets are in the sky, {clusters["share_of_targets"]:.1%} in '
                  f'one of {clusters["clusters"]:,} clusters')
    table = Table('statement', title='The paper on DenseSIRST, and these data')
    for column in ('paper', 'measured', 'agrees'):
        table.add_column(column, justify='right')
    for item in statements:
        table.add_row(item.statement, item.paper, item.measured, 'yes' if item.agrees else '[bold]no[/bold]')
    console.print(table)


def draw_figures(images: Sequence[ImageStatistics], summary: dict, out: Path) -> None:
    """Write Fig. 4 (a) to (d) of the paper and one of the clusters as PNG files.

    Args:
        images: The measurements.
        summary: What :func:`summarize` gives for them.
        out: Folder for the files.
    """
    figure, axis = _figure()
    _draw_sizes(axis, summary['image_sizes'], 'image', largest=900)
    _save(figure, out / 'fig4a_image_sizes.png')
    figure, axis = _figure()
    _draw_sizes(axis, summary['target_sizes'], 'target', largest=600)
    _save(figure, out / 'fig4b_target_sizes.png')
    figure, axis = _figure()
    _draw_contrast(axis, images)
    _save(figure, out / 'fig4c_local_contrast.png')
    figure, axis = _figure()
    _draw_shares(axis, summary['brightness']['histogram'], 'brightest pixel of the target / of the image',
                 f'{summary["brightness"]["share_brightest"]:.1%} of the targets are as bright as any pixel')
    _save(figure, out / 'fig4d_brightness.png')
    figure, axes = _figure(columns=2)
    for axis, key, label in zip(axes, ('per_image', 'targets_per_cluster'),
                                ('clusters in an image', 'targets in a cluster'), strict=True):
        _draw_counts(axis, summary['clusters'][key], label)
    _save(figure, out / 'clusters.png')


def _figure(columns: int = 1) -> tuple[Figure, Axes | np.ndarray]:
    figure = Figure(figsize=(6.4 * columns, 4.8), layout='constrained')
    return figure, figure.subplots(1, columns)


def _save(figure: Figure, path: Path) -> None:
    with atomic_path(path) as temporary:
        FigureCanvasAgg(figure).print_figure(temporary, dpi=120)


def _draw_sizes(axis: Axes, sizes: list[dict[str, int]], what: str, largest: float) -> None:
    """Circles whose area says how often a size occurs."""
    width, height, count = (np.array([size[key] for size in sizes]) for key in ('width', 'height', 'count'))
    axis.scatter(width, height, s=np.maximum(largest * count / count.max(), 2), color=COLOR, alpha=0.5, linewidth=0)
    most = ', '.join(f'{size["width"]}x{size["height"]} ({size["count"]:,})' for size in sizes[:3])
    axis.set(xlabel=f'{what} width (pixels)', ylabel=f'{what} height (pixels)',
             title=f'{len(sizes)} {what} sizes (circle area: how many)\nmost often {most}')
    axis.set_xscale('log', base=2)
    axis.set_yscale('log', base=2)
    axis.xaxis.set_major_formatter('{x:g}')
    axis.yaxis.set_major_formatter('{x:g}')


def _draw_contrast(axis: Axes, images: Sequence[ImageStatistics]) -> None:
    for key, label, style in (('contrast', 'true boxes', dict(color=COLOR, alpha=0.5)),
                              ('contrast_paper_boxes', 'boxes one pixel off,\nas in the paper\'s release',
                               dict(color='#c4511b', fill=False, linewidth=1.5))):
        values = np.concatenate([getattr(image, key) for image in images])
        histogram = _histogram(values, CONTRAST_EDGES)
        below = (values[np.isfinite(values)] < 2).mean() if np.isfinite(values).any() else np.nan
        axis.stairs(histogram['share'], histogram['edges'], label=f'{label}: {below:.1%} below 2',
                    **{'fill': True, **style})
    axis.axvline(2, color='black', linewidth=1, linestyle='--')
    axis.legend(loc='center right')
    axis.yaxis.set_major_formatter(PercentFormatter(1))
    axis.set(xlabel=f'local contrast (box / ring of {CONTRAST_MARGIN} pixels); all above 5 in the last bin',
             ylabel='targets', xlim=(0, CONTRAST_EDGES[-1]))


def _draw_shares(axis: Axes, histogram: dict[str, list[float]], label: str, title: str) -> None:
    axis.stairs(histogram['share'], histogram['edges'], fill=True, color=COLOR)
    axis.yaxis.set_major_formatter(PercentFormatter(1))
    axis.set(xlabel=label, ylabel='targets', title=title, xlim=(histogram['edges'][0], histogram['edges'][-1]))


def _draw_counts(axis: Axes, counts: dict[str, int], label: str) -> None:
    axis.bar(list(map(int, counts)), list(counts.values()), color=COLOR)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set(xlabel=label, ylabel='number')


def split_names(root: Path, split: str) -> list[str]:
    """Names of the images of a split of a devkit, in the file's order.

    Raises:
        InputError: If there is no such split, or it is no split file; see :func:`bafenet.devkit.read_split`.
    """
    path = root / SPLITS / f'{split}.txt'
    if not os.path.lexists(path):
        there = ', '.join(sorted(file.stem for file in path.parent.glob('*.txt'))) or 'none'
        raise InputError(f'{printable(path)}: no such split; there are: {printable(there)}')
    return read_split(path)
