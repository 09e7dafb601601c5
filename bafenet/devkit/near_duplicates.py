"""Near-duplicate images, which show one scene: SIFT keypoints of each, and the places that two have in common.

Two images are near-duplicates if at least :data:`MIN_MATCHES` places of one lie on places of the other, moved by one
shift, zoom (by a factor of 2 at most) and rotation. Places are the SIFT keypoints (Lowe, IJCV 2004) of the image after
local contrast equalisation, away from targets, because pasted targets say nothing about the scene. They are compared by
RootSIFT (Arandjelovic and Zisserman, CVPR 2012), must be mutually nearest and clearly nearer than the next, and their
common motion is found by RANSAC.
"""
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from tqdm import tqdm

from .box_matching import whole_boxes
from .devkit_files import DevkitFiles
from .frames import read_grey_frame
from .layout import BOXES, IMAGES
from .read import read_boxes
from .stats_image import read_target_mask

# The longer side of an image when its keypoints are found, and their number; the strongest are kept.
SIDE, KEYPOINTS = 384, 160
# Pixels of an image of that size around a target where no keypoint counts.
TARGET_MARGIN = 7
# A descriptor's nearest must be nearer than its second nearest by this factor.
MAX_RATIO = 0.85
# Pixels that a place may lie beside where the common motion puts it.
MAX_MISS = 6
MIN_MATCHES = 8
ZOOM = (0.5, 2)
# Images whose descriptors are compared with one image at a time.
BLOCK = 128


@dataclass
class Scene:
    """What one image says about where it was taken.

    Attributes:
        name: Image name.
        size: Width and height in pixels.
        targets: Number of boxes.
        points: (k, 2) float32, x and y of the keypoints in the image brought to ``SIDE``; k is at most ``KEYPOINTS``.
        descriptors: (k, 128) float32, each of length 1.
    """

    name: str
    size: tuple[int, int]
    targets: int
    points: np.ndarray
    descriptors: np.ndarray


def read_scene(files: DevkitFiles, name: str) -> Scene:
    """Read one image and find its keypoints; see the module for how. Without a target mask its boxes are left out.

    Raises:
        InputError: If the image or its box XML is missing, or a file is bad.
    """
    image = read_grey_frame(files.get(IMAGES, name))
    size = image.shape[::-1]
    boxes = read_boxes(files.get(BOXES, name), size=size)[1]
    mask = read_target_mask(files, name, image.shape)
    if mask is None:
        mask = np.zeros(image.shape, bool)
        for x1, y1, x2, y2 in whole_boxes(boxes, image.shape).tolist():
            mask[y1:y2, x1:x2] = True
    return Scene(name, size, len(boxes), *keypoints(image, mask))


def keypoints(image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places of an image and what they look like.

    Args:
        image: (H, W) grey levels, any number type.
        mask: (H, W) bool, where targets are.

    Returns:
        Points (k, 2) and descriptors (k, 128), as :class:`Scene` has them.
    """
    factor = SIDE / max(image.shape)
    size = [max(round(side * factor), 1) for side in image.shape[::-1]]
    if image.dtype != np.uint8:
        # OpenCV's stub asks for a destination.
        image = cv2.normalize(  # type: ignore[call-overload]
            image.astype(np.float32), None, 0, 255, cv2.NORM_MINMAX, cv2.CV_8U)
    grey = cv2.resize(image, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
    grey = cv2.createCLAHE(clipLimit=4, tileGridSize=(4, 4)).apply(grey)
    # Averaged, so that a target of one pixel does not fall between the pixels kept.
    targets = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0
    near = cv2.dilate(targets.astype(np.uint8), np.ones((2 * TARGET_MARGIN + 1, ) * 2))
    sift = cv2.SIFT.create(contrastThreshold=0.01)
    # A limit given to OpenCV would count keypoints on targets too.
    points = sorted(sift.detect(grey, 1 - near), key=lambda point: -point.response)[:KEYPOINTS]
    if not points:
        return np.zeros((0, 2), np.float32), np.zeros((0, 128), np.float32)
    kept, descriptors = sift.compute(grey, points)
    return np.array(cv2.KeyPoint.convert(kept)), np.sqrt(descriptors / descriptors.sum(1, keepdims=True))


def near_duplicates(scenes: Sequence[Scene], min_matches: int = MIN_MATCHES) -> np.ndarray:
    """Pairs of images that show one scene.

    Args:
        scenes: The images, n of them.
        min_matches: Matching places that a pair must have.

    Returns:
        (m, 3) int64: the indices of the two images, the lower one first, and the number of matching places.
    """
    # Padding is less like a descriptor than any other descriptor is: it never is the nearest of two.
    table = np.zeros((len(scenes), KEYPOINTS, 128), np.float32)
    for row, scene in zip(table, scenes, strict=True):
        row[:len(scene.descriptors)] = scene.descriptors
    pairs = []
    for first in tqdm(range(len(scenes)), 'comparing', unit='image', disable=None):
        for start in range(first + 1, len(scenes), BLOCK) if len(scenes[first].points) else ():
            pairs += _compare(scenes, table, first, start, min_matches)
    return np.array(pairs, np.int64).reshape(-1, 3)


def _compare(scenes: Sequence[Scene], table: np.ndarray, first: int, start: int, min_matches: int) -> list[tuple]:
    """Near-duplicates of image ``first`` among the ``BLOCK`` images from ``start``."""
    own, others = scenes[first].descriptors, table[start:start + BLOCK]
    # (k, images, KEYPOINTS) cosines.
    similarity = (own @ others.reshape(-1, others.shape[-1]).T).reshape(len(own), len(others), -1)
    nearest = similarity.argmax(2)[..., None]
    best = np.take_along_axis(similarity, nearest, 2)
    np.put_along_axis(similarity, nearest, -1, 2)
    # Squared distances of vectors of length 1.
    clear = (2 - 2 * best[..., 0]) < MAX_RATIO**2 * (2 - 2 * similarity.max(2))
    np.put_along_axis(similarity, nearest, best, 2)
    found = []
    # The way back and the motion cost more, and few pairs come so far.
    for other in np.flatnonzero(clear.sum(0) >= min_matches).tolist():
        here = np.flatnonzero(clear[:, other])
        there = nearest[here, other, 0]
        mutual = similarity[:, other].argmax(0)[there] == here
        count = count_moved_alike(scenes[first].points[here[mutual]], scenes[start + other].points[there[mutual]])
        if count >= min_matches:
            found.append((first, start + other, count))
    return found


def count_moved_alike(here: np.ndarray, there: np.ndarray) -> int:
    """How many places are moved by the one shift, zoom and rotation that moves the most of them.

    Args:
        here: (k, 2) float32, x and y in pixels.
        there: (k, 2), the same places in the other image.

    Returns:
        Number of different places; 0 where the zoom lies outside ``ZOOM`` or two places would say it all.
    """
    if len(here) < 3:
        return 0
    motion, found = cv2.estimateAffinePartial2D(here, there, ransacReprojThreshold=MAX_MISS)
    if motion is None or not ZOOM[0] <= np.hypot(*motion[:, 0]) <= ZOOM[1]:
        return 0
    inliers = found[:, 0] > 0
    # SIFT gives a place once for each of its orientations.
    return min(len(np.unique(points[inliers].round(), axis=0)) for points in (here, there))
