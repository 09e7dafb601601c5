"""A DenseSIRST-style set from annotated infrared images: clusters pasted into their sky (paper Section III-B)."""
import json
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from ..arguments import MAX_SEED, MAX_WORKERS, require_number
from ..devkit import (
    find_layout,
    image_size,
    is_plain_name,
    read_boxes,
    read_mask,
    read_sky,
    read_split,
    require_palette_sky,
    require_size,
)
from ..devkit.box_matching import component_boxes, read_boxes_on_mask
from ..devkit.decode import read_header
from ..devkit.frames import read_frame, read_grey_frame
from ..devkit.images import read_grey
from ..devkit.layout import CLASSES, FOLDERS, SKY, Layout
from ..devkit.write import sample_files, write_sample, write_splits
from ..errors import InputError, printable
from ..fileio import owned, require_writable_folder
from ..reading import PathLike
from .build_library import split_patches
from .clusters import PastedTargets, TargetLibrary, paste_clusters
from .densify_records import DENSIFIED, EARLIER, Summary, is_record
from .gaussian import Rng
from .library import load_library, shrink
from .recipe import ClusterRecipe, check_recipe
from .resumable import (
    check_settings,
    digest,
    read_present,
    read_records,
    refuse_links,
    write_images,
    write_settings,
)

# To be raised whenever the same settings give another set.
DENSIFY_VERSION = 1
MAX_LIMIT = 10_000_000


