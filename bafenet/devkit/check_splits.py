"""Check the splits of a devkit: their names, what they share, and the sky maps of their images."""
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ..errors import InputError, printable
from .check_report import ImageReport, Problem
from .devkit_files import DevkitFiles
from .layout import IGNORED, IMAGES, SKY, SKY_BINARY, SKY_PALETTE, SPLITS, split_file
from .read import read_names

ROLES = ('train', 'val', 'test', 'trainval')
DISJOINT_ROLES = (('train', 'val'), ('train', 'test'), ('val', 'test'), ('trainval', 'test'))


def read_splits(root: Path) -> tuple[dict[str, list[str]], list[Problem]]:
    """Names in each readable split file."""
    splits, problems = {}, []
    for path in sorted((root / SPLITS).glob('*.txt')):
        try:
            splits[path.stem] = read_names(path)
        except InputError as error:
            reason = str(error).removeprefix(f'{printable(path)}: ')
            problems.append(Problem(f'{SPLITS}/{path.name}', 'unreadable', reason))
    return splits, problems


def check_splits(splits: dict[str, list[str]], files: DevkitFiles) -> Iterator[Problem]:
    """What is wrong with the names of each split, and of those that divide a set among them."""
    names = files.names()
    known = set(names)
    for split, members in splits.items():
        if not members:
            yield Problem(split_file(split), 'split', 'names no image')
        for name, times in Counter(members).items():
            if times > 1:
                yield Problem(split_file(split), 'split', f'names {name} {times} times')
            if name not in known:
                yield Problem(split_file(split), 'split name without a file',
                              f'there is no {files.shown(IMAGES, name)}')
    for family in split_families(splits).values():
        yield from _check_family(family, splits)
    used = {name for members in splits.values() for name in members}
    for name in names:
        if name not in used:
            yield Problem(files.shown(IMAGES, name), 'image in no split', 'is in no split', 'warning')


def split_families(splits: Iterable[str]) -> dict[str, dict[str, str]]:
    """Splits that divide the same set among them.

    ``train_v2``, ``val_v2``, ``test_v2`` and ``trainval_v2`` are one family, ``v2``; another version may divide the
    same images otherwise.

    Args:
        splits: Stems of the split files.

    Returns:
        For each family the split of each role (train, val, test, trainval).
    """
    families: dict[str, dict[str, str]] = {}
    for split in splits:
        parts = split.split('_')
        role = next((part for part in parts if part in ROLES), None)
        if role is not None:
            parts.remove(role)
            families.setdefault('_'.join(parts), {})[role] = split
    return families


def _check_family(family: dict[str, str], splits: dict[str, list[str]]) -> Iterator[Problem]:
    """Names that are in two splits of a family that should be disjoint, and a trainval that is not train and val."""
    members = {role: set(splits[split]) for role, split in family.items()}
    parts = members.get('train', set()) | members.get('val', set())
    for first, second in DISJOINT_ROLES:
        both = members.get(first, set()) & members.get(second, set())
        # Those have been reported already, with the part that they come from.
        for name in sorted(both - parts if first == 'trainval' else both):
            yield Problem(split_file(family[second]), 'duplicate across splits',
                          f'{name} is in {split_file(family[first])} too')
    if {'train', 'val', 'trainval'} <= members.keys() and members['trainval'] != parts:
        different = len(members['trainval'] ^ parts)
        yield Problem(split_file(family['trainval']), 'split',
                      f'is not {family["train"]} and {family["val"]} together; {different} names differ', 'warning')


def identical_images(images: Sequence[ImageReport], splits: dict[str, list[str]],
                     files: DevkitFiles) -> Iterator[Problem]:
    """Images of equal pixels that stand, under different names, in disjoint splits of a family."""
    groups: dict[str, list[str]] = {}
    for image in images:
        if image.digest is not None:
            groups.setdefault(image.digest, []).append(image.name)
    groups = {digest: names for digest, names in groups.items() if len(names) > 1}
    families = split_families(splits).values()
    for names in groups.values():
        for family in families:
            members = {role: sorted(set(splits[split]) & set(names)) for role, split in family.items()}
            pairs = DISJOINT_ROLES[:3] if {'train', 'val'} & members.keys() else DISJOINT_ROLES[3:]
            for first, second in pairs:
                for name, other in ((a, b) for a in members.get(second, ()) for b in members.get(first, ()) if a != b):
                    yield Problem(files.shown(IMAGES, name), 'duplicate across splits',
                                  f'in {split_file(family[second])}, has the pixels of {files.shown(IMAGES, other)} in '
                                  f'{split_file(family[first])}')


def binary_sky_maps(images: Sequence[ImageReport], splits: dict[str, list[str]]) -> Iterator[Problem]:
    """Sets of images whose sky maps hold 255 and never a 1: those of the whole devkit, or else of its splits."""
    values = {image.name: image.sky_values for image in images}
    why = f'255 (ignored) and nowhere 1 (sky), as in {SKY_BINARY}; in {SKY_PALETTE} sky is 1'
    if _is_binary(values.values()):
        yield Problem(SKY_PALETTE, 'sky maps', f'the sky maps hold {why}')
        return
    for split, members in splits.items():
        if _is_binary(values.get(name, ()) for name in members):
            yield Problem(split_file(split), 'sky maps', f'the sky maps of its images hold {why}')


def _is_binary(values: Iterable[Iterable[int]]) -> bool:
    found = set().union(*values)
    return IGNORED in found and SKY not in found
