"""Boxes and the components of a target mask: extents of components, which box means which, and how far they differ."""
import cv2
import numpy as np
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from ..errors import InputError, printable
from ..reading import PathLike
from .layout import CORNERS
from .read import read_boxes

EIGHT_NEIGHBOURS = np.ones((3, 3), bool)
# A box is taken to mean a component that it overlaps, or else one whose corners are at most so many pixels away.
NEAR = 2
# Above so many pairs of a box and a component, or of a point and a box, a file is not what it says.
MAX_PAIRS = 2**22

Shift = tuple[float, float, float, float]
NO_SHIFT = (0., 0., 0., 0.)


def extents(labels: np.ndarray) -> np.ndarray:
    """Extent of each component.

    Args:
        labels: (H, W) int, 0 for none and 1 to n for the components, as ``ndimage.label`` gives them.

    Returns:
        (n, 4) int64 ``[x1, y1, x2, y2]`` with exclusive ends.
    """
    slices = ndimage.find_objects(labels)
    return np.array([[x.start, y.start, x.stop, y.stop] for y, x in slices], np.int64).reshape(-1, 4)


def component_boxes(mask: np.ndarray) -> np.ndarray:
    """The extent of each 8-connected component, from top to bottom by its upper edge, then by its left edge.

    Args:
        mask: (H, W) bool or uint8.

    Returns:
        (n, 4) int64, 0-based ``[x1, y1, x2, y2]`` with exclusive ends.
    """
    _, stats, _, order = _components(mask)
    corner = stats[:, [cv2.CC_STAT_LEFT, cv2.CC_STAT_TOP]]
    extent = stats[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]]
    return np.concatenate([corner, corner + extent], axis=1).astype(np.int64)[order]


def component_centroids(mask: np.ndarray) -> np.ndarray:
    """The unweighted centroid of each 8-connected component, in the order of :func:`component_boxes`.

    Args:
        mask: (H, W) bool or uint8.

    Returns:
        (n, 2) float64, column and row; the first pixel is at 0.
    """
    _, _, centroids, order = _components(mask)
    return centroids[order]


