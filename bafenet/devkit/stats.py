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
from .devkit_files import SKY_MAPS, TARGET_MASKS, DevkitFiles
from .frames import DEFAULT_LEVELS
from .images import require_palette_sky
from .layout import BOXES, IMAGES, POINTS, SKY_PALETTE, TARGET_PALETTE, devkit_layout, image_names
from .read import read_split
from .stats_figures import BRIGHTNESS_EDGES, CONTRAST_EDGES, draw_figures, histogram
from .stats_image import CLUSTER_DISTANCE, CONTRAST_MARGIN, MIN_CLUSTER, ImageStatistics, measure_image
from .stats_paper import Statement, compare_with_paper, is_densesirst

DEFINITIONS = {
    'area': 'pixels of a target in its mask; not defined for images without a target mask, whose targets are the boxes',
    'contrast': 'mean grey level in a target\'s box over the mean in the ring around the box that reaches '
                f'{CONTRAST_MARGIN} pixels further on each side; neighbouring targets in the ring count, as the paper '
                'says; below 1 = darker than its surroundings. The paper gives no formula: of all rings of 1 to 20 '
                f'pixels, {CONTRAST_MARGIN} gives its lowest value, 0.15; the share below 2 is 77 % to 84 % with any',
    'contrast_paper_boxes': 'the same with the boxes one pixel up and left of their targets, as the paper\'s release '
                            'reads them (box_origin=1)',
    'brightness': 'brightest pixel of a target over the brightest pixel of its image; 1 = as bright as any',
    'cluster': f'{MIN_CLUSTER} or more targets joined by single linkage, the centres of their boxes at most '
               f'{CLUSTER_DISTANCE} pixels apart',
    'in_sky': 'at least half of the target\'s pixels are sky, those that are ignored left out; not defined without a '
              'sky map',
    'classes': 'objects of each class in the box XMLs, and the sizes of their boxes',
    'grey levels': f'images of more than 8 bits are brought to 8 {DEFAULT_LEVELS.describe()}, as predict and training '
                   'do',
}


def report(devkit: str | Path, out: str | Path, split: str | None = None, workers: int = 1) -> None:
    """Measure a devkit, print tables, and write ``statistics.json`` and the figures; ``tools/dataset/stats.py``.

    Args:
        devkit: The devkit.
        out: Folder for the files, created where it is missing.
        split: Stem of a split file; None for all images.
        workers: Processes to use; the result does not depend on it.

    Raises:
        InputError: If an image or its box XML is missing, a file is bad, there is no target, or ``out`` cannot be
            written.
    """
    root, out = Path(devkit), Path(out)
    require_writable_folder(out, '--out')
    every = image_names(root)
    names = every if split is None else read_split(devkit_layout(root).split(split))
    files = DevkitFiles(root)
    found = (files.find(SKY_PALETTE, name) for name in names)
    require_palette_sky(path for path in found if path is not None)
    for folder in (IMAGES, BOXES, *TARGET_MASKS, *SKY_MAPS):
        files.table(folder)  # once, and not in each process
    images = list(map_with_progress(partial(measure_image, files), names, workers, 'statistics'))
    summary = summarize(images)
    summary = {'devkit': str(root), 'split': split, 'table_1': _table_1(root, summary), **summary}
    statements = compare_with_paper(summary) if is_densesirst(every) else []
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
        raise InputError('no target in any target mask or box XML, so there is nothing to measure')
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
        'share_in_sky': _mean(pooled['in_sky']),
        'clusters': {
            'clusters': int(sum(map(len, cluster_sizes))),
            'share_of_targets': float(clustered.mean()),
            'share_in_sky': _mean(pooled['in_sky'][clustered]),
            'per_image': _counts([len(sizes) for sizes in cluster_sizes]),
            'targets_per_cluster': _counts(np.concatenate(cluster_sizes).tolist()),
        },
        'classes': _classes(images),
        'images_with_target_mask': sum(image.has_mask for image in images),
        'images_of_more_than_8_bits': sum(image.deep for image in images),
    }


def _classes(images: Sequence[ImageStatistics]) -> dict[str, dict]:
    """Objects and box sizes of each class, the most frequent first."""
    names = np.array([name for image in images for name in image.classes], object)
    sides = np.concatenate([image.box_sides for image in images])
    counts = sorted(Counter(names.tolist()).items(), key=lambda item: (-item[1], item[0]))
    return {name: {'targets': count, 'width': _distribution(sides[names == name, 0]),
                   'height': _distribution(sides[names == name, 1])} for name, count in counts}


def _mean(values: np.ndarray) -> float | None:
    """Mean of the values that are defined; None where none is."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else None


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
    row.add_row(*(_cell(value) for value in summary['table_1'].values()))
    console.print(row)
    if len(summary['classes']) > 1:
        _print_classes(console, summary['classes'])
    clusters, share = summary['clusters'], summary['share_in_sky']
    in_sky = 'There are no sky maps' if share is None else f'{share:.1%} of the targets are in the sky'
    console.print(f'{in_sky}, {clusters["share_of_targets"]:.1%} in one of {clusters["clusters"]:,} clusters')
    if not statements:
        return
    table = Table('statement', title='The paper on DenseSIRST, and these data')
    for column in ('paper', 'measured', 'agrees'):
        table.add_column(column, justify='right')
    for item in statements:
        table.add_row(item.statement, item.paper, item.measured, 'yes' if item.agrees else '[bold]no[/bold]')
    console.print(table)


def _cell(value: object) -> str:
    if value is None:
        return 'n/a'
    return f'{value:.1f}' if isinstance(value, float) else escape(printable(value))


def _print_classes(console: Console, classes: dict[str, dict]) -> None:
    table = Table('class')
    for column in ('targets', 'share', 'median width', 'median height', 'largest'):
        table.add_column(column, justify='right')
    total = sum(item['targets'] for item in classes.values())
    for name, item in classes.items():
        width, height = item['width'], item['height']
        table.add_row(escape(printable(name)) or '(none)', f'{item["targets"]:,}', f'{item["targets"] / total:.1%}',
                      f'{width["median"]:.3g}', f'{height["median"]:.3g}', f'{width["max"]:.4g}x{height["max"]:.4g}')
    console.print(table)
