"""A DenseSIRST-style set from annotated infrared images: clusters pasted into their sky (paper Section III-B)."""
import json
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Tuple, Union
from xml.etree import ElementTree

import cv2
import numpy as np
from tqdm import tqdm

from ..errors import InputError, first_line
from ..fileio import write_text
from .clusters import ClusterRecipe, PastedTargets, TargetLibrary, paste_targets, place_clusters
from .devkit import CORNERS, IMAGES, make_folders, parallel_map, write_sample, write_splits
from .gaussian import Rng
from .library import (
    Layout,
    PathLike,
    component_boxes,
    find_layout,
    load_library,
    read_grey,
    read_mask,
    shrink,
    split_patches,
)

SETTINGS_FILE, RECORDS_FILE = 'densify.json', 'densify_images.jsonl'
# To be raised whenever the same settings give another set.
DENSIFY_VERSION = 1


class Summary(NamedTuple):
    """What a densified set holds.

    Attributes:
        images: Images.
        targets: Original targets.
        pasted: Targets pasted.
        without_room: Images into which nothing was pasted.
        colour: Images that had colours and have become grey.
        moved: Original boxes that were moved one pixel up and left, to where their mask is.
    """

    images: int
    targets: int
    pasted: int
    without_room: int
    colour: int
    moved: int


def densify(source: PathLike, out: PathLike, library: Optional[PathLike] = None, split: str = 'train_v2', seed: int = 0,
            workers: int = 1, sky: Optional[PathLike] = None, recipe: Optional[ClusterRecipe] = None,
            max_target_size: int = 5, limit: Optional[int] = None) -> Summary:
    """Write a SIRSTdevkit with the images of a data set, their targets, and clusters of further targets in the sky.

    In each image the original targets come first, in their order, the pasted ones after them. What is pasted into an
    image depends on the seed, the library, the recipe and the image with its name alone. ``densify_images.jsonl`` in
    ``out`` gets a line for each image once all of its files are written; a later call with the same settings goes on
    after it. The splits come last, and after them the summary in ``densify.json``, the sign that the set is complete.

    Args:
        source: A SIRSTdevkit, or SIRST-V2 as published. It is only read.
        out: The folder to write.
        library: Target library; None builds one from the source's ``split``, in memory.
        split: See ``library``.
        seed: Seed of everything, at least 0.
        workers: Processes; the result does not depend on it.
        sky: Folder of sky maps in the place of the source's own.
        recipe: Numbers, sizes and blend; the paper's where it is None.
        max_target_size: Larger library targets are shrunk to it.
        limit: Take the first so many images, by name; splits keep what is left of them.

    Raises:
        InputError: Bad input or option, ``out`` is in the source or holds something else, or it cannot be written.
    """
    recipe = recipe or ClusterRecipe()
    _check_options(recipe, max_target_size, seed, workers, limit)
    layout = find_layout(source, sky)
    out = Path(out).resolve()
    present = _read_present(out, [layout.root] + ([Path(sky)] if sky else []))
    names, splits = _read_names(layout, limit)
    if library is None:
        targets = TargetLibrary.from_patches([shrink(patch, max_target_size) for patch in split_patches(layout, split)])
    else:
        targets = load_library(library, max_target_size)
    settings = {
        'set': 'BAFE-Net densified', 'version': DENSIFY_VERSION, 'source': layout.root.absolute().name,
        'sky': Path(sky).absolute().name if sky else None, 'limit': limit, 'images': _digest(len(names), *names),
        'library': _digest(len(targets.sizes), targets.sizes.tobytes(), targets.patches.tobytes()),
        'max_target_size': max_target_size, 'seed': seed, **asdict(recipe)}
    # As it comes back from the file.
    settings = json.loads(json.dumps(settings))
    _check_settings(out, present, settings)
    if 'summary' in present:
        return Summary(**present['summary'])
    try:
        return _write_set(out, settings, _Task(layout, out, targets, recipe, seed), names, splits, workers)
    except OSError as error:
        raise InputError(f'{out}: cannot write the densified set: {error.strerror or error}; the same call goes on '
                         'from here') from error


def _check_options(recipe: ClusterRecipe, max_target_size: int, seed: int, workers: int, limit: Optional[int]) -> None:
    least = {'num clusters': (recipe.num_clusters[0], 1), 'targets per cluster': (recipe.targets_per_cluster[0], 1),
             'spacing': (recipe.spacing[0], 1), 'brightness': (recipe.brightness[0], 0),
             'max target size': (max_target_size, 1), 'region size': (recipe.region_size, max_target_size),
             'seed': (seed, 0), 'workers': (workers, 1), 'limit': (1 if limit is None else limit, 1)}
    for name, (value, low) in least.items():
        # Written so that NaN fails too.
        if not value >= low:
            raise InputError(f'{name} is {value}; give at least {low}')
    for name in ('num_clusters', 'targets_per_cluster', 'spacing', 'brightness'):
        low, high = getattr(recipe, name)
        if not low <= high < np.inf:
            raise InputError(f'{name.replace("_", " ")} is from {low} to {high}; give the lower end first')