def component_maxima(mask: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The largest value in each 8-connected component, in the order of :func:`component_boxes`.

    Args:
        mask: (H, W) bool or uint8.
        values: (H, W).

    Returns:
        (n,), of the values' dtype.
    """
    labels = component_labels(mask)
    return np.asarray(ndimage.maximum(values, labels, np.arange(1, labels.max() + 1)), values.dtype)


def component_labels(mask: np.ndarray) -> np.ndarray:
    """The 8-connected component of each pixel: (H, W) int32, 0 for none, numbered as :func:`component_boxes` has them.

    Args:
        mask: (H, W) bool or uint8.
    """
    labels, _, _, order = _components(mask)
    number = np.zeros(len(order) + 1, np.int32)
    number[order + 1] = np.arange(1, len(order) + 1)
    return number[labels]


def _components(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """OpenCV's labels (H, W), statistics and centroids of the components, and the order that they are given in."""
    _, labels, stats, centroids = cv2.connectedComponentsWithStats((mask != 0).view(np.uint8), connectivity=8)
    # OpenCV's own order depends on its algorithm.
    order = np.lexsort(stats[1:, [cv2.CC_STAT_LEFT, cv2.CC_STAT_TOP]].T)
    return labels, stats[1:], centroids[1:], order


def whole_boxes(boxes: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Boxes as whole pixels: rounded outward, cut at the image's edges; those that lie outside of it are left out.

    Args:
        boxes: (n, 4) float ``[x1, y1, x2, y2]`` in pixels, with exclusive ends.
        shape: Height and width of the image.

    Returns:
        (m, 4) int64, m at most n, each of at least one pixel.
    """
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    low, high = np.floor(boxes[:, :2]), np.ceil(boxes[:, 2:])
    corners = np.clip(np.concatenate([low, high], axis=1), 0, [*shape[::-1], *shape[::-1]]).astype(np.int64)
    return corners[(corners[:, 2:] > corners[:, :2]).all(axis=1)]


def match_boxes(boxes: np.ndarray, components: np.ndarray) -> np.ndarray:
    """Say which box means which component: the equal ones first, the others one to one at the least total distance.

    The distance of two boxes is the largest difference among their four numbers. A box with no component that it
    overlaps, or that is within 2 pixels of it, stays alone.

    Args:
        boxes: (n, 4) float ``[x1, y1, x2, y2]``.
        components: (m, 4) int, extents likewise.

    Returns:
        (k, 2) int64, index of the box and of its component, ordered by box.

    Raises:
        InputError: If too many boxes differ from too many components.
    """
    pairs, boxes_left, components_left = [], [], dict(enumerate(map(tuple, components.tolist())))
    by_extent = {extent: index for index, extent in components_left.items()}
    for index, box in enumerate(map(tuple, boxes.tolist())):
        component = by_extent.pop(box, None)
        if component is None:
            boxes_left.append(index)
        else:
            pairs.append((index, component))
            del components_left[component]
    if len(boxes_left) * len(components_left) > MAX_PAIRS:
        raise InputError(f'{len(boxes_left)} boxes differ from {len(components_left)} mask components, which are too '
                         'many to be matched')
    rows, columns = np.array(boxes_left, int), np.array(list(components_left), int)
    distance, allowed = _distances(boxes[rows], components[columns])
    # Dear enough that no forbidden pair is ever taken instead of an allowed one.
    forbidden = 1 + distance.max(initial=0) * (1 + min(distance.shape))
    for row, column in zip(*linear_sum_assignment(np.where(allowed, distance, forbidden)), strict=True):
        if allowed[row, column]:
            pairs.append((rows[row], columns[column]))
    return np.array(sorted(pairs), np.int64).reshape(-1, 2)


def _distances(boxes: np.ndarray, components: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n, m) largest difference of corners, and whether a pair may belong together."""
    boxes, components = boxes[:, None], components[None]
    distance = np.abs(boxes - components).max(axis=2)
    overlap = np.minimum(boxes[..., 2:], components[..., 2:]) > np.maximum(boxes[..., :2], components[..., :2])
    return distance, overlap.all(axis=2) | (distance <= NEAR)


def describe_shift(shift: Shift) -> str:
    """A difference of four numbers in words."""
    if len(set(shift)) > 1:
        return 'wrong by ' + ', '.join(f'{corner} {number:+g}' for corner, number in zip(CORNERS, shift, strict=True))
    convention = ' (the convention of SIRST-V2)' if shift[0] == 1 else ''
    return f'shifted by {shift[0]:+g} in all four numbers{convention}'


def read_boxes_on_mask(path: PathLike, mask: np.ndarray) -> tuple[np.ndarray, int]:
    """Read the boxes of a VOC-style XML file, in its order, and move those that count pixels from 1.

    SIRST-V2, and a few boxes of DenseSIRST that were left over from it, count pixels from 1. A box that is the
    extent of a mask component only after a move of one pixel up and left is so moved; all others stay.

    Args:
        path: XML file.
        mask: (H, W) bool, the target mask of its image.

    Returns:
        (n, 4) int64, 0-based ``[x1, y1, x2, y2]`` with exclusive ends, and the number of boxes moved.

    Raises:
        InputError: The XML is malformed, or a box has no area, no target pixel or lies outside of the image.
    """
    boxes = read_boxes(path, whole=True)[1]
    components = set(map(tuple, component_boxes(mask).tolist()))
    exact, before = (np.array([tuple(box) in components for box in moved.tolist()], bool)
                     for moved in (boxes, boxes - 1))
    shifted = before & ~exact
    boxes -= shifted[:, None]
    _require_targets(path, boxes, mask)
    return boxes.astype(np.int64), int(shifted.sum())


def _require_targets(path: PathLike, boxes: np.ndarray, mask: np.ndarray) -> None:
    height, width = mask.shape
    low, high = boxes[:, :2], boxes[:, 2:]
    inside = np.all((low >= 0) & (high <= (width, height)) & (high > low), axis=1)
    x1, y1, x2, y2 = np.where(inside[:, None], boxes, 0).astype(np.int64).T
    # Sums over rectangles by the four corners of the summed area table.
    table = cv2.integral(mask.view(np.uint8))
    covered = table[y2, x2] - table[y1, x2] - table[y2, x1] + table[y1, x1]
    if not covered.all():
        box = boxes[covered.argmin()].tolist()
        raise InputError(f'{printable(path)}: box {box} has no target pixel or lies outside the {width}x{height} '
                         'image; correct the file')
