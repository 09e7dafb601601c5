"""What a SIRSTdevkit is like: the paper's Table I row and Fig. 4, its clusters, and where it differs from the paper.

Targets are the 8-connected components of the target masks; their sizes are those of the components' extents. The other
definitions are in :data:`DEFINITIONS`.
"""
import os
from collections import Counter
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple, Union

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from bafenet.devkit import read_boxes, read_grey, read_image, read_split, require_palette_sky
from bafenet.errors import InputError, printable
from bafenet.fileio import atomic_path, require_writable_folder, write_json
from bafenet.synthesis.devkit import BOXES, IMAGES, POINTS, SKY_PALETTE, SPLITS, TARGET_PALETTE

from .box_matching import EIGHT_NEIGHBOURS, extents
from .checks import image_names, map_with_progress
from .densesirst import DenseSIRSTDataset
from .image_check import SUFFIXES

CONTRAST_MARGIN = 8
CLUSTER_DISTANCE = 10
MIN_CLUSTER = 3

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


@dataclass
class ImageStatistics:
    """What one image and its n targets measure.

    Attributes:
        size: Width and height in pixels.
        boxes: Number of boxes in its XML.
        sizes: (n, 2) int, width and height of each target.
        area: (n,) int, pixels.
        contrast: (n,) float, NaN where it is not defined.
        contrast_paper_boxes: (n,) float, likewise.
        brightness: (n,) float in [0, 1], NaN in a black image.
        in_sky: (n,) bool.
        cluster: (n,) int, number of the cluster in this image, -1 for none.
    """

    size: Tuple[int, int]
    boxes: int
    sizes: np.ndarray
    area: np.ndarray
    contrast: np.ndarray
    contrast_paper_boxes: np.ndarray
    brightness: np.ndarray
    in_sky: np.ndarray
    cluster: np.ndarray


@dataclass(frozen=True)
class Statement:
    """A statement of the paper beside what the data measure."""

    statement: str
    paper: str
    measured: str
    agrees: bool


def report(devkit: Union[str, Path], out: Union[str, Path], split: Optional[str] = None, workers: int = 1) -> None:
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


def measure_image(root: Path, name: str) -> ImageStatistics:
    """Measure one image and its targets.

    Args:
        root: The devkit.
        name: Image name.

    Returns:
        The measurements.

    Raises:
        InputError: If one of its files is missing or bad.
    """
    image, _ = read_grey(file_of(root, IMAGES, name))
    labels, _ = ndimage.label(read_map(root, TARGET_PALETTE, name, image.shape), EIGHT_NEIGHBOURS)
    sky = read_map(root, SKY_PALETTE, name, image.shape) == 1
    size = image.shape[::-1]
    boxes, _ = read_boxes(file_of(root, BOXES, name), DenseSIRSTDataset.METAINFO['classes'], size)
    corners = extents(labels)
    pixels = labels > 0
    target = labels[pixels] - 1
    area = np.bincount(target, minlength=len(corners))
    peaks = np.zeros(len(corners))
    np.maximum.at(peaks, target, image[pixels])
    brightest = image.max()
    return ImageStatistics(
        size=size,
        boxes=len(boxes),
        sizes=corners[:, 2:] - corners[:, :2],
        area=area,
        contrast=local_contrast(image, corners),
        # A box that would leave the image is cut at its border.
        contrast_paper_boxes=local_contrast(image, np.maximum(corners - 1, 0)),
        brightness=peaks / brightest if brightest > 0 else np.full(len(corners), np.nan),
        in_sky=np.bincount(target, sky[pixels], len(corners)) >= area / 2,
        cluster=find_clusters((corners[:, :2] + corners[:, 2:]) / 2))


