"""Build the development set of SIRST-5K: frames, the same with noise mixed in, and four negatives of each target."""
import json
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from bafenet.devkit.box_matching import component_centroids

from ..arguments import MAX_SEED, MAX_WORKERS, require_flags, require_number
from ..devkit.conversion.files import MASK_ENDINGS
from ..devkit.conversion.masks import read_target_mask
from ..devkit.conversion.sirst import LAYOUTS
from ..devkit.frames import read_frame
from ..devkit.image_files import image_files
from ..devkit.layout import BINARY, SPLITS
from ..devkit.read import read_split
from ..errors import InputError, printable
from ..fileio import owned, require_writable_folder, write_text
from ..parallel import map_with_progress
from ..reading import PathLike
from .negatives import MAX_WINDOW, MIN_WINDOW, ROTATIONS, negatives
from .noise import NoiseLibrary, NoiseRules, check_noise_rules, mix_noise, sample_noise
from .resumable import (
    SetKind,
    check_settings,
    digest,
    read_present,
    read_records,
    refuse_links,
    write_images,
    write_settings,
)

# To be raised whenever the same settings give another set.
VERSION = 1
ORIGINAL, MIXED, NEGATIVE = KINDS = ('original', 'mixed', 'negative')
MANIFEST = 'manifest.json'
IMAGE_FOLDER, MASK_FOLDER, SPLIT_FOLDER = FOLDERS = ('images', 'masks', 'splits')
SIRST5K = SetKind('set of build_sirst5k', MANIFEST, 'manifest_frames.jsonl', (*KINDS, 'targets'))
MAX_IMAGES = 1_000_000


class Composition(NamedTuple):
    """What a development set is made of.

    Attributes:
        original: Frames of the source.
        mixed: Frames with noise mixed in.
        negative: Negatives.
        targets: Targets of the source's frames.
    """

    original: int
    mixed: int
    negative: int
    targets: int

    @property
    def images(self) -> int:
        """All of them."""
        return self.original + self.mixed + self.negative


class Entry(NamedTuple):
    """An image of the set; its mask has the same name.

    Attributes:
        file: Its name, without a suffix.
        kind: One of :data:`KINDS`.
        source: The name of the frame that it comes from.
        draw: Which draw of noise is in it, from 0; None in an original. A negative has the draw 0 of its frame.
        target: Which target was rotated, from 0 in the order of ``component_centroids``; None without one.
        rotation: By how many degrees; None likewise.
    """

    file: str
    kind: str
    source: str
    draw: int | None = None
    target: int | None = None
    rotation: int | None = None


class Job(NamedTuple):
    """What is to be made of one frame: its name, how many targets it has, and how often noise is drawn for it."""

    name: str
    targets: int
    draws: int


def entries_of(job: Job) -> list[Entry]:
    """The images made of a frame: itself, with noise mixed in, and four negatives of each target."""
    name = job.name
    mixed = [Entry(f'{name}_noise{draw}', MIXED, name, draw) for draw in range(job.draws)]
    rotated = [Entry(f'{name}_target{target}_rot{rotation}', NEGATIVE, name, 0, target, rotation)
               for target in range(job.targets) for rotation in ROTATIONS]
    return [Entry(name, ORIGINAL, name), *mixed, *rotated]


