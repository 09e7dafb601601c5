"""Measure one image of a devkit and its targets: sizes, local contrast, brightness, clusters.

Targets are the 8-connected components of the target mask, and of an image without one its boxes; their sizes are those
of the components' extents, or of the boxes in whole pixels.
"""
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from bafenet_command import call_of

from ..errors import InputError, printable
from .box_matching import EIGHT_NEIGHBOURS, extents, whole_boxes
from .decode import read_header
from .devkit_files import SKY_MAPS, TARGET_MASKS, DevkitFiles
from .frames import read_grey_frame
from .images import read_image
from .layout import BOXES, IGNORED, IMAGES, OTHER, SKY, SKY_PALETTE
from .read import read_boxes

CONTRAST_MARGIN = 8
CLUSTER_DISTANCE = 10
MIN_CLUSTER = 3


@dataclass
class ImageStatistics:
    """What one image and its n targets measure.

    Attributes:
        size: Width and height in pixels.
        boxes: Number of boxes in its XML.
        sizes: (n, 2) int, width and height of each target.
        area: (n,) pixels; NaN where there is no target mask.
        contrast: (n,) float, NaN where it is not defined.
        contrast_paper_boxes: (n,) float, likewise.
        brightness: (n,) float in [0, 1], NaN in a black image.
        in_sky: (n,) float 0 or 1, NaN where there is no sky map.
        cluster: (n,) int, number of the cluster in this image, -1 for none.
        classes: The class of each box; empty for none.
        box_sides: (m, 2) float, width and height of each box.
        has_mask: Whether there is a target mask.
        deep: Whether the image has more than 8 bits.
    """

    size: tuple[int, int]
    boxes: int
    sizes: np.ndarray
    area: np.ndarray
    contrast: np.ndarray
    contrast_paper_boxes: np.ndarray
    brightness: np.ndarray
    in_sky: np.ndarray
    cluster: np.ndarray
    classes: list[str]
    box_sides: np.ndarray
    has_mask: bool
    deep: bool


def measure_image(files: DevkitFiles, name: str) -> ImageStatistics:
    """Measure one image and its targets.

    Args:
        files: The devkit's.
        name: Image name.

    Returns:
        The measurements.

    Raises:
        InputError: If one of its files is bad, or the image or its box XML is missing.
    """
    path = files.get(IMAGES, name)
    image = read_grey_frame(path)
    size = image.shape[::-1]
    classes, boxes = read_boxes(files.get(BOXES, name), size=size)
    mask, sky = read_target_mask(files, name, image.shape), read_sky_map(files, name, image.shape)
    if mask is not None:
        corners, area, peaks, in_sky = _measure_mask(image, mask, sky)
    else:
        corners = whole_boxes(boxes, image.shape)
        area = np.full(len(corners), np.nan)
        peaks = np.array([image[y1:y2, x1:x2].max() for x1, y1, x2, y2 in corners.tolist()], float)
        in_sky = np.full(len(corners), np.nan) if sky is None else _in_sky(
            _box_sums(_summed(sky == SKY), corners), _box_sums(_summed(sky == IGNORED), corners), _areas(corners))
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
        in_sky=in_sky,
        cluster=find_clusters((corners[:, :2] + corners[:, 2:]) / 2),
        classes=[label or '' for label in classes],
        box_sides=boxes[:, 2:] - boxes[:, :2],
        has_mask=mask is not None,
        deep=read_header(path).deep)


def _measure_mask(image: np.ndarray, mask: np.ndarray,
                  sky: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Extents, areas, brightest pixels and whether they are in the sky, of the components of a mask."""
    labels, count = ndimage.label(mask, EIGHT_NEIGHBOURS)
    pixels = labels > 0
    target = labels[pixels] - 1
    area = np.bincount(target, minlength=count)
    peaks = np.zeros(count)
    np.maximum.at(peaks, target, image[pixels])
    in_sky = np.full(count, np.nan) if sky is None else _in_sky(
        np.bincount(target, sky[pixels] == SKY, count), np.bincount(target, sky[pixels] == IGNORED, count), area)
    return extents(labels), area, peaks, in_sky


def _in_sky(sky: np.ndarray, ignored: np.ndarray, area: np.ndarray) -> np.ndarray:
    """Whether at least half of the pixels that are known are sky: (n,) float, NaN where none is known."""
    known = area - ignored
    return np.where(known > 0, sky >= known / 2, np.nan)


def local_contrast(image: np.ndarray, boxes: np.ndarray, margin: int = CONTRAST_MARGIN) -> np.ndarray:
    """Mean grey level of each box over that of the ring around it.

    Args:
        image: (H, W), grey levels.
        boxes: (n, 4) int ``[x1, y1, x2, y2]`` with exclusive ends, in the image.
        margin: Width of the ring in pixels; it ends at the image's border.

    Returns:
        (n,) float; NaN where the box is empty, or the ring is empty or black.
    """
    sums = _summed(image)
    height, width = image.shape
    outer = np.clip(boxes + [-margin, -margin, margin, margin], 0, [width, height, width, height])
    inner_sum, outer_sum = _box_sums(sums, boxes), _box_sums(sums, outer)
    inner_area, outer_area = _areas(boxes), _areas(outer)
    with np.errstate(divide='ignore', invalid='ignore'):
        ratio = inner_sum / inner_area / ((outer_sum - inner_sum) / (outer_area - inner_area))
    return np.where(np.isfinite(ratio), ratio, np.nan)


def _summed(values: np.ndarray) -> np.ndarray:
    """Summed area table (H + 1, W + 1) of an array (H, W)."""
    return np.pad(values.astype(np.float64).cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))


def _box_sums(sums: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    x1, y1, x2, y2 = boxes.T
    return sums[y2, x2] - sums[y1, x2] - sums[y2, x1] + sums[y1, x1]


def _areas(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def find_clusters(centres: np.ndarray) -> np.ndarray:
    """Group targets by single linkage: see ``'cluster'`` in :data:`bafenet.devkit.stats.DEFINITIONS`.

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


def read_target_mask(files: DevkitFiles, name: str, shape: tuple[int, int]) -> np.ndarray | None:
    """The target mask of an image, (H, W) bool: the palette, else the binary one; None where there is neither.

    Raises:
        InputError: If it does not decode, or is not of the given shape.
    """
    found = files.first_of(TARGET_MASKS, name)
    return None if found is None else read_map(found[1], shape) > 0


def read_sky_map(files: DevkitFiles, name: str, shape: tuple[int, int]) -> np.ndarray | None:
    """The sky map of an image, (H, W) uint8: 0 other, 1 sky and 255 ignored; None where there is none.

    Raises:
        InputError: If it does not decode, or is not of the given shape.
    """
    found = files.first_of(SKY_MAPS, name)
    if found is None:
        return None
    values = read_map(found[1], shape)
    return values if found[0] == SKY_PALETTE else np.where(values > 0, SKY, OTHER)


def read_map(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """A target mask or sky map (H, W) as it is in the file.

    Raises:
        InputError: If it does not decode or is not of the given shape.
    """
    values = np.asarray(read_image(path))
    if values.shape != shape:
        there, expected = ('x'.join(map(str, size[1::-1])) for size in (values.shape, shape))
        raise InputError(f'{printable(path)}: is not one channel of its image\'s size, {expected}, but '
                         f'{"of several channels" if there == expected else there}; see {call_of("check")}')
    return values
