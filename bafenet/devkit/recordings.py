"""Splits by recording: images of one recording, or of one scene, never lie on both sides of a split.

Images belong together if

1. their names have the same prefix: what is left of ``S7_60`` without the number at its end and the ``_`` or ``-``
   before it. Not so in *collections* (``Misc`` and ``iraytek``), whose images come from many recordings; or
2. they are *near-duplicates*: they show one scene, as near_duplicates.py says.

Groups are the connected components of both, over all images, so near-duplicates join different prefixes too.
"""
import json
import re
from collections import Counter
from collections.abc import Sequence
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ..arguments import MAX_SEED, require_number
from ..errors import InputError, printable
from ..fileio import require_writable_folder, swap_in, temporary_folder, write_text
from ..parallel import map_with_progress
from .devkit_files import DevkitFiles
from .layout import devkit_layout, image_names
from .near_duplicates import KEYPOINTS, MIN_MATCHES, Scene, near_duplicates, read_scene
from .read import read_split

COLLECTIONS = ('Misc', 'iraytek')
# Which of the devkit's own lists are divided again, and their leak reported: trainval_SPLITS and test_SPLITS.
OWN_SPLITS = 'v2'

PARTS, SHARES = ('train', 'val', 'test'), (0.5, 0.25, 0.25)
GROUPS_FILE, REPORT_FILE = 'groups.txt', 'recordings.json'
# Ends of the classes of image size, the square root of an image's pixels, that a division balances.
SIZE_EDGES = (256, 512, 1024)
TRIES = 64


def split_by_recording(devkit: str | Path, out: str | Path, splits: str | None = OWN_SPLITS, seed: int = 0,
                       collections: Sequence[str] = COLLECTIONS, min_matches: int = MIN_MATCHES,
                       workers: int = 1) -> None:
    """Divide a devkit's images by recording, print tables and write the lists; ``tools/dataset/recordings.py``.

    ``out`` gets ``train_rec.txt``, ``val_rec.txt``, ``test_rec.txt`` (about 1/2, 1/4, 1/4 of the images) and
    ``trainval_rec.txt``, one name a line; ``groups.txt``, one group a line; and ``recordings.json``, which holds the
    settings, the figures and the near-duplicate pairs. All at once or nothing.

    Args:
        devkit: The devkit; it is only read.
        out: Folder for the lists; what an earlier call wrote is replaced, any other folder is refused.
        splits: The images of its lists ``trainval_SPLITS`` and ``test_SPLITS`` are divided, and what the two share is
            reported. None divides all images, and looks at no lists.
        seed: Seed of the division.
        collections: Prefixes that hold many recordings.
        min_matches: Matching places that make two images near-duplicates.
        workers: Processes that read images; the result does not depend on it.

    Raises:
        InputError: If an option is out of range, a file is missing or bad, there are fewer than three groups, or
            ``out`` cannot be written.
    """
    root, out = Path(devkit), Path(out)
    if not root.is_dir():
        raise InputError(f'{printable(root)}: no such folder; give that of the devkit')
    _check_options(out, seed, min_matches)
    old = {} if splits is None else _own_lists(root, splits)
    names = sorted(set(chain(*old.values()))) if old else image_names(root)
    scenes = list(map_with_progress(partial(read_scene, DevkitFiles(root)), names, workers, 'keypoints'))
    pairs = near_duplicates(scenes, min_matches)
    groups = group_recordings(names, pairs[:, :2], collections)
    parts = divide(groups, traits(scenes, collections), SHARES, seed)
    report = summarize(scenes, pairs, groups, parts, old, collections)
    report = dict(splits=splits, seed=seed, collections=list(collections), min_matches=min_matches, **report)
    print_tables(report)
    _write(out, np.array(names), groups, parts, report)


def _check_options(out: Path, seed: int, min_matches: int) -> None:
    require_number('--seed', seed, 0, MAX_SEED, whole=True)
    # Any two pairs of places fit one shift, zoom and rotation.
    require_number('--min-matches', min_matches, 3, KEYPOINTS, whole=True)
    ours = {REPORT_FILE, GROUPS_FILE, *(f'{part}_rec.txt' for part in (*PARTS, 'trainval'))}
    names = {path.name for path in out.iterdir()} if out.is_dir() else set()
    if out.exists() and not (out.is_dir() and (not names or REPORT_FILE in names and names <= ours)):
        raise InputError(f'{printable(out)}: exists and is not of this tool; it is left as it is, choose another --out')
    require_writable_folder(out, '--out')


def _own_lists(root: Path, splits: str) -> dict[str, list[str]]:
    """The image names of a devkit's ``trainval_SPLITS`` and ``test_SPLITS``."""
    layout = devkit_layout(root)
    lists = [f'{part}_{splits}' for part in ('trainval', 'test')]
    there = layout.split_names()
    absent = next((name for name in lists if name not in there), None)
    if absent is not None:
        raise InputError(f'{printable(layout.split_path(absent))}: no such split; there are: '
                         f'{printable(", ".join(there)) or "none"}; name two whose images are to be divided by '
                         '--splits NAME (trainval_NAME and test_NAME), or divide all images by --all-images')
    return {name: read_split(layout.split(name)) for name in lists}