def build_sirst5k(source: PathLike, out: PathLike, split: str = 'train', size: int | None = None, seed: int = 0,
                  workers: int = 1, alpha: float = 0.1, target_window: int = 3, rotate_label: bool = False,
                  noise: NoiseRules | None = None) -> Composition:
    """Write the development set of the frames of a split, in the layout of NUDT-SIRST: images, masks, splits.

    Of each frame there are the frame itself; the frame with noise of any frame of the split mixed in (Eq. 1-3); and
    four negatives of each of its targets, cut from the mixed frame (Eq. 4): 663 + 663 + 4 x 918 = 4998 of NUDT-SIRST's
    training split. The paper counts 5562, the file names of its release 5526, and neither says of what; ``size``
    fills up with further draws of noise, as evenly over the frames as can be. One negative of each four, that of 0
    degrees, equals the mixed frame.

    Frames come out as PNG of 8 bits, those of more brought to 8 as predict does, those of equal channels in one. Masks
    are 0 and 255. ``splits/SPLIT.txt`` lists all, ``SPLIT_original.txt`` and so on those of a kind. ``manifest.json``
    says of each image what it was made of. An image depends on the seed, the rules, the frame and the other frames of
    the split; not on workers nor ``size``. A stopped call goes on when it is repeated.

    Args:
        source: NUDT-SIRST, IRSTD-1k or SIRST as their authors distribute them with ``splits``, or a SIRSTdevkit. It is
            only read.
        out: The folder to write.
        split: Name of the list in the source's ``splits``.
        size: Images of the set; None for what comes of one draw.
        seed: Seed of the draws, at least 0.
        workers: Processes.
        alpha: Share of the noise, Eq. 3.
        target_window: Side of the rotated window in pixels, s of Eq. 4.
        rotate_label: Rotate the mask with it, which the paper does not.
        noise: Which windows are noise, Eq. 1; the defaults where it is None.

    Raises:
        InputError: Bad input or option, ``out`` is in the source or holds something else, or it cannot be written.
    """
    noise = noise or NoiseRules()
    _check_options(size, seed, workers, alpha, target_window, rotate_label, noise)
    root, out = Path(source), Path(out).resolve()
    frames = _find_frames(root, split)
    read_present(out, SIRST5K, [root])
    require_writable_folder(out)
    targets, library = _read_frames(frames, noise, workers)
    jobs = plan(list(frames), targets, size, seed)
    settings: dict[str, Any] = {
        'set': 'SIRST-5K', 'version': VERSION, 'source': root.absolute().name, 'split': split,
        'frames': digest(len(jobs), *frames), 'targets': digest(sum(targets), np.array(targets).tobytes()),
        'noise': digest(len(library.patches), library.patches.tobytes()),
        'size': sum(len(entries_of(job)) for job in jobs), 'seed': seed, 'alpha': alpha,
        'target_window': target_window, 'rotate_label': rotate_label, **asdict(noise)}
    # As it comes back from the file.
    settings = json.loads(json.dumps(settings))
    check_settings(out, read_present(out, SIRST5K), settings)
    try:
        refuse_links(out, SIRST5K)
        with owned(out):
            # Read again: another process may just have finished it.
            present = read_present(out, SIRST5K)
            check_settings(out, present, settings)
            if 'summary' in present:
                return Composition(**present['summary'])
            task = _Task(out, frames, library, seed, alpha, target_window, rotate_label)
            return _write_set(settings, task, jobs, split, workers)
    except OSError as error:
        raise InputError(f'{printable(out)}: cannot write the set: {error.strerror or error}; the same call goes on '
                         'from here') from error


def _check_options(size: int | None, seed: int, workers: int, alpha: float, target_window: int, rotate_label: bool,
                   noise: NoiseRules) -> None:
    if size is not None:
        require_number('--size', size, 1, MAX_IMAGES, whole=True)
    require_number('--seed', seed, 0, MAX_SEED, whole=True)
    require_number('--workers', workers, 1, MAX_WORKERS, whole=True)
    require_number('--alpha', alpha, 0, 1)
    require_number('--target-window', target_window, MIN_WINDOW, MAX_WINDOW, whole=True)
    require_flags('build_sirst5k', rotate_label=rotate_label)
    check_noise_rules(noise)


# --- The source -------------------------------------------------------------------------------------------------------


def _find_frames(root: Path, split: str) -> dict[str, tuple[Path, Path]]:
    """Image and mask file of each frame of a split, by name."""
    found = [(root / layout.images, root / folder) for layout in LAYOUTS for folder in layout.masks
             if (root / layout.images).is_dir() and (root / folder).is_dir()]
    if not found:
        known = '; '.join(f'{layout.images} and {layout.masks[0]}' for layout in reversed(LAYOUTS))
        raise InputError(f'{printable(root)}: no folders of images and masks; give one that has {known}')
    images, masks = found[0]
    folder = next((place for place in (root / SPLIT_FOLDER, root / SPLITS) if place.is_dir()), root / SPLIT_FOLDER)
    names = read_split(folder / f'{split}.txt')
    image_of, mask_of = image_files(images), image_files(masks)
    frames = {}
    for name in names:
        mask = next((mask_of[name + end] for end in ('', *MASK_ENDINGS) if name + end in mask_of), None)
        if name not in image_of or mask is None:
            raise InputError(f'{printable(images if name not in image_of else masks)}: has no {printable(name)}, which '
                             f'{printable(folder / split)}.txt names; correct the list')
        frames[name] = images / image_of[name], masks / mask
    return frames


def _read(files: tuple[Path, Path]) -> tuple[np.ndarray, np.ndarray]:
    """A frame, uint8 (H, W) or (H, W, 3), and its target mask, bool (H, W)."""
    image = read_frame(files[0]).image
    if image.ndim == 3 and (image[..., 1:] == image[..., :1]).all():
        image = image[..., 0]
    return image, read_target_mask(files[1], None, (image.shape[1], image.shape[0]))[0]


def _read_frames(frames: dict[str, tuple[Path, Path]], rules: NoiseRules,
                 workers: int) -> tuple[list[int], NoiseLibrary]:
    """The number of targets of each frame, and the noise of all."""
    found = list(map_with_progress(_Survey(rules), list(frames.values()), workers, 'noise'))
    return [targets for targets, _ in found], NoiseLibrary.join([windows for _, windows in found])


@dataclass(frozen=True)
class _Survey:
    """Count the targets of a frame and cut out its noise; goes to the worker processes."""

    rules: NoiseRules

    def __call__(self, files: tuple[Path, Path]) -> tuple[int, tuple[np.ndarray, np.ndarray]]:
        image, mask = _read(files)
        grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        return len(component_centroids(mask)), sample_noise(grey, mask, self.rules)


