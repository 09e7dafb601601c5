"""A DenseSIRST-style set from annotated infrared images: clusters pasted into their sky (paper Section III-B)."""
import json
import zlib
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from .. import devkit
from ..arguments import MAX_SEED, MAX_WORKERS, require_number
from ..devkit import image_size, is_plain_name, read_grey, read_mask, require_palette_sky, require_size
from ..errors import InputError, printable
from ..fileio import owned, require_writable_folder, write_text
from .clusters import ClusterRecipe, PastedTargets, TargetLibrary, paste_targets, place_clusters
from .devkit import SKY_PALETTE, make_folders, write_sample, write_splits
from .gaussian import Rng
from .library import Layout, PathLike, component_boxes, find_layout, load_library, shrink, split_patches
from .limits import check_recipe
from .parallel import parallel_map
from .progress import RECORDS_FILE, SETTINGS_FILE, Summary, check_settings, read_present, read_records, refuse_links

# To be raised whenever the same settings give another set.
DENSIFY_VERSION = 1
MAX_LIMIT = 10_000_000


def densify(source: PathLike, out: PathLike, library: PathLike | None = None, split: str = 'train_v2', seed: int = 0,
            workers: int = 1, sky: PathLike | None = None, recipe: ClusterRecipe | None = None,
            max_target_size: int = 5, limit: int | None = None) -> Summary:
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
    read_present(out, [layout.root] + ([Path(sky)] if sky else []))
    try:
        require_writable_folder(out)
    except InputError as error:
        raise InputError(f'cannot write the densified set: {error}') from error
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
    check_settings(out, read_present(out), settings)
    try:
        refuse_links(out)
        with owned(out):
            # Read again: another process may just have finished it.
            present = read_present(out)
            check_settings(out, present, settings)
            if 'summary' in present:
                return Summary(**present['summary'])
            return _write_set(out, settings, _Task(layout, out, targets, recipe, seed), names, splits, workers)
    except OSError as error:
        raise InputError(f'{printable(out)}: cannot write the densified set: {error.strerror or error}; the same call '
                         'goes on from here') from error


def _check_options(recipe: ClusterRecipe, max_target_size: int, seed: int, workers: int, limit: int | None) -> None:
    check_recipe(recipe, max_target_size, spoken=True, least_region=max_target_size)
    require_number('seed', seed, 0, MAX_SEED, whole=True)
    require_number('workers', workers, 1, MAX_WORKERS, whole=True)
    if limit is not None:
        require_number('limit', limit, 1, MAX_LIMIT, whole=True)


def _read_names(layout: Layout, limit: int | None) -> tuple[list[str], dict[str, list[str]]]:
    """Image names and splits, once it is sure that no file is missing, of another size, too deep or no annotation."""
    every = layout.names()
    if not every:
        raise InputError(f'{printable(layout.root / layout.images[0])}: holds no PNG image')
    bad = next((name for name in every if not is_plain_name(name)), None)
    if bad is not None:
        raise InputError(f'{printable(layout.image(bad))}: the name holds control characters; rename the file')
    names = every[:limit]
    for name in names:
        size = image_size(layout.image(name))
        for path in (layout.target_mask(name), layout.sky_map(name)):
            require_size(path, image_size(path), size)
        box_file = layout.box_file(name)
        if box_file is not None:
            devkit.read_boxes(box_file, whole=True)
    require_palette_sky(path for path in map(layout.sky_map, names) if _is_palette(layout, path))
    splits = {}
    for split in layout.split_names():
        members = layout.split(split)
        absent = set(members).difference(every)
        if absent:
            raise InputError(f'{printable(layout.root)}: has no image {printable(min(absent))}, but the split '
                             f'{printable(split)} names it')
        kept = set(members).intersection(names)
        splits[split] = [name for name in members if name in kept]
    return names, {split: members for split, members in splits.items() if members}


def _is_palette(layout: Layout, path: Path) -> bool:
    """Whether a sky map is one of a devkit's own palettes, in which 255 means ignored and not sky."""
    return (SKY_PALETTE, '.png') in layout.sky_maps and path.parent == layout.root / SKY_PALETTE


