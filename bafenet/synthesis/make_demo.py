"""Writing sets in the layout of SIRSTdevkit, and the demo set as a whole."""
import json
import os
import shutil
import xml.etree.ElementTree as ET
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from ..arguments import MAX_SEED, MAX_WORKERS, require_number
from ..devkit import CORNERS
from ..errors import InputError, printable
from ..fileio import require_writable_folder, temporary_folder
from ..reading import read_json
from .clusters import TargetLibrary
from .parallel import parallel_map
from .scenes import MAX_SIZE, MIN_SIZE, draw_scene, make_library

IMAGES, BOXES, POINTS, SPLITS = 'PNGImages', 'SIRST/BBox', 'SIRST/Point_label', 'Splits'
TARGET_BINARY, TARGET_PALETTE = 'SIRST/BinaryMask', 'SIRST/PaletteMask'
SKY_BINARY, SKY_PALETTE = 'SkySeg/BinaryMask', 'SkySeg/PaletteMask'
FOLDERS = (IMAGES, BOXES, TARGET_BINARY, TARGET_PALETTE, POINTS, SKY_BINARY, SKY_PALETTE, SPLITS)

SETTINGS_FILE = 'demo_set.json'
# To be raised whenever the same settings give another set.
DEMO_VERSION = 2
VAL_SHARE, TEST_SHARE = 2 / 15, 1 / 5
MIN_IMAGES, MAX_IMAGES = 3, 100_000
# Its folders, its settings, and the target libraries that training builds in it.
OF_A_DEMO_SET = {*(folder.split('/')[0] for folder in FOLDERS), SETTINGS_FILE, 'TargetLibrary'}


def make_folders(root: Path) -> None:
    """Create the empty folders of a SIRSTdevkit."""
    for folder in FOLDERS:
        (root / folder).mkdir(parents=True, exist_ok=True)


def write_sample(root: Path, name: str, image: np.ndarray, sky: np.ndarray, target_mask: np.ndarray,
                 boxes: np.ndarray) -> None:
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
    """
    Image.fromarray(image).save(root / IMAGES / f'{name}.png')
    # The palettes of DenseSIRST: black and red, and the 256 colours of Pascal VOC.
    _write_masks(root / TARGET_BINARY, root / TARGET_PALETTE, name, target_mask, [0, 0, 0, 255, 0, 0])
    _write_masks(root / SKY_BINARY, root / SKY_PALETTE, name, sky, _voc_palette())
    targets = [{'name': 'Target', 'bndbox': dict(zip(CORNERS, box, strict=True))} for box in boxes.tolist()]
    _write_xml(root / BOXES / f'{name}.xml', {'filename': name}, image.shape, 1, targets)
    for folder, label in ((TARGET_BINARY, 'Target'), (SKY_BINARY, 'Sky')):
        _write_xml(root / folder / f'{name}.xml', {'folder': IMAGES, 'filename': f'{name}.png'}, image.shape, 3,
                   [{'name': label, 'difficult': 0, 'pixels': {'id': 0}}])
    points = [_centroid(target_mask, box) for box in boxes]
    (root / POINTS / f'{name}_pixels0.txt').write_text(''.join(f'{x} {y}\n' for x, y in points))


def sample_files(root: Path, name: str) -> list[Path]:
    """The files that :func:`write_sample` writes."""
    files = [root / IMAGES / f'{name}.png', root / BOXES / f'{name}.xml', root / POINTS / f'{name}_pixels0.txt']
    for binary, palette in ((TARGET_BINARY, TARGET_PALETTE), (SKY_BINARY, SKY_PALETTE)):
        files += [root / binary / f'{name}_pixels0.png', root / binary / f'{name}.xml', root / palette / f'{name}.png']
    return files


def _write_masks(binary: Path, palette: Path, name: str, mask: np.ndarray, colours: list[int]) -> None:
    """Write a mask as grey levels 0 and 255 and as palette indices, 0 and 1 mostly."""
    Image.fromarray((mask == 1).astype(np.uint8) * 255).save(binary / f'{name}_pixels0.png')
    indexed = Image.fromarray(mask.astype(np.uint8))
    indexed.putpalette(colours)
    indexed.save(palette / f'{name}.png')


def _voc_palette() -> list[int]:
    """Pascal VOC's colours: red has bits 0, 3, 6 of the index as its highest, green 1, 4, 7, blue 2 and 5."""
    index = np.arange(256)[:, None]
    channel = np.arange(3)
    return sum(((index >> (3 * bit + channel)) & 1) << (7 - bit) for bit in range(3)).ravel().tolist()


def _write_xml(path: Path, head: dict, shape: tuple, depth: int, objects: list[dict]) -> None:
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
        (root / SPLITS / f'{split}.txt').write_text('\n'.join(names))