# --- The set ----------------------------------------------------------------------------------------------------------


def plan(names: Sequence[str], targets: Sequence[int], size: int | None, seed: int) -> list[Job]:
    """Say how often noise is drawn for each frame.

    Args:
        names: Frames, n of them.
        targets: Targets of each.
        size: Images of the set; None for one draw a frame.
        seed: Decides which frames get a draw more than others.

    Returns:
        One job a frame.

    Raises:
        InputError: If one draw a frame gives more images than ``size``, or two images one name.
    """
    least = 2 * len(names) + len(ROTATIONS) * sum(targets)
    further = 0 if size is None else size - least
    if further < 0:
        raise InputError(f'--size {size}: give at least {least}, which the {len(names)} frames make with one draw of '
                         f'noise each and {len(ROTATIONS)} negatives of each of {sum(targets)} targets')
    each, rest = divmod(further, len(names))
    more = np.random.default_rng([seed, len(names)]).permutation(len(names)) < rest
    jobs = [Job(*one) for one in zip(names, targets, (1 + each + more).tolist(), strict=True)]
    times = Counter(entry.file for job in jobs for entry in entries_of(job))
    double = next((name for name, count in times.items() if count > 1), None)
    if double is not None:
        raise InputError(f'{printable(double)}: is the name of a frame, and what is made of another one would be '
                         'called so too; rename the frame')
    return jobs


def _write_set(settings: dict, task: '_Task', jobs: list[Job], split: str, workers: int) -> Composition:
    out, expected = task.out, {job.name: _record(job) for job in jobs}
    records = read_records(out, SIRST5K, lambda record: isinstance(record, dict) and record == expected.get(
        str(record.get('image'))), lambda root, record: [file for entry in entries_of(_job(record))
                                                         for file in _files(root, entry.file)])
    left = [job for job in jobs if job.name not in records]
    write_images(out, SIRST5K, settings, records, task, left, workers, FOLDERS, 'SIRST-5K')
    entries = [entry for job in jobs for entry in entries_of(job)]
    lists = {split: entries, **{f'{split}_{kind}': [entry for entry in entries if entry.kind == kind]
                                for kind in KINDS}}
    for name, members in lists.items():
        write_text(out / SPLIT_FOLDER / f'{name}.txt', ''.join(f'{entry.file}\n' for entry in members))
    counts = Counter(entry.kind for entry in entries)
    composition = Composition(counts[ORIGINAL], counts[MIXED], counts[NEGATIVE], sum(job.targets for job in jobs))
    write_settings(out, SIRST5K, {'settings': settings, 'files': list(map(task.describe, entries)),
                                  'summary': composition._asdict()})
    return composition


def _record(job: Job) -> dict:
    return {'image': job.name, 'targets': job.targets, 'draws': job.draws}


def _job(record: dict) -> Job:
    return Job(record['image'], record['targets'], record['draws'])


def _files(out: Path, name: str) -> tuple[Path, Path]:
    """Image and mask file."""
    return out / IMAGE_FOLDER / f'{name}.png', out / MASK_FOLDER / f'{name}.png'


@dataclass(frozen=True)
class _Task:
    """Make and write what comes of one frame; goes to the worker processes."""

    out: Path
    frames: dict[str, tuple[Path, Path]]
    library: NoiseLibrary
    seed: int
    alpha: float
    target_window: int
    rotate_label: bool

    def __call__(self, job: Job) -> dict:
        image, mask = _read(self.frames[job.name])
        mixed = [mix_noise(image, self.library.patches[self._window(job.name, draw)], self.alpha)
                 for draw in range(job.draws)]
        label = mask.astype(np.uint8) * BINARY
        images, labels = [image, *mixed], [_png(label)] * (1 + job.draws)
        for centre in component_centroids(mask):
            rotated, rotated_labels = negatives(mixed[0], label, centre, self.target_window, self.rotate_label)
            images += list(rotated)
            labels += list(map(_png, rotated_labels)) if self.rotate_label else labels[:1] * len(rotated)
        for entry, picture, encoded in zip(entries_of(job), images, labels, strict=True):
            image_file, mask_file = _files(self.out, entry.file)
            image_file.write_bytes(_png(picture))
            mask_file.write_bytes(encoded)
        return _record(job)

    def _window(self, name: str, draw: int) -> int:
        """The number of the window of noise that a frame gets at a draw."""
        rng = np.random.default_rng([self.seed, zlib.crc32(name.encode()), draw])
        return int(rng.integers(len(self.library.patches)))

    def describe(self, entry: Entry) -> dict:
        """An image in the manifest: its entry and, where there is noise in it, the window that this was cut from."""
        told = {key: value for key, value in entry._asdict().items() if value is not None}
        if entry.draw is None:
            return told
        number = self._window(entry.source, entry.draw)
        return {**told, 'noise': {'frame': list(self.frames)[self.library.frames[number]],
                                  'corner': self.library.corners[number].tolist()}}


def _png(image: np.ndarray) -> bytes:
    return cv2.imencode('.png', image)[1].tobytes()
