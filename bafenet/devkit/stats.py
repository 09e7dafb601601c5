"""Statistics of a SIRSTdevkit: the paper's Table I row and Fig. 4, its clusters, and where it differs from the paper.

Single images are measured in stats_image.py, figures are drawn in stats_figures.py; the definitions are in
:data:`DEFINITIONS`.
"""
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..errors import InputError, printable
from ..fileio import require_writable_folder, write_json
from ..parallel import map_with_progress
from .images import require_palette_sky
from .layout import BOXES, POINTS, SKY_PALETTE, TARGET_PALETTE, devkit_layout, find_file, image_names
from .read import read_split
from .stats_figures import BRIGHTNESS_EDGES, CONTRAST_EDGES, draw_figures, histogram
from .stats_image import CLUSTER_DISTANCE, CONTRAST_MARGIN, MIN_CLUSTER, ImageStatistics, measure_image
from .stats_paper import Statement, compare_with_paper

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
    names = image_names(root) if split is None else read_split(devkit_layout(root).split(split))
    require_palette_sky(find_file(root, SKY_PALETTE, name) for name in names)
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
            'histogram': histogram(pooled['brightness'], BRIGHTNESS_EDGES),
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
        'histogram': histogram(values, CONTRAST_EDGES),
    }


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