def _read_present(out: Path, sources: List[Path]) -> Dict:
    """What ``densify.json`` in ``out`` holds; empty where there is nothing yet, and an error where anything else is."""
    for source in sources:
        if out.is_relative_to(source.resolve()):
            raise InputError(f'{out}: lies in the source {source}, which is never written to; choose another folder')
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return {}
    try:
        present = json.loads((out / SETTINGS_FILE).read_text(encoding='utf-8'))
    except (OSError, ValueError):
        present = None
    if not isinstance(present, dict) or not isinstance(present.get('settings'), dict):
        raise InputError(f'{out}: exists and is not a densified set; it is left as it is, choose another folder')
    return present


def _check_settings(out: Path, present: Dict, settings: Dict) -> None:
    """Refuse to go on with other settings than those that a set was begun with."""
    begun = present.get('settings', settings)
    differ = [f'{key} {begun.get(key)} there, {settings.get(key)} now' for key in {**settings, **begun}
              if begun.get(key) != settings.get(key)]
    if differ:
        raise InputError(f'{out}: was begun with other settings ({"; ".join(differ)}); repeat those, or choose another '
                         'folder')


def _read_names(layout: Layout, limit: Optional[int]) -> Tuple[List[str], Dict[str, List[str]]]:
    """Image names and splits, once it is sure that no file is missing."""
    every = layout.names()
    if not every:
        raise InputError(f'{layout.root / layout.images[0]}: holds no PNG image')
    names = every[:limit]
    for name in names:
        layout.target_mask(name)
        layout.sky_map(name)
    splits = {}
    for split in layout.split_names():
        members = layout.split(split)
        absent = set(members).difference(every)
        if absent:
            raise InputError(f'{layout.root}: has no image {min(absent)}, but the split {split} names it')
        kept = set(members).intersection(names)
        splits[split] = [name for name in members if name in kept]
    return names, {split: members for split, members in splits.items() if members}


def _digest(count: int, *data: Union[str, bytes]) -> str:
    parts = (part.encode() + b'/' if isinstance(part, str) else part for part in data)
    return f'{count} (CRC {zlib.crc32(b"".join(parts)):08x})'


def _write_set(out: Path, settings: Dict, task: '_Task', names: List[str], splits: Dict[str, List[str]],
               workers: int) -> Summary:
    # First, so that whatever else is found here later is known as ours.
    _write_json(out / SETTINGS_FILE, {'settings': settings})
    make_folders(out)
    records = _read_records(out)
    # Without the line that a killed process may have left unfinished.
    write_text(out / RECORDS_FILE, ''.join(map(_json_line, records.values())))
    left = [name for name in names if name not in records]
    with open(out / RECORDS_FILE, 'a', encoding='utf-8') as file:
        written = parallel_map(task, left, workers)
        for record in tqdm(written, 'densify', len(names), initial=len(records), unit='image', disable=None):
            file.write(_json_line(record))
            file.flush()
            records[record['image']] = record
    write_splits(out, splits)
    summary = _sum_up(list(records.values()))
    _write_json(out / SETTINGS_FILE, {'settings': settings, 'summary': summary._asdict()})
    return summary


def _sum_up(records: List[Dict]) -> Summary:
    total = {key: sum(record[key] for record in records) for key in ('targets', 'pasted', 'colour', 'moved')}
    return Summary(images=len(records), without_room=sum(not record['pasted'] for record in records), **total)


def _write_json(path: Path, content: Dict) -> None:
    write_text(path, json.dumps(content, indent=2) + '\n')


def _json_line(record: Dict) -> str:
    return json.dumps(record) + '\n'


def _read_records(out: Path) -> Dict[str, Dict]:
    """The images written so far, by name, as far as they are still there."""
    records = {}
    path = out / RECORDS_FILE
    for line in path.read_text(encoding='utf-8').splitlines() if path.exists() else ():
        try:
            record = json.loads(line)
            name = record['image']
        except (ValueError, TypeError, KeyError):
            continue
        if (out / IMAGES / f'{name}.png').is_file():
            records[name] = record
    return records


@dataclass(frozen=True)
class _Task:
    """Densify and write one image after the other, by name; goes to the worker processes."""

    layout: Layout
    out: Path
    library: TargetLibrary
    recipe: ClusterRecipe
    seed: int

    def __call__(self, name: str) -> Dict:
        image, colour = read_grey(self.layout.image(name))
        mask = read_mask(self.layout.target_mask(name), image.shape) > 0
        sky = read_sky(self.layout.sky_map(name), image.shape)
        box_file = self.layout.box_file(name)
        boxes, moved = (component_boxes(mask), 0) if box_file is None else read_boxes(box_file, mask)
        rng = np.random.default_rng([self.seed, zlib.crc32(name.encode())])
        pasted = densify_image(image, sky, mask, self.library, rng, self.recipe)
        write_sample(self.out, name, pasted.image, sky, mask | pasted.mask(), np.concatenate([boxes, pasted.boxes]))
        return {'image': name, 'targets': len(boxes), 'pasted': len(pasted.boxes), 'colour': colour, 'moved': moved}


