"""Draw boxes and the sky map on an enlarged image; several such pictures as one panel; write an image file."""
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from bafenet.devkit.layout import SKY
from bafenet.errors import InputError, printable
from bafenet.fileio import atomic_path, write_bytes

# RGB.
TRUE_COLOR = (64, 224, 96)
PREDICTED_COLOR = (255, 72, 64)
PASTED_COLOR = (255, 208, 0)
SKY_COLOR = (64, 160, 255)
Color = tuple[int, int, int]
PathLike = str | Path


def draw_sample(image: np.ndarray,
                true_boxes: np.ndarray | None = None,
                predicted_boxes: np.ndarray | None = None,
                pasted_boxes: np.ndarray | None = None,
                sky_map: np.ndarray | None = None,
                min_side: int = 768) -> np.ndarray:
    """Draw true boxes, predicted boxes and a sky map on an enlarged image.

    True and pasted boxes are drawn one screen pixel outside the target and predicted ones two further out, so that
    both can be seen and neither hides the target. The sky is tinted and outlined.

    Args:
        image: uint8 (H, W, 3), RGB.
        true_boxes: float (n, 4), ``[x1, y1, x2, y2]`` in pixels of ``image``.
        predicted_boxes: float (m, 4), likewise.
        pasted_boxes: float (k, 4), likewise: true boxes that an augmentation has added.
        sky_map: (H, W), 1 = sky.
        min_side: The image is enlarged by the smallest whole factor that brings its longer side to this many pixels.

    Returns:
        uint8 (H * zoom, W * zoom, 3), RGB.
    """
    height, width = image.shape[:2]
    zoom = max(1, -(-min_side // max(height, width)))
    size = (width * zoom, height * zoom)
    canvas = cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_NEAREST)
    if sky_map is not None:
        canvas = _draw_sky(canvas, cv2.resize((sky_map == SKY).astype(np.uint8), size, interpolation=cv2.INTER_NEAREST))
    layers = ((true_boxes, TRUE_COLOR, 1), (pasted_boxes, PASTED_COLOR, 1), (predicted_boxes, PREDICTED_COLOR, 3))
    for boxes, color, gap in layers:
        if boxes is not None:
            _draw_boxes(canvas, np.asarray(boxes, dtype=np.float64).reshape(-1, 4) * zoom, color, gap)
    return canvas


def _draw_sky(canvas: np.ndarray, sky: np.ndarray) -> np.ndarray:
    tint = np.zeros_like(canvas)
    tint[sky == 1] = SKY_COLOR
    canvas = cv2.addWeighted(canvas, 1.0, tint, 0.12, 0)
    outlines, _ = cv2.findContours(sky, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(canvas, outlines, -1, SKY_COLOR, 1)


def _draw_boxes(canvas: np.ndarray, boxes: np.ndarray, color: Color, gap: int) -> None:
    """Outline boxes in place, ``gap`` pixels outside of them; cv2.rectangle's second corner is inclusive."""
    corners = np.round(boxes).astype(int) + np.array([-gap, -gap, gap - 1, gap - 1])
    for x1, y1, x2, y2 in corners.tolist():
        cv2.rectangle(canvas, (x1, y1), (x2, y2), color, 1)


def sample_layers(sample, score_threshold: float) -> dict:
    """The layers of a predicted sample for :func:`draw_sample`.

    Args:
        sample: A ``DetDataSample`` with any of ``gt_instances``, ``pred_instances`` and ``pred_sem_seg``.
        score_threshold: Predictions at or above this score are drawn.

    Returns:
        The keyword arguments ``true_boxes``, ``predicted_boxes`` and ``sky_map`` that the sample has.
    """
    layers = {}
    if 'gt_instances' in sample:
        layers['true_boxes'] = _numpy(sample.gt_instances.bboxes)
    if 'pred_instances' in sample:
        kept = sample.pred_instances.scores >= score_threshold
        layers['predicted_boxes'] = _numpy(sample.pred_instances.bboxes[kept])
    if 'pred_sem_seg' in sample:
        layers['sky_map'] = _numpy(sample.pred_sem_seg.sem_seg).squeeze(0)
    return layers


def _numpy(values) -> np.ndarray:
    values = getattr(values, 'tensor', values)
    return values.detach().cpu().numpy() if hasattr(values, 'detach') else np.asarray(values)


def as_rgb(image: np.ndarray) -> np.ndarray:
    """A frame, uint8 (H, W) grey or (H, W, 3) BGR, as RGB, uint8 (H, W, 3)."""
    return cv2.cvtColor(image, cv2.COLOR_GRAY2RGB if image.ndim == 2 else cv2.COLOR_BGR2RGB)


def write_image(path: PathLike, image: np.ndarray) -> None:
    """Write an image atomically, in the format that its name says.

    OpenCV encodes it and does not write it: it would report a full disk by its return value, if at all.

    Args:
        path: File to write, such as ``.png`` or ``.jpg``.
        image: uint8 (H, W, 3), RGB.

    Raises:
        InputError: If there is no such format.
        OSError: If it cannot be written.
    """
    try:
        done, data = cv2.imencode(Path(path).suffix, np.ascontiguousarray(image[..., ::-1]))
    except cv2.error:
        done = False
    if not done:
        raise InputError(f'{printable(path)}: cannot be written as such a picture; give a name that ends in .png')
    write_bytes(path, data.tobytes())


def save_panel(path: str, pictures: Sequence[np.ndarray], titles: Sequence[str]) -> None:
    """Write pictures side by side with a legend as one PNG, atomically.

    Args:
        path: PNG file to write.
        pictures: uint8 (H, W, 3) RGB each.
        titles: One per picture.
    """
    columns = min(3, len(pictures))
    rows = -(-len(pictures) // columns)
    figure = Figure(figsize=(5 * columns, 5.2 * rows + 0.4), layout='constrained')
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, picture, title in zip(axes, pictures, titles, strict=False):
        axis.imshow(picture, interpolation='none')
        # A name with dollar signs is no formula.
        axis.set_title(printable(title), parse_math=False)
    legend = {'true box': TRUE_COLOR, 'predicted box': PREDICTED_COLOR, 'predicted sky': SKY_COLOR}
    patches = [Patch(color=(red / 255, green / 255, blue / 255), label=label)
               for label, (red, green, blue) in legend.items()]
    figure.legend(handles=patches, loc='outside lower center', ncols=3)
    with atomic_path(path) as temporary:
        FigureCanvasAgg(figure).print_figure(temporary, dpi=100)