def _digest(count: int, *data: str | bytes) -> str:
    parts = (part.encode() + b'/' if isinstance(part, str) else part for part in data)
    return f'{count} (CRC {zlib.crc32(b"".join(parts)):08x})'


def _write_set(out: Path, settings: dict, task: '_Task', names: list[str], splits: dict[str, list[str]],
               workers: int) -> Summary:
    records = read_records(out, names)
    # First, so that whatever else is found here later is known as ours.
    _write_json(out / SETTINGS_FILE, {'settings': settings})
    make_folders(out)
    # Without the line that a killed process may have left unfinished.
    write_text(out / RECORDS_FILE, ''.join(map(_json_line, records.values())))
    left = [name for name in names if name not in records]
    with open(out / RECORDS_FILE, 'a', encoding='utf-8') as file, closing(parallel_map(task, left, workers)) as written:
        for record in tqdm(written, 'densify', len(names), initial=len(records), unit='image', disable=None):
            file.write(_json_line(record))
            file.flush()
            records[record['image']] = record
    write_splits(out, splits)
    summary = _sum_up(list(records.values()))
    _write_json(out / SETTINGS_FILE, {'settings': settings, 'summary': summary._asdict()})
    return summary


def _sum_up(records: list[dict]) -> Summary:
    total = {key: sum(record[key] for record in records) for key in ('targets', 'pasted', 'colour', 'moved')}
    return Summary(images=len(records), without_room=sum(not record['pasted'] for record in records), **total)


def _write_json(path: Path, content: dict) -> None:
    write_text(path, json.dumps(content, indent=2) + '\n')


def _json_line(record: dict) -> str:
    return json.dumps(record) + '\n'


@dataclass(frozen=True)
class _Task:
    """Densify and write one image after the other, by name; goes to the worker processes."""

    layout: Layout
    out: Path
    library: TargetLibrary
    recipe: ClusterRecipe
    seed: int

    def __call__(self, name: str) -> dict:
        image, colour = read_grey(self.layout.image(name))
        mask = read_mask(self.layout.target_mask(name), image.shape) > 0
        sky_map = self.layout.sky_map(name)
        sky = read_sky(sky_map, image.shape, _is_palette(self.layout, sky_map))
        box_file = self.layout.box_file(name)
        boxes, moved = (component_boxes(mask), 0) if box_file is None else read_boxes(box_file, mask)
        rng = np.random.default_rng([self.seed, zlib.crc32(name.encode())])
        pasted = densify_image(image, sky == 1, mask, self.library, rng, self.recipe)
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


def read_sky(path: PathLike, size: tuple[int, int], palette: bool = False) -> np.ndarray:
    """Read a sky map: 0 other, and sky where it is 1; where it holds no 1 and is no palette, where it is 255.

    Args:
        path: Image file.
        size: Height and width that it must have.
        palette: It is a devkit's ``SkySeg/PaletteMask``, in which 255 means ignored.

    Returns:
        (H, W) uint8: 0 other, 1 sky, 255 ignored.

    Raises:
        InputError: The file is no image, of another size, or holds other values or, where it is no palette, 1 and 255
            side by side, of which one must then mean something else.
    """
    values = read_mask(path, size)
    found = set(np.unique(values).tolist()) - {0}
    if palette and not found <= {1, 255}:
        raise InputError(f'{printable(path)}: a sky map holds 0, 1 and 255 (ignored), not {sorted(found)[:5]}; correct '
                         'the file')
    if palette:
        return values
    if found not in (set(), {1}, {255}):
        raise InputError(f'{printable(path)}: a sky map holds 0 and 1, or 0 and 255, not {sorted(found)[:5]}; correct '
                         'the file')
    return (values > 0).view(np.uint8)


def read_boxes(path: PathLike, mask: np.ndarray) -> tuple[np.ndarray, int]:
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
    boxes = devkit.read_boxes(path, whole=True)[1]
    components = set(map(tuple, component_boxes(mask).tolist()))
    exact, before = (np.array([tuple(box) in components for box in moved.tolist()], bool)
                     for moved in (boxes, boxes - 1))
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
        raise InputError(f'{printable(path)}: box {box} has no target pixel or lies outside the {width}x{height} '
                         'image; correct the file')
