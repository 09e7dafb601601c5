"""Draw feature maps beside their frame: a row for each frame and network, a column for each layer, one colour scale."""
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from .run_styles import plain

PICTURE, LAYER = 'picture', 'layer'
_COLORMAP = 'viridis'  # even in lightness, for every eye and in grey print
_CELL = 2.3  # inches
_BOX_COLOR = '#56ff56'


@dataclass(frozen=True)
class FeatureMap:
    """A feature map as a picture.

    Attributes:
        values: float (h, w).
        cell: Height and width of one of its cells in pixels of the frame; its first cell begins at the frame's corner.
    """

    values: np.ndarray = field(repr=False)
    cell: tuple[float, float]


@dataclass(frozen=True)
class Row:
    """The maps of one network on one frame.

    Attributes:
        label: Name of the network.
        frame_name: Name of the frame.
        frame: uint8 (H, W) or (H, W, 3), RGB.
        boxes: float (n, 4), ``[x1, y1, x2, y2]`` in pixels of the frame.
        maps: By layer, the map, or why there is none.
        window: ``[x1, y1, x2, y2]`` of what is shown, in pixels of the frame.
    """

    label: str
    frame_name: str
    frame: np.ndarray = field(repr=False)
    boxes: np.ndarray
    maps: dict[str, FeatureMap | str]
    window: tuple[float, float, float, float]


def figure(rows: Sequence[Row], title: str, scale: str = PICTURE, percentile: float = 100) -> Figure:
    """Draw rows of maps, the frame with its boxes first, and the colour bar of each scale.

    Args:
        rows: At least one; all have the same layers.
        title: What the colours mean, for the colour bar.
        scale: ``'picture'`` for one colour scale over all maps, ``'layer'`` for one a layer, over frames and networks.
            Either begins at 0.
        percentile: Of the values that are shown, the one at which a scale ends; brighter ones have its colour.
    """
    layers = list(rows[0].maps)
    norms = limits(rows, scale, percentile)
    width, height = _size(rows[0].window)
    columns = len(layers) + 1
    drawing = Figure(figsize=(_CELL * columns + 0.8, (_CELL * height / width + 0.35) * len(rows) + 0.5),
                     layout='compressed')
    cells = drawing.subplots(len(rows), columns, squeeze=False)
    for row, axes in zip(rows, cells, strict=True):
        _draw_frame(axes[0], row)
        for axis, layer in zip(axes[1:], layers, strict=True):
            _draw_map(axis, row, layer, norms[layer])
    for axis, layer in zip(cells[0, 1:], layers, strict=True):
        plain(axis.title, layer)
    one_scale = scale == PICTURE
    for column, layer in enumerate(layers[-1:] if one_scale else layers, 1):
        bar = drawing.colorbar(ScalarMappable(norms[layer], _COLORMAP), fraction=0.05, aspect=40 if one_scale else 20,
                               ax=cells if one_scale else cells[:, column], extend='max' if percentile < 100 else
                               'neither', location='right' if one_scale else 'bottom')
        bar.set_label(title, fontsize='small')
        bar.ax.tick_params(labelsize='small')
    return drawing


def limits(rows: Sequence[Row], scale: str = PICTURE, percentile: float = 100) -> dict[str, Normalize]:
    """The colour scale of each layer; see :func:`figure`."""
    layers = list(rows[0].maps)
    shown = {layer: [_inside(row.maps[layer], row.window).ravel() for row in rows] for layer in layers}
    groups = [layers] if scale == PICTURE else [[layer] for layer in layers]
    norms = {}
    for group in groups:
        values = np.concatenate([part for layer in group for part in shown[layer]])
        high = float(np.percentile(values, percentile)) if values.size else 1.0
        norms.update(dict.fromkeys(group, Normalize(0, high if high > 0 else 1.0)))
    return norms


def _inside(one: FeatureMap | str, window: tuple[float, float, float, float]) -> np.ndarray:
    """The cells of a map that a window shows, whole or in part."""
    if isinstance(one, str):
        return np.zeros(0)
    (height, width), (x1, y1, x2, y2) = one.cell, window
    return one.values[int(y1 // height):int(np.ceil(y2 / height)), int(x1 // width):int(np.ceil(x2 / width))]


def _size(window: tuple[float, float, float, float]) -> tuple[float, float]:
    return window[2] - window[0], window[3] - window[1]


def _show(axis: Axes, row: Row) -> None:
    x1, y1, x2, y2 = row.window
    axis.set(xlim=(x1, x2), ylim=(y2, y1), xticks=[], yticks=[], aspect='equal')


def _draw_frame(axis: Axes, row: Row) -> None:
    """The frame, its contrast stretched for the eye, and its boxes drawn outside of the targets."""
    height, width = row.frame.shape[:2]
    x1, y1, x2, y2 = (int(round(side)) for side in row.window)
    low, high = np.percentile(row.frame[y1:y2, x1:x2], (0.5, 99.8))
    frame = np.clip((row.frame.astype(np.float32) - low) / max(high - low, 1), 0, 1)
    axis.imshow(frame, cmap='gray', vmin=0, vmax=1, extent=(0, width, height, 0), interpolation='nearest')
    margin = max(1.0, _size(row.window)[0] / 120)
    for left, top, right, bottom in row.boxes.tolist():
        axis.add_patch(Rectangle((left - margin, top - margin), right - left + 2 * margin, bottom - top + 2 * margin,
                                 fill=False, edgecolor=_BOX_COLOR, linewidth=0.8))
    _show(axis, row)
    plain(axis.yaxis.label, row.label)
    plain(axis.xaxis.label, row.frame_name)
    axis.xaxis.label.set_fontsize('x-small')


def _draw_map(axis: Axes, row: Row, layer: str, norm: Normalize) -> None:
    one = row.maps[layer]
    _show(axis, row)
    if isinstance(one, str):
        axis.set_facecolor('#e8e8e8')
        plain(axis.text(0.5, 0.5, '', transform=axis.transAxes, ha='center', va='center', fontsize='small'), one)
        return
    (height, width), (rows, columns) = one.cell, one.values.shape
    axis.imshow(one.values, cmap=_COLORMAP, norm=norm, extent=(0, columns * width, rows * height, 0),
                interpolation='nearest')
    _show(axis, row)