# --- Groups -----------------------------------------------------------------------------------------------------------


def prefix(name: str) -> str:
    """An image name without the number at its end and the ``_`` or ``-`` before it; the name itself if that is all."""
    return re.sub(r'[-_]?\d+$', '', name) or name


def group_recordings(names: Sequence[str], pairs: np.ndarray, collections: Sequence[str] = COLLECTIONS) -> np.ndarray:
    """Group of each image, by the rule of the module.

    Args:
        names: Image names, n of them.
        pairs: (m, 2) int, indices of near-duplicates.
        collections: Prefixes that do not tie images together.

    Returns:
        (n, ) int64, 0 for the largest group and so on; equally large ones in the order of their first image.
    """
    prefixes = list(map(prefix, names))
    # A group's node is its first image; an image of a collection is its own.
    first: dict[str, int] = {}
    tied = [index if head in collections else first.setdefault(head, index) for index, head in enumerate(prefixes)]
    rows = np.concatenate([np.arange(len(names)), pairs[:, 0]])
    columns = np.concatenate([np.array(tied, np.int64), pairs[:, 1]])
    graph = coo_array((np.ones(len(rows), bool), (rows, columns)), shape=(len(names), len(names)))
    labels = connected_components(graph, directed=False)[1]
    _, start, counts = np.unique(labels, return_index=True, return_counts=True)
    rank = np.empty(len(counts), np.int64)
    rank[np.lexsort((start, -counts))] = np.arange(len(counts))
    return rank[labels]


# --- Division ---------------------------------------------------------------------------------------------------------


def traits(scenes: Sequence[Scene], collections: Sequence[str] = COLLECTIONS) -> np.ndarray:
    """What the parts of a division are to have their share of.

    Returns:
        (n, k) float64: 1 for the image, its number of targets, 0 or 1 for no collection, for each of them and for each
        class of image size.
    """
    heads = np.array([prefix(scene.name) for scene in scenes])
    kinds = np.array(['', *collections])
    kind = np.where(np.isin(heads, collections), heads, '')[:, None] == kinds
    size = np.digitize([np.sqrt(np.prod(scene.size)) for scene in scenes], SIZE_EDGES)
    size = size[:, None] == np.arange(len(SIZE_EDGES) + 1)
    targets = [scene.targets for scene in scenes]
    return np.column_stack([np.ones(len(scenes)), targets, kind, size]).astype(np.float64)


def divide(groups: np.ndarray, values: np.ndarray, shares: Sequence[float] = SHARES, seed: int = 0) -> np.ndarray:
    """Divide images into parts, groups whole, so that each part has its share of each value.

    Greedy: the groups from the largest down, sizes times a random number from 1/2 to 1, each to the part where it
    lowers the squared distance from the shares most. Of ``TRIES`` such orders the best is taken.

    Args:
        groups: (n, ) int, group of each image, 0 to g - 1.
        values: (n, k), for example from :func:`traits`; all at least 0. The first column counts the images.
        shares: What each part is to have, p of them, together 1.
        seed: Seed of the random numbers.

    Returns:
        (n, ) int64, part of each image.

    Raises:
        InputError: If there are fewer groups than parts.
    """
    counts = np.bincount(groups)
    if len(counts) < len(shares):
        raise InputError(f'{len(groups)} images in {len(counts)} group(s) cannot be divided into {len(shares)} parts; '
                         'name prefixes that hold many recordings by --collections')
    totals = values.sum(0)
    weights = np.zeros((len(counts), values.shape[1]))
    # A rare kind weighs little, or a few images of it would outweigh hundreds of others.
    np.add.at(weights, groups, values / np.maximum(totals, 1) * np.sqrt(np.minimum(totals / len(values), 1)))
    chance = np.random.default_rng(seed).uniform(0.5, 1, (TRIES, len(counts)))
    orders = np.argsort(-counts * chance, axis=1, kind='stable')
    return _fill(weights, orders, np.array(shares))[groups]