def draw_splits(names: list[str], seed: int) -> dict[str, list[str]]:
    """Divide names at random: about 2/3 for training, 2/15 for validation, 1/5 for testing, at least one in each.

    Args:
        names: At least three.
        seed: Seed of the division.

    Returns:
        The names of ``train_v2``, ``val_v2``, ``test_v2`` and, the first two together, ``trainval_v2``; each sorted.
    """
    order = np.random.default_rng([seed, len(names)]).permutation(sorted(names)).tolist()
    val, test = (max(round(share * len(names)), 1) for share in (VAL_SHARE, TEST_SHARE))
    parts = {'val_v2': order[:val], 'test_v2': order[val:val + test], 'train_v2': order[val + test:]}
    parts['trainval_v2'] = parts['train_v2'] + parts['val_v2']
    return {split: sorted(part) for split, part in parts.items()}


def write_demo_set(out: str | Path, images: int = 300, size: int = 192, seed: int = 0, workers: int = 1,
                   force: bool = False) -> bool:
    """Write the demo set, whole or not at all.

    It is built in a temporary folder beside ``out`` and renamed when it is complete. Image ``demo_0001`` is scene 1 of
    the seed, and so on: its content depends on the seed, its number and the size alone.

    Args:
        out: The folder to create.
        images: Number of images, from 3 to 100,000.
        size: Side of the images in pixels, from 96 to 4096.
        seed: Seed of everything.
        workers: Processes to use; the result does not depend on it.
        force: Replace a demo set that is there with other settings.

    Returns:
        True if the set was written, False if it is there already, made with the same settings.

    Raises:
        InputError: An argument is out of range, ``out`` exists and is not to be replaced, or it cannot be written.
    """
    check_demo_options(images, size, seed, workers)
    settings = {'set': 'BAFE-Net demo', 'version': DEMO_VERSION, 'images': images, 'size': size, 'seed': seed}
    out = Path(out).resolve()
    try:
        if not _must_write(out, settings, force):
            return False
        require_writable_folder(out.parent)
        with temporary_folder(out) as temporary:
            root = temporary / 'new'
            _build(root, settings, workers)
            swap_in(root, out, temporary / 'old')
    except OSError as error:
        raise InputError(f'{printable(out)}: cannot write the demo set: {error.strerror or error}') from error
    return True


def check_demo_options(images: int, size: int, seed: int, workers: int) -> None:
    """Check the arguments of :func:`write_demo_set`.

    Raises:
        InputError: If one is out of range.
    """
    for name, value, low, high in (('images', images, MIN_IMAGES, MAX_IMAGES), ('size', size, MIN_SIZE, MAX_SIZE),
                                   ('seed', seed, 0, MAX_SEED), ('workers', workers, 1, MAX_WORKERS)):
        require_number(name, value, low, high, whole=True)


def _must_write(out: Path, settings: dict, force: bool) -> bool:
    """Whether there is something to do; raises InputError where something is in the way."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return True
    present = _read_settings(out / SETTINGS_FILE)
    if present.get('set') != settings['set']:
        raise InputError(f'{printable(out)}: exists and is not a demo set; it is left as it is, choose another folder')
    if force:
        strange = sorted({path.name for path in out.iterdir()} - OF_A_DEMO_SET)
        if strange:
            raise InputError(f'{printable(out / strange[0])}: is no part of the demo set, and would be lost with '
                             'it; move it elsewhere')
        return True
    if present != settings:
        raise InputError(f'{printable(out)}: a demo set with other settings or of another version is there; --force '
                         'replaces it')
    return False


def _read_settings(path: Path) -> dict:
    """The settings of a demo set; empty where there are none."""
    try:
        settings = read_json(path)
    except InputError:
        return {}
    return settings if isinstance(settings, dict) else {}


def _build(root: Path, settings: dict, workers: int) -> None:
    make_folders(root)
    count, seed, size = settings['images'], settings['seed'], settings['size']
    write = partial(_write_scene, root, seed, size, make_library(seed))
    with closing(parallel_map(write, range(1, count + 1), workers)) as written:
        names = list(tqdm(written, 'demo set', count, unit='image', disable=None))
    write_splits(root, draw_splits(names, seed))
    (root / SETTINGS_FILE).write_text(json.dumps(settings, indent=2) + '\n')


def _write_scene(root: Path, seed: int, size: int, library: TargetLibrary, index: int) -> str:
    scene = draw_scene(seed, index, size, library)
    name = f'demo_{index:04d}'
    # From top to bottom, as DenseSIRST lists its boxes.
    order = np.lexsort((scene.boxes[:, 0], scene.boxes[:, 1]))
    write_sample(root, name, scene.image, scene.sky, scene.target_mask, scene.boxes[order])
    return name


def swap_in(new: Path, out: Path, old: Path) -> None:
    """Put a folder where another one may be; whatever fails, the one before is not lost."""
    if out.exists():
        os.replace(out, old)
    try:
        os.replace(new, out)
    except BaseException:
        if old.exists():
            os.replace(old, out)
        raise
    shutil.rmtree(old, ignore_errors=True)
