"""Splits of a source: from its lists or folders; drawn by recording where it has none, or no validation split."""
import re
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ...errors import InputError, printable
from ...parallel import map_with_progress
from ...reading import read_bytes
from ..devkit_files import DevkitFiles
from ..near_duplicates import near_duplicates, read_scene
from ..recordings import divide, group_recordings, prefix, traits
from .files import FileIndex, list_files, one_name_each, shown_path
from .source import TEST, TRAIN, TRAINVAL, VAL, Note, role_of, role_of_folders

DRAWN = 'draw'
_MAX_BYTES, _MAX_LINE = 2**24, 1000
# A prefix of more of the frames than this says nothing about recordings: all are called img_1, img_2 and so on.
_MOST = 0.5

# --- Given ------------------------------------------------------------------------------------------------------------


def given_splits(root: Path, images: Sequence[Path], keys: Sequence[str], splits: str | None, notes: list[Note],
                 files: Sequence[Path] | None = None) -> tuple[dict[str, list[str]], list[str]]:
    """The splits that a source has, as lists of names or as folders.

    Args:
        root: The source.
        images: Its images.
        keys: The key of each.
        splits: Folder of lists; ``'draw'`` for none; None for those found in the source, else its folders ``train``,
            ``val`` and ``test``.
        notes: Gets what the lists name and the source lacks.
        files: Lists to choose from instead of all text files.

    Returns:
        Keys by split, and how they were found.

    Raises:
        InputError: If a folder is given that holds no such list.
    """
    if splits == DRAWN:
        return {}, []
    candidates = list_files(root, splits) if splits is not None else files if files is not None else list_files(root)
    index, key_of_image = FileIndex(images), dict(zip(images, keys, strict=True))
    best = best_lists(candidates, index)
    if best:
        for listed in best.values():
            notes += [Note(shown_path(root, listed.file), 'split name without an image',
                           f'{printable(name)}: left out') for name in listed.absent]
        lists = {role: [key_of_image[image] for image in listed.images] for role, listed in best.items()}
        folder = next(iter(best.values())).file.parent
        return disjoint(lists, notes), [f'splits: the lists in {shown_path(root, folder)}']
    if splits is not None:
        raise InputError(f'{printable(splits)}: no list called train, val or test (.txt) that names an image of the '
                         f"source; give such a folder, or '{DRAWN}'")
    notes += [Note(shown_path(root, file), 'list without an image', 'no name in it is that of an image: left out')
              for file in candidates if _role_of_list(file) and _read_names(file)]
    return by_folders(root, images, keys)


class Listed(NamedTuple):
    """A list of a source: its file, the images that it names, each once, and the names that lead to none."""

    file: Path
    images: list[Path]
    absent: list[str]


def best_lists(files: Iterable[Path], index: FileIndex) -> dict[str, Listed]:
    """The lists of one family, by split: of several families the one that names most images, of VOC's all classes.

    Args:
        files: Files, of which ``.txt`` with the name of a split count.
        index: The images.

    Returns:
        None of them where none names an image.
    """
    listings: dict[tuple[Path, str], dict[str, Path]] = {}
    for file in files:
        role = _role_of_list(file)
        if role is not None:
            family = file.parent, re.sub('[a-z]*(train|val|test)[a-z]*', '', file.stem)
            listings.setdefault(family, {})[role] = file
    families = {family: _read_lists(files_of, index) for family, files_of in listings.items()}
    fits = {family: len({image for listed in lists.values() for image in listed.images})
            for family, lists in families.items()}
    best = max(sorted(fits), key=lambda family: (fits[family], family[1] == ''), default=None)
    return families[best] if best is not None and fits[best] else {}


def _role_of_list(file: Path) -> str | None:
    return role_of(file.stem) if file.suffix.lower() == '.txt' else None


def by_folders(root: Path, images: Sequence[Path], keys: Sequence[str]) -> tuple[dict[str, list[str]], list[str]]:
    """Splits by the folders ``train``, ``val`` (``valid``) and ``test`` that images are in."""
    found: dict[str, list[str]] = {}
    for image, key in zip(images, keys, strict=True):
        role = role_of_folders(image.relative_to(root) if image.is_relative_to(root) else image)
        if role is not None:
            found.setdefault(role, []).append(key)
    return found, [f'splits: the folders {", ".join(found)}'] if found else []