def densify(source: PathLike, out: PathLike, library: PathLike | None = None, split: str = 'train_v2', seed: int = 0,
            workers: int = 1, sky: PathLike | None = None, recipe: ClusterRecipe | None = None,
            max_target_size: int = 5, limit: int | None = None) -> Summary:
    """Write a SIRSTdevkit with the images of a data set, their targets, and clusters of further targets in the sky.

    In each image the original targets come first, in their order and with their classes, the pasted ones after them, of
    the most frequent class. Images of more than 8 bits are brought to 8 as predict does. What is pasted into an
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
        sky: Folder of sky maps instead of the source's own.
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
    read_present(out, DENSIFIED, [layout.root] + ([Path(sky)] if sky else []))
    try:
        require_writable_folder(out)
    except InputError as error:
        raise InputError(f'cannot write the densified set: {error}') from error
    names, splits, label = _read_names(layout, limit)
    if library is None:
        targets = TargetLibrary.from_patches([shrink(patch, max_target_size) for patch in split_patches(layout, split)])
    else:
        targets = load_library(library, max_target_size)
    settings = {
        'set': 'BAFE-Net densified', 'version': DENSIFY_VERSION, 'source': layout.root.absolute().name,
        'sky': Path(sky).absolute().name if sky else None, 'limit': limit, 'images': digest(len(names), *names),
        'library': digest(len(targets.sizes), targets.sizes.tobytes(), targets.patches.tobytes()),
        'max_target_size': max_target_size, 'seed': seed, **asdict(recipe)}
    # As it comes back from the file.
    settings = json.loads(json.dumps(settings))
    check_settings(out, read_present(out, DENSIFIED), settings, EARLIER)
    try:
        refuse_links(out, DENSIFIED)
        with owned(out):
            # Read again: another process may just have finished it.
            present = read_present(out, DENSIFIED)
            check_settings(out, present, settings, EARLIER)
            if 'summary' in present:
                return Summary(**present['summary'])
            return _write_set(out, settings, _Task(layout, out, targets, recipe, seed, label), names, splits, workers)
    except OSError as error:
        raise InputError(f'{printable(out)}: cannot write the densified set: {error.strerror or error}; the same call '
                         'goes on from here') from error


def _check_options(recipe: ClusterRecipe, max_target_size: int, seed: int, workers: int, limit: int | None) -> None:
    check_recipe(recipe, max_target_size, spoken=True, least_region=max_target_size)
    require_number('seed', seed, 0, MAX_SEED, whole=True)
    require_number('workers', workers, 1, MAX_WORKERS, whole=True)
    if limit is not None:
        require_number('limit', limit, 1, MAX_LIMIT, whole=True)


def _read_names(layout: Layout, limit: int | None) -> tuple[list[str], dict[str, list[str]], str]:
    """Image names, splits and the most frequent class, once no file is missing, of another size or no annotation."""
    every = layout.names()
    if not every:
        raise InputError(f'{printable(layout.root / layout.images[0])}: holds no image')
    bad = next((name for name in every if not is_plain_name(name)), None)
    if bad is not None:
        raise InputError(f'{printable(layout.image(bad))}: the name holds control characters; rename the file')
    names = every[:limit]
    _require_maps(layout, names)
    labels: Counter[str] = Counter()
    for name in names:
        size = read_header(layout.image(name))[:2]
        for path in (layout.target_mask(name), layout.sky_map(name)):
            require_size(path, image_size(path), size)
        box_file = layout.box_file(name)
        if box_file is not None:
            labels.update(filter(None, read_boxes(box_file, whole=True)[0]))
    require_palette_sky(path for path in map(layout.sky_map, names) if layout.is_palette_sky(path))
    splits = {}
    for split in layout.split_names():
        members = read_split(layout.split(split))
        absent = set(members).difference(every)
        if absent:
            raise InputError(f'{printable(layout.root)}: has no image {printable(min(absent))}, but the split '
                             f'{printable(split)} names it')
        kept = set(members).intersection(names)
        splits[split] = [name for name in members if name in kept]
    label = max(sorted(labels), key=labels.__getitem__, default=CLASSES[0])
    return names, {split: members for split, members in splits.items() if members}, label


def _require_maps(layout: Layout, names: list[str]) -> None:
    """Demand a target mask and a sky map of each image, in one line where many have none."""
    for find, what, how in (
            (layout.target_mask, 'target mask', 'by which the targets that are there are spared; masks cannot be made '
             'of boxes'),
            (layout.sky_map, 'sky map', 'for clusters are pasted into the sky alone; give a folder of maps by --sky, '
             'or make some by the tool pseudo_sky')):
        missing = [error for error in (_problem(find, name) for name in names) if error]
        if len(missing) > 1:
            raise InputError(f'{printable(layout.root)}: {len(missing)} of {len(names)} images have no {what}, {how} '
                             f'({missing[0]})')
        if missing:
            raise missing[0]


def _problem(find: Callable[[str], Path], name: str) -> InputError | None:
    try:
        find(name)
    except InputError as error:
        return error
    return None


def _write_set(out: Path, settings: dict, task: '_Task', names: list[str], splits: dict[str, list[str]],
               workers: int) -> Summary:
    known = set(names)
    records = read_records(out, DENSIFIED, lambda record: is_record(record, known),
                           lambda root, record: sample_files(root, record['image']))
    left = [name for name in names if name not in records]
    write_images(out, DENSIFIED, settings, records, task, left, workers, FOLDERS, 'densify')
    write_splits(out, splits)
    summary = _sum_up(list(records.values()))
    write_settings(out, DENSIFIED, {'settings': settings, 'summary': summary._asdict()})
    return summary


def _sum_up(records: list[dict]) -> Summary:
    total = {key: sum(record[key] for record in records) for key in ('targets', 'pasted', 'colour', 'moved')}
    return Summary(images=len(records), without_room=sum(not record['pasted'] for record in records), **total)


@dataclass(frozen=True)
class _Task:
    """Densify and write one image after the other, by name; goes to the worker processes."""

    layout: Layout
    out: Path
    library: TargetLibrary
    recipe: ClusterRecipe
    seed: int
    label: str  # the class of pasted targets

    def __call__(self, name: str) -> dict:
        image, colour = _read_image(self.layout.image(name))
        mask = read_mask(self.layout.target_mask(name), image.shape) > 0
        sky_map = self.layout.sky_map(name)
        sky = read_sky(sky_map, image.shape, self.layout.is_palette_sky(sky_map))
        box_file = self.layout.box_file(name)
        boxes, moved = (component_boxes(mask), 0) if box_file is None else read_boxes_on_mask(box_file, mask)
        classes = [self.label] * len(boxes) if box_file is None else [
            label or self.label for label in read_boxes(box_file)[0]]
        rng = np.random.default_rng([self.seed, zlib.crc32(name.encode())])
        pasted = densify_image(image, sky == SKY, mask, self.library, rng, self.recipe)
        write_sample(self.out, name, pasted.image, sky, mask | pasted.mask(), np.concatenate([boxes, pasted.boxes]),
                     [*classes, *[self.label] * len(pasted.boxes)])
        return {'image': name, 'targets': len(boxes), 'pasted': len(pasted.boxes), 'colour': colour, 'moved': moved}


def _read_image(path: Path) -> tuple[np.ndarray, bool]:
    """An image as grey levels, brought to 8 bits as predict does, and whether it had colours."""
    return (read_grey_frame(path), read_frame(path).image.ndim == 3) if read_header(path).deep else read_grey(path)


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
    return _drop_broken(image, paste_clusters(image, free, library, rng, recipe))


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
    return PastedTargets(restored, pasted.boxes[whole], pasted.visible[whole], pasted.corners[whole],
                         pasted.labels[whole])
