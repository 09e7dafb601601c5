"""Figures of a devkit's statistics: Fig. 4 (a) to (d) of the paper and one of the clusters, as PNG files."""
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from ..fileio import atomic_path
from .stats_image import CONTRAST_MARGIN, ImageStatistics

CONTRAST_EDGES = np.linspace(0, 5, 26)
BRIGHTNESS_EDGES = np.linspace(0, 1, 21)
COLOR = '#2f6db5'


def histogram(values: np.ndarray, edges: np.ndarray) -> dict[str, list[float]]:
    """Share of the defined (finite) values in each bin; the last one holds all that is above, too.

    Args:
        values: (n,) float.
        edges: (k + 1,) float, increasing.

    Returns:
        ``edges`` and ``share``, k numbers that add up to 1, ready for JSON.
    """
    finite = values[np.isfinite(values)]
    counts, _ = np.histogram(np.minimum(finite, edges[-1]), edges)
    return {'edges': edges.round(6).tolist(), 'share': (counts / max(len(finite), 1)).tolist()}


def draw_figures(images: Sequence[ImageStatistics], summary: dict, out: Path) -> None:
    """Write Fig. 4 (a) to (d) of the paper and one of the clusters as PNG files.

    Args:
        images: The measurements.
        summary: What :func:`summarize` gives for them.
        out: Folder for the files.
    """
    figure, (axis, ) = _figure()
    _draw_sizes(axis, summary['image_sizes'], 'image', largest=900)
    _save(figure, out / 'fig4a_image_sizes.png')
    figure, (axis, ) = _figure()
    _draw_sizes(axis, summary['target_sizes'], 'target', largest=600)
    _save(figure, out / 'fig4b_target_sizes.png')
    figure, (axis, ) = _figure()
    _draw_contrast(axis, images)
    _save(figure, out / 'fig4c_local_contrast.png')
    figure, (axis, ) = _figure()
    _draw_shares(axis, summary['brightness']['histogram'], 'brightest pixel of the target / of the image',
                 f'{summary["brightness"]["share_brightest"]:.1%} of the targets are as bright as any pixel')
    _save(figure, out / 'fig4d_brightness.png')
    figure, axes = _figure(columns=2)
    for axis, key, label in zip(axes, ('per_image', 'targets_per_cluster'),
                                ('clusters in an image', 'targets in a cluster'), strict=True):
        _draw_counts(axis, summary['clusters'][key], label)
    _save(figure, out / 'clusters.png')


def _figure(columns: int = 1) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(6.4 * columns, 4.8), layout='constrained')
    return figure, list(figure.subplots(1, columns, squeeze=False)[0])


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
    kinds: list[tuple[str, str, dict[str, Any]]] = [
        ('contrast', 'true boxes', dict(fill=True, color=COLOR, alpha=0.5)),
        ('contrast_paper_boxes', 'boxes one pixel off,\nas in the paper\'s release',
         dict(fill=False, color='#c4511b', linewidth=1.5))]
    for key, label, style in kinds:
        values = np.concatenate([getattr(image, key) for image in images])
        drawn = histogram(values, CONTRAST_EDGES)
        below = (values[np.isfinite(values)] < 2).mean() if np.isfinite(values).any() else np.nan
        axis.stairs(drawn['share'], drawn['edges'], label=f'{label}: {below:.1%} below 2', **style)
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