def _read_lists(files: dict[str, Path], index: FileIndex) -> dict[str, Listed]:
    """The images that each list of a family names, each once, and the names that lead to none.

    Of names in different folders that lead to one image, the one that fits it best means it.
    """
    names_of = {role: _read_names(file) for role, file in files.items()}
    paths = {name: next(iter(files.values())).parent / name for names in names_of.values() for name in names}
    image_of = one_name_each(index, paths)
    return {role: Listed(files[role], list(dict.fromkeys(image_of[name] for name in names if name in image_of)),
                         [name for name in names if name not in image_of]) for role, names in names_of.items()}


def _read_names(file: Path) -> list[str]:
    """The names in a list, each once."""
    try:
        lines = read_bytes(file, _MAX_BYTES).decode('utf-8-sig').splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f'{printable(file)}: is called as a list of a split is, and is no text in UTF-8; save it as '
                         'UTF-8, or call it otherwise') from error
    # VOC's lists of a class say 1 or -1 behind the name, and a path may be another system's.
    names = [re.sub(r'\s+(-1|0|1)$', '', line.strip()[:_MAX_LINE]).replace('\\', '/').strip('/') for line in lines]
    return list(dict.fromkeys(filter(None, names)))


def disjoint(lists: dict[str, list[str]], notes: list[Note]) -> dict[str, list[str]]:
    """Lists of which train, val and test share no image: what an earlier one of test, val, train has, it keeps.

    Where nothing would be left to train on, as where one folder is named for both, train comes first.
    """
    taken: set[str] = set()
    held = {key for role in (TEST, VAL) for key in lists.get(role, ())}
    named = lists.get(TRAIN) or lists.get(TRAINVAL) or []
    if named and held.issuperset(named):
        lists[TRAIN] = named
    for role in (TRAIN, TEST, VAL) if held.issuperset(named) else (TEST, VAL, TRAIN):
        twice = [key for key in lists.get(role, ()) if key in taken]
        notes += [Note(printable(key), 'in several splits', f'left out of {role}') for key in twice]
        if role in lists:
            lists[role] = [key for key in lists[role] if key not in taken]
            taken.update(lists[role])
    if TRAINVAL in lists:
        rest = [key for key in lists.pop(TRAINVAL) if key not in taken]
        if TRAIN not in lists:
            lists[TRAIN] = rest
        elif rest:
            notes += [Note(printable(key), 'in trainval alone', 'put into train') for key in rest]
            lists[TRAIN] += rest
    return {role: members for role, members in lists.items() if members}


# --- Drawn ------------------------------------------------------------------------------------------------------------


def draw_splits(root: Path, names: Sequence[str], shares: dict[str, float], seed: int,
                workers: int) -> tuple[dict[str, list[str]], str]:
    """Divide the frames of a devkit by recording, so that no two splits share one.

    A recording is what recordings.py says: near-duplicates, and names that begin alike. Where more than half of the
    frames have one beginning, it does not count. Where there are fewer recordings than splits, the last splits stay
    empty.

    Args:
        root: The devkit, as far as it is written.
        names: Frames, n of them.
        shares: Of each split; they need not add up to 1.
        seed: Of the division.
        workers: Processes.

    Returns:
        Names by split, and a sentence.
    """
    heads = list(map(prefix, names))
    collections = sorted(head for head in set(heads) if heads.count(head) > max(_MOST * len(names), 1))
    scenes = list(map_with_progress(partial(read_scene, DevkitFiles(root)), names, workers, 'recordings'))
    groups = group_recordings(names, near_duplicates(scenes)[:, :2], collections)
    count = int(groups.max(initial=-1)) + 1
    roles = [role for role, share in shares.items() if share > 0][:max(count, 1)]
    total = sum(shares[role] for role in roles)
    parts = divide(groups, traits(scenes, collections), [shares[role] / total for role in roles], seed)
    lists = {role: [name for name, part in zip(names, parts.tolist(), strict=True) if part == index]
             for index, role in enumerate(roles)}
    few = '' if count >= len([share for share in shares.values() if share > 0]) else (
        ', too few for all splits; name lists of your own by --splits')
    return lists, f'splits: drawn by recording, seed {seed}, {count} recordings of {len(names)} frames{few}'