def local_contrast(image: np.ndarray, boxes: np.ndarray, margin: int = CONTRAST_MARGIN) -> np.ndarray:
    """Mean grey level of each box over that of the ring around it.

    Args:
        image: (H, W), grey levels.
        boxes: (n, 4) int ``[x1, y1, x2, y2]`` with exclusive ends, in the image.
        margin: Width of the ring in pixels; it ends at the image's border.

    Returns:
        (n,) float; NaN where the box is empty, or the ring is empty or black.
    """
    sums = np.pad(image.astype(np.float64).cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    height, width = image.shape
    outer = np.clip(boxes + [-margin, -margin, margin, margin], 0, [width, height, width, height])
    inner_sum, outer_sum = _box_sums(sums, boxes), _box_sums(sums, outer)
    inner_area, outer_area = _areas(boxes), _areas(outer)
    with np.errstate(divide='ignore', invalid='ignore'):
        ratio = inner_sum / inner_area / ((outer_sum - inner_sum) / (outer_area - inner_area))
    return np.where(np.isfinite(ratio), ratio, np.nan)


def _box_sums(sums: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    x1, y1, x2, y2 = boxes.T
    return sums[y2, x2] - sums[y1, x2] - sums[y2, x1] + sums[y1, x1]


def _areas(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def find_clusters(centres: np.ndarray) -> np.ndarray:
    """Group targets by single linkage: see ``'cluster'`` in :data:`DEFINITIONS`.

    Args:
        centres: (n, 2) float, in pixels.

    Returns:
        (n,) int, 0 to k - 1 for the k clusters, -1 for targets in none.
    """
    count = len(centres)
    if not count:
        return np.zeros(0, int)
    pairs = cKDTree(centres).query_pairs(CLUSTER_DISTANCE, output_type='ndarray')
    links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    _, group = connected_components(links, directed=False)
    large = np.bincount(group) >= MIN_CLUSTER
    return np.where(large[group], (large.cumsum() - 1)[group], -1)


def summarize(images: Sequence[ImageStatistics]) -> Dict:
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


def _distribution(values: np.ndarray) -> Dict[str, Optional[float]]:
    """Mean and quantiles; None where no value is defined."""
    finite = values[np.isfinite(values)]
    keys = ('mean', 'min', 'median', 'p90', 'max')
    if not len(finite):
        return dict.fromkeys(keys)
    numbers = (finite.mean(), finite.min(), np.median(finite), np.percentile(finite, 90), finite.max())
    return dict(zip(keys, map(float, numbers), strict=True))


def _contrast(values: np.ndarray) -> Dict:
    finite = values[np.isfinite(values)]
    return {
        **_distribution(values),
        'share_below_2': float((finite < 2).mean()) if len(finite) else None,
        'undefined': len(values) - len(finite),
        'histogram': _histogram(values, CONTRAST_EDGES),
    }


def _histogram(values: np.ndarray, edges: np.ndarray) -> Dict[str, List[float]]:
    """Share of the defined values in each bin; the last one holds all that is above, too."""
    finite = values[np.isfinite(values)]
    counts, _ = np.histogram(np.minimum(finite, edges[-1]), edges)
    return {'edges': edges.round(6).tolist(), 'share': (counts / max(len(finite), 1)).tolist()}


def _counts(values: Sequence[int]) -> Dict[str, int]:
    """How often each value occurs, in order."""
    return {str(value): count for value, count in sorted(Counter(values).items())}


def _size_counts(sizes: np.ndarray) -> List[Dict[str, int]]:
    """How often each size occurs, the most frequent first."""
    values, counts = np.unique(sizes, axis=0, return_counts=True)
    return [{'width': int(values[i, 0]), 'height': int(values[i, 1]), 'count': int(counts[i])}
            for i in np.argsort(-counts, kind='stable')]


def _table_1(root: Path, summary: Dict) -> Dict:
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


def compare_with_paper(summary: Dict) -> List[Statement]:
    """Hold the paper's statements on DenseSIRST (Sections III-B and III-C, Table I, Fig. 4) against measurements.

    Args:
        summary: What :func:`summarize` gives.

    Returns:
        The statements, in the paper's order. One agrees where the measured value, rounded as the paper's is, meets it.
    """
    area, clusters, brightest = summary['area']['mean'], summary['clusters'], summary['brightness']['share_brightest']
    common = summary['target_sizes'][0]
    small = summary['share_below_5x5']
    numbers = [('images', 1024, summary['images']), ('targets', 13655, summary['boxes'])]
    return [
        _share_statement('dense areas in an image', range(1, 4), clusters['per_image'], 'images'),
        _share_statement('targets in a dense area', range(8, 13), clusters['targets_per_cluster'], 'areas'),
        _sky_statement(clusters['share_in_sky']),
        *(Statement(f'number of {what}', f'{paper:,}', f'{number:,}', paper == number)
          for what, paper, number in numbers),
        Statement('average target area', '6', f'{area:.1f}', round(area) == 6),
        _image_size_statement(summary['image_sizes']),
        Statement('most frequent target size', '3x3', f'{common["width"]}x{common["height"]}',
                  common['width'] == common['height'] == 3),
        Statement('targets predominantly below 5x5', 'most', f'{small:.1%}', small > 0.5),
        *_contrast_statements(summary['contrast'], 'local contrast'),
        *_contrast_statements(summary['contrast_paper_boxes'], 'the same, boxes one pixel off as in its release'),
        Statement('targets that are the brightest of their image', 'a minority', f'{brightest:.1%}', brightest < 0.5),
    ]


def _share_statement(what: str, expected: range, counts: Dict[str, int], unit: str) -> Statement:
    total = sum(counts.values())
    inside = sum(count for value, count in counts.items() if int(value) in expected)
    low, high = min(map(int, counts), default=0), max(map(int, counts), default=0)
    measured = f'{low} to {high}, as stated in {inside / total:.1%} of {unit}' if total else 'there are none'
    return Statement(what, f'{expected[0]} to {expected[-1]}', measured, 0 < total == inside)


def _sky_statement(share: Optional[float]) -> Statement:
    measured = 'there are none' if share is None else f'{share:.2%} of their targets'
    return Statement('dense areas lie in the sky', 'all', measured, share == 1)


def _image_size_statement(sizes: List[Dict[str, int]]) -> Statement:
    pairs = sorted(((size['width'], size['height']) for size in sizes), key=lambda pair: pair[0] * pair[1])
    outside = sum(size['count'] for size in sizes
                  if not (320 <= size['width'] <= 1280 and 256 <= size['height'] <= 1024))
    low, high = (f'{width}x{height}' for width, height in (pairs[0], pairs[-1]))
    return Statement('image sizes', '320x256 to 1280x1024', f'{low} to {high} ({outside} images outside)', not outside)


def _contrast_statements(contrast: Dict, what: str) -> List[Statement]:
    share, lowest = contrast['share_below_2'], contrast['min']
    if share is None:
        return [Statement(what, '90% below 2, lowest 0.15', 'not defined', False)]
    return [
        Statement(f'{what}: targets below 2', '90% or more', f'{share:.1%}', round(share, 2) >= 0.9),
        Statement(f'{what}: lowest', '0.15', f'{lowest:.3f}', round(lowest, 2) == 0.15),
    ]


def print_tables(summary: Dict, statements: Sequence[Statement]) -> None:
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


def draw_figures(images: Sequence[ImageStatistics], summary: Dict, out: Path) -> None:
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


def _figure(columns: int = 1) -> Tuple[Figure, Union[Axes, np.ndarray]]:
    figure = Figure(figsize=(6.4 * columns, 4.8), layout='constrained')
    return figure, figure.subplots(1, columns)


def _save(figure: Figure, path: Path) -> None:
    with atomic_path(path) as temporary:
        FigureCanvasAgg(figure).print_figure(temporary, dpi=120)


def _draw_sizes(axis: Axes, sizes: List[Dict[str, int]], what: str, largest: float) -> None:
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


def _draw_shares(axis: Axes, histogram: Dict[str, List[float]], label: str, title: str) -> None:
    axis.stairs(histogram['share'], histogram['edges'], fill=True, color=COLOR)
    axis.yaxis.set_major_formatter(PercentFormatter(1))
    axis.set(xlabel=label, ylabel='targets', title=title, xlim=(histogram['edges'][0], histogram['edges'][-1]))


def _draw_counts(axis: Axes, counts: Dict[str, int], label: str) -> None:
    axis.bar(list(map(int, counts)), list(counts.values()), color=COLOR)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set(xlabel=label, ylabel='number')


def split_names(root: Path, split: str) -> List[str]:
    """Names of the images of a split of a devkit, in the file's order.

    Raises:
        InputError: If there is no such split, or it is no split file; see :func:`bafenet.devkit.read_split`.
    """
    path = root / SPLITS / f'{split}.txt'
    if not os.path.lexists(path):
        there = ', '.join(sorted(file.stem for file in path.parent.glob('*.txt'))) or 'none'
        raise InputError(f'{printable(path)}: no such split; there are: {printable(there)}')
    return read_split(path)


def file_of(root: Path, folder: str, name: str) -> Path:
    """The file of an image in one of a devkit's folders.

    Raises:
        InputError: If it does not exist.
    """
    path = root / folder / f'{name}{SUFFIXES[folder]}'
    if not path.is_file():
        raise InputError(f'{printable(path)}: no such file; see tools/dataset/check.py')
    return path


def read_map(root: Path, folder: str, name: str, shape: Tuple[int, int]) -> np.ndarray:
    """A target mask or sky map (H, W) as it is in the file.

    Raises:
        InputError: If it is missing, does not decode or is not of the given shape.
    """
    path = file_of(root, folder, name)
    values = np.asarray(read_image(path))
    if values.shape != shape:
        there, expected = ('x'.join(map(str, size[1::-1])) for size in (values.shape, shape))
        raise InputError(f'{printable(path)}: is not one channel of its image\'s size, {expected}, but '
                         f'{"of several channels" if there == expected else there}; see tools/dataset/check.py')
    return values