def _fill(weights: np.ndarray, orders: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Part (g, ) of each group, the best of the (t, g) orders; weights are (g, k), shares (p, )."""
    tries = np.arange(len(orders))
    excess = np.broadcast_to(-shares[:, None] * weights.sum(0), (len(orders), len(shares), weights.shape[1])).copy()
    parts = np.empty(orders.shape, np.int64)
    for group in orders.T:
        added = weights[group]
        # What the distance grows by. Relative to the share, or the largest groups would all go to the largest part.
        part = (np.einsum('tpk,tk->tp', 2 * excess + added[:, None], added) / shares).argmin(1)
        excess[tries, part] += added
        parts[tries, group] = part
    return parts[((excess**2).sum(2) / shares).sum(1).argmin()]


# --- What is reported -------------------------------------------------------------------------------------------------


def summarize(scenes: Sequence[Scene], pairs: np.ndarray, groups: np.ndarray, parts: np.ndarray,
              old: dict[str, list[str]], collections: Sequence[str]) -> dict:
    """Figures of the groups, of what the devkit's own splits share, and of the division, as plain JSON values."""
    names = np.array([scene.name for scene in scenes])
    prefixes = np.array(list(map(prefix, names)))
    sizes = np.bincount(groups)
    across = prefixes[pairs[:, 0]] != prefixes[pairs[:, 1]]
    largest = [dict(images=int(sizes[group]), prefixes=dict(Counter(prefixes[groups == group].tolist()).most_common()),
                    part=PARTS[parts[groups == group][0]]) for group in range(min(len(sizes), 12))]
    kinds = np.where(np.isin(prefixes, collections), prefixes, 'others')
    targets = np.array([scene.targets for scene in scenes])
    divided = {part: dict(images=int(here.sum()), targets=int(targets[here].sum()), groups=len(set(groups[here])),
                          **{kind: int((kinds[here] == kind).sum()) for kind in (*collections, 'others')})
               for part, here in ((part, parts == index) for index, part in enumerate(PARTS))}
    return dict(
        images=len(names), groups=len(sizes), single_images=int((sizes == 1).sum()),
        group_sizes={str(size): count for size, count in sorted(Counter(sizes.tolist()).items(), reverse=True)},
        largest_groups=largest, near_duplicate_pairs=len(pairs), pairs_across_prefixes=int(across.sum()),
        prefixes_joined=sorted({' ~ '.join(sorted(pair)) for pair in prefixes[pairs[across, :2]].tolist()}),
        leak=_leak(names, pairs, groups, old) if old else None, division=divided,
        pairs=[[*names[pair[:2]].tolist(), int(pair[2])] for pair in pairs])


def _leak(names: np.ndarray, pairs: np.ndarray, groups: np.ndarray, old: dict[str, list[str]]) -> dict:
    """How many images of the devkit's test split are not new to who has seen its training images.

    ``old`` maps the names of the two lists, training first, to their images.
    """
    training, testing = (np.isin(names, members) for members in old.values())
    both = np.concatenate([pairs[:, :2], pairs[:, 1::-1]])
    seen = both[testing[both[:, 0]] & training[both[:, 1]], 0]
    return dict(zip(('training', 'testing'), old, strict=True), test_images=int(testing.sum()),
                near_duplicate=len(np.unique(seen)),
                same_recording=int((testing & np.isin(groups, groups[training])).sum()))


def print_tables(report: dict) -> None:
    """Print the groups, the leak of the devkit's splits and the division."""
    console = Console()
    table = Table(title=f'{report["images"]} images, {report["groups"]} groups, {report["single_images"]} of one image')
    table.add_column('images', justify='right')
    table.add_column('prefixes')
    table.add_column('part')
    for group in report['largest_groups']:
        prefixes = ', '.join(f'{key} {count}' for key, count in group['prefixes'].items())
        table.add_row(str(group['images']), escape(printable(prefixes)), group['part'])
    console.print(table)
    console.print(f'{report["near_duplicate_pairs"]} near-duplicate pairs, {report["pairs_across_prefixes"]} of them '
                  f'across prefixes: {escape(printable(", ".join(report["prefixes_joined"]))) or "none"}')
    if report['leak']:
        _print_leak(console, report['leak'])
    division = Table(title='division by recording')
    division.add_column('part')
    for column in report['division'][PARTS[0]]:
        division.add_column(escape(printable(column)), justify='right')
    for part, figures in report['division'].items():
        division.add_row(part, *map(str, figures.values()))
    console.print(division)


def _print_leak(console: Console, leak: dict) -> None:
    training, testing = (escape(printable(leak[part])) for part in ('training', 'testing'))
    for key, what in (('near_duplicate', 'a near-duplicate'), ('same_recording', 'an image of the same recording')):
        console.print(f'{leak[key]} of the {leak["test_images"]} images of {testing} '
                      f'({leak[key] / leak["test_images"]:.0%}) have {what} in {training}')


def _write(out: Path, names: np.ndarray, groups: np.ndarray, parts: np.ndarray, report: dict) -> None:
    lists = {part: names[parts == index].tolist() for index, part in enumerate(PARTS)}
    lists['trainval'] = sorted(lists['train'] + lists['val'])
    together = ''.join(' '.join(names[groups == group]) + '\n' for group in range(groups.max() + 1))
    try:
        with temporary_folder(out) as temporary:
            new = temporary / 'new'
            for part, members in lists.items():
                write_text(new / f'{part}_rec.txt', '\n'.join(members) + '\n')
            write_text(new / GROUPS_FILE, together)
            write_text(new / REPORT_FILE, json.dumps(report, indent=1) + '\n')
            swap_in(new, out, temporary / 'old')
    except OSError as error:
        raise InputError(f'{printable(out)}: cannot be written: {error.strerror or error}') from error
    print(f'{printable(out)}: the lists are written; copied into the Splits folder of the devkit, they are what '
          '--splits rec takes')
