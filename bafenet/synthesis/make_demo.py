"""Make the demo set: procedural scenes, written in the layout of a SIRSTdevkit, whole or not at all."""
import json
from functools import partial
from pathlib import Path

import numpy as np

from ..arguments import MAX_SEED, MAX_WORKERS, require_number
from ..devkit.layout import FOLDERS
from ..devkit.write import make_folders, write_sample, write_splits
from ..errors import InputError, printable
from ..fileio import require_writable_folder, swap_in, temporary_folder
from ..parallel import map_with_progress
from ..reading import read_json
from .clusters import TargetLibrary
from .scenes import MAX_SIZE, MIN_SIZE, draw_scene, make_library

SETTINGS_FILE = 'demo_set.json'
# To be raised whenever the same settings give another set.
DEMO_VERSION = 2
VAL_SHARE, TEST_SHARE = 2 / 15, 1 / 5
MIN_IMAGES, MAX_IMAGES = 3, 100_000
# Its folders, its settings, and the target libraries that training builds in it.
OF_A_DEMO_SET = {*(folder.split('/')[0] for folder in FOLDERS), SETTINGS_FILE, 'TargetLibrary'}


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
    names = list(map_with_progress(write, range(1, count + 1), workers, 'demo set'))
    write_splits(root, draw_splits(names, seed))
    (root / SETTINGS_FILE).write_text(json.dumps(settings, indent=2) + '\n')


def _write_scene(root: Path, seed: int, size: int, library: TargetLibrary, index: int) -> str:
    scene = draw_scene(seed, index, size, library)
    name = f'demo_{index:04d}'
    # From top to bottom, as DenseSIRST lists its boxes.
    order = np.lexsort((scene.boxes[:, 0], scene.boxes[:, 1]))
    write_sample(root, name, scene.image, scene.sky, scene.target_mask, scene.boxes[order])
    return name