def densify_image(image: np.ndarray, sky: np.ndarray, mask: np.ndarray, library: TargetLibrary, rng: Rng,
                  recipe: ClusterRecipe) -> PastedTargets:
    """Paste clusters into the sky of an image, clear of the targets that it has.

    Args:
        image: (H, W) uint8. It is not changed.
        sky: (H, W) bool.
        mask: (H, W) bool, the targets in it. At least ``recipe.spacing[0]`` pixels around them stay as they are.
        library: The targets to paste.
        rng: Source of the draws.
        recipe: How.

    Returns:
        The new image and the targets that can be seen in it, each one 8-connected component of their mask.
    """
    reach = 2 * recipe.spacing[0] + 1
    free = sky & ~cv2.dilate(mask.view(np.uint8), np.ones((reach, reach), np.uint8)).view(bool)
    indices, corners = place_clusters(free, library.sizes, rng, recipe)
    return _drop_broken(image, paste_targets(image, library.pick(indices), corners, rng, recipe))


def _drop_broken(image: np.ndarray, pasted: PastedTargets) -> PastedTargets:
    """Undo the targets of which only separate parts can be seen (one of some thousands)."""
    target, row, col = np.nonzero(pasted.visible)
    pixels = pasted.corners[target, 0] + row, pasted.corners[target, 1] + col
    part = cv2.connectedComponents(pasted.mask().view(np.uint8), connectivity=8)[1][pixels]
    owner = np.unique(np.stack([target, part]), axis=1)[0]
    whole = np.bincount(owner, minlength=len(pasted.boxes)) == 1
    restored = pasted.image.copy()
    broken = tuple(axis[~whole[target]] for axis in pixels)
    restored[broken] = image[broken]
    return PastedTargets(restored, pasted.boxes[whole], pasted.visible[whole], pasted.corners[whole])


def read_sky(path: PathLike, size: Tuple[int, int]) -> np.ndarray:
    """Read a sky map: 0 other, and sky where it is either 1 or 255.

    Args:
        path: Image file.
        size: Height and width that it must have.

    Returns:
        (H, W) bool.

    Raises:
        InputError: The file is no image, of another size, or holds other values or 1 and 255 side by side, of which one
            must then mean something else.
    """
    values = read_mask(path, size)
    found = set(np.unique(values).tolist()) - {0}
    if found not in (set(), {1}, {255}):
        raise InputError(f'{path}: a sky map holds 0 and 1, or 0 and 255, not {sorted(found)[:5]}; correct the file')
    return values > 0


def read_boxes(path: PathLike, mask: np.ndarray) -> Tuple[np.ndarray, int]:
    """Read the boxes of a VOC-style XML file, in its order.

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
    try:
        objects = ElementTree.parse(path).getroot().findall('object')
        corners = [[float(item.find('bndbox').find(field).text) for field in CORNERS] for item in objects]
        boxes = np.array(corners).reshape(-1, 4)
        if not np.array_equal(boxes, np.rint(boxes)):
            raise ValueError('boxes must be whole pixels')
    except (OSError, ElementTree.ParseError, AttributeError, TypeError, ValueError) as error:
        raise InputError(f'{path}: not a VOC annotation ({first_line(error)}); write it anew') from error
    components = component_boxes(mask)
    exact, before = ((moved[:, None] == components).all(axis=2).any(axis=1) for moved in (boxes, boxes - 1))
    shifted = before & ~exact
    boxes -= shifted[:, None]
    _check_boxes(path, boxes, mask)
    return boxes.astype(np.int64), int(shifted.sum())


def _check_boxes(path: PathLike, boxes: np.ndarray, mask: np.ndarray) -> None:
    height, width = mask.shape
    low, high = boxes[:, :2], boxes[:, 2:]
    inside = (low >= 0).all(axis=1) & (high <= (width, height)).all(axis=1) & (high > low).all(axis=1)
    x1, y1, x2, y2 = np.where(inside[:, None], boxes, 0).astype(np.int64).T
    # Sums over rectangles by the four corners of the summed area table.
    table = cv2.integral(mask.view(np.uint8))
    covered = table[y2, x2] - table[y1, x2] - table[y2, x1] + table[y1, x1]
    if not covered.all():
        box = boxes[covered.argmin()].tolist()
        raise InputError(f'{path}: box {box} has no target pixel or lies outside the {width}x{height} image; correct '
                         'the file')
