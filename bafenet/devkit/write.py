"""Write images with their annotations, and splits, in the layout of a SIRSTdevkit."""
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from .layout import (
    BINARY,
    BOXES,
    CLASSES,
    CORNERS,
    FOLDERS,
    IMAGES,
    POINTS,
    SKY,
    SKY_BINARY,
    SKY_PALETTE,
    SUFFIXES,
    TARGET,
    TARGET_BINARY,
    TARGET_PALETTE,
    file_below,
    split_file,
)

# The class of the one object in the XML that stands beside each binary mask.
BINARY_CLASSES = {TARGET_BINARY: CLASSES[0], SKY_BINARY: 'Sky'}
# The palette of DenseSIRST's target masks: black and red.
TARGET_COLOURS = [0, 0, 0, 255, 0, 0]


def make_folders(root: Path) -> None:
    """Create the empty folders of a SIRSTdevkit."""
    for folder in FOLDERS:
        (root / folder).mkdir(parents=True, exist_ok=True)


def write_sample(root: Path, name: str, image: np.ndarray, sky: np.ndarray, target_mask: np.ndarray,
                 boxes: np.ndarray, classes: Sequence[str] | None = None) -> None:
    """Write one image with all its annotations; the folders must exist.

    Objects and points stand in the same order, that of ``boxes``. A point is, as in DenseSIRST, the centroid of a
    target's mask, cut to whole pixels.

    Args:
        root: The devkit.
        name: File name without suffix.
        image: (H, W) uint8.
        sky: (H, W) bool, or uint8 of 0, 1 (sky) and 255 (ignored).
        target_mask: (H, W) bool.
        boxes: (n, 4) int, 0-based ``[x1, y1, x2, y2]`` with exclusive ends, one around each target of the mask.
        classes: The class of each box; None for the class of DenseSIRST.
    """
    Image.fromarray(image).save(root / file_below(IMAGES, name))
    # Of sky maps DenseSIRST has the 256 colours of Pascal VOC.
    write_masks(root / file_below(TARGET_BINARY, name), root / file_below(TARGET_PALETTE, name), target_mask == TARGET,
                target_mask, TARGET_COLOURS)
    write_masks(root / file_below(SKY_BINARY, name), root / file_below(SKY_PALETTE, name), sky == SKY, sky,
                voc_palette())
    write_boxes(root / file_below(BOXES, name), name, image.shape, 1, classes or [CLASSES[0]] * len(boxes), boxes)
    for folder, label in BINARY_CLASSES.items():
        write_xml(root / _binary_xml(folder, name), {'folder': IMAGES, 'filename': f'{name}{SUFFIXES[IMAGES]}'},
                  image.shape, 3, [{'name': label, 'difficult': 0, 'pixels': {'id': 0}}])
    points = [_centroid(target_mask, box) for box in boxes]
    (root / file_below(POINTS, name)).write_text(''.join(f'{x} {y}\n' for x, y in points))


def write_boxes(path: Path, name: str, shape: tuple, depth: int, classes: Sequence[str], boxes: np.ndarray) -> None:
    """Write the box XML of an image.

    Args:
        path: The file.
        name: Of the image.
        shape: Its height and width, and whatever follows.
        depth: Its channels.
        classes: Class of each box, n of them.
        boxes: (n, 4), 0-based with exclusive ends; whole numbers are written as such.
    """
    rows = [[int(number) if number == int(number) else number for number in box] for box in boxes.tolist()]
    targets = [{'name': label, 'bndbox': dict(zip(CORNERS, box, strict=True))}
               for label, box in zip(classes, rows, strict=True)]
    write_xml(path, {'filename': name}, shape, depth, targets)


def sample_files(root: Path, name: str) -> list[Path]:
    """The files that :func:`write_sample` writes."""
    files = [file_below(folder, name) for folder in SUFFIXES] + [_binary_xml(folder, name) for folder in BINARY_CLASSES]
    return [root / file for file in files]


def _binary_xml(folder: str, name: str) -> str:
    return f'{folder}/{name}{SUFFIXES[BOXES]}'


def write_masks(binary: Path, palette: Path, shown: np.ndarray, mask: np.ndarray, colours: list[int]) -> None:
    """Write the pixels that are shown as grey levels 0 and 255, and the whole mask as palette indices."""
    Image.fromarray(shown.astype(np.uint8) * BINARY).save(binary)
    indexed = Image.fromarray(mask.astype(np.uint8))
    indexed.putpalette(colours)
    indexed.save(palette)


def voc_palette() -> list[int]:
    """Pascal VOC's colours: red has bits 0, 3, 6 of the index as its highest, green 1, 4, 7, blue 2 and 5."""
    index = np.arange(256)[:, None]
    channel = np.arange(3)
    bits = [((index >> (3 * bit + channel)) & 1) << (7 - bit) for bit in range(3)]
    return np.sum(bits, axis=0).ravel().tolist()


def write_xml(path: Path, head: dict, shape: tuple, depth: int, objects: list[dict]) -> None:
    size = {'width': shape[1], 'height': shape[0], 'depth': depth}
    root = _element('annotation', {**head, 'size': size})
    root.extend(_element('object', fields) for fields in objects)
    ET.indent(root)
    path.write_text(ET.tostring(root, encoding='unicode') + '\n', encoding='utf-8')


def _element(tag: str, content: dict | str | int) -> ET.Element:
    """An XML element from nested dicts."""
    element = ET.Element(tag)
    if isinstance(content, dict):
        element.extend(_element(*item) for item in content.items())
    else:
        element.text = str(content)
    return element


def _centroid(mask: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Column and row (int) of the centre of gravity of the mask in a box, cut to whole pixels."""
    x1, y1, x2, y2 = box
    row, col = np.nonzero(mask[y1:y2, x1:x2])
    return np.array([x1 + col.mean(), y1 + row.mean()]).astype(int)


def write_splits(root: Path, splits: dict[str, list[str]]) -> None:
    """Write ``Splits/NAME.txt`` for each split, one image name a line."""
    for split, names in splits.items():
        (root / split_file(split)).write_text('\n'.join(names))
