"""Splits by recording: images of one recording, or of one scene, never lie on both sides of a split.

Images belong together if

1. their names have the same prefix: what is left of ``S7_60`` without the number at its end and the ``_`` or ``-``
   before it. Not so in *collections* (``Misc`` and ``iraytek``), whose images come from many recordings; or
2. they are *near-duplicates*: at least :data:`MIN_MATCHES` places of one image lie on places of the other, moved by
   one shift, zoom (by a factor of 2 at most) and rotation. Places are the SIFT keypoints (Lowe, IJCV 2004) of the
   image after local contrast equalisation, away from targets, because pasted targets say nothing about the scene.
   They are compared by RootSIFT (Arandjelovic and Zisserman, CVPR 2012), must be mutually nearest and clearly nearer
   than the next, and their common motion is found by RANSAC.

Groups are the connected components of both, over all images, so near-duplicates join different prefixes too.
"""
import json
import re
from collections import Counter
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Dict, List, Sequence, Tuple, Union

import cv2
import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from tqdm import tqdm

from bafenet.arguments import MAX_SEED, require_number
from bafenet.devkit import read_boxes, read_grey
from bafenet.errors import InputError, printable
from bafenet.fileio import require_writable_folder, temporary_folder, write_text
from bafenet.synthesis.devkit import BOXES, IMAGES, TARGET_PALETTE, swap_in

from .checks import map_with_progress
from .densesirst import DenseSIRSTDataset
from .statistics import file_of, read_map, split_names

COLLECTIONS = ('Misc', 'iraytek')
# The devkit's splits whose images are divided anew, and whose leak is told.
TRAINING, TESTING = 'trainval_v2', 'test_v2'

# The longer side of an image when its keypoints are found, and their number; the strongest are kept.
SIDE, KEYPOINTS = 384, 160
# Pixels of an image of that size around a target where no keypoint counts.
TARGET_MARGIN = 7
# A descriptor's nearest must be nearer than its second nearest by this factor.
MAX_RATIO = 0.85
# Pixels that a place may lie beside where the common motion puts it.
MAX_MISS = 6
MIN_MATCHES = 8
ZOOM = (0.5, 2)
# Images whose descriptors are compared with one image at a time.
BLOCK = 128

PARTS, SHARES = ('train', 'val', 'test'), (0.5, 0.25, 0.25)
GROUPS_FILE, REPORT_FILE = 'groups.txt', 'recordings.json'
# Ends of the classes of image size, the square root of an image's pixels, that a division balances.
SIZE_EDGES = (256, 512, 1024)
TRIES = 64


@dataclass
class Scene:
    """What one image says about where it was taken.

    Attributes:
        name: Image name.
        size: Width and height in pixels.
        targets: Number of boxes.
        points: (k, 2) float32, x and y of the keypoints in the image brought to ``SIDE``; k is at most ``KEYPOINTS``.
        descriptors: (k, 128) float32, each of length 1.
    """

    name: str
    size: Tuple[int, int]
    targets: int
    points: np.ndarray
    descriptors: np.ndarray


def split_by_recording(devkit: Union[str, Path], out: Union[str, Path], seed: int = 0,
                       collections: Sequence[str] = COLLECTIONS, min_matches: int = MIN_MATCHES,
                       workers: int = 1) -> None:
    """Divide a devkit's images by recording, print tables and write the lists; ``tools/dataset/split_by_recording.py``.

    ``out`` gets ``train_rec.txt``, ``val_rec.txt``, ``test_rec.txt`` (about 1/2, 1/4, 1/4 of the images) and
    ``trainval_rec.txt``, one name a line; ``groups.txt``, one group a line; and ``recordings.json``, which holds the
    settings, the figures and the near-duplicate pairs. All at once or nothing.

    Args:
        devkit: The devkit, with the splits ``trainval_v2`` and ``test_v2``; it is only read.
        out: Folder for the lists; what an earlier call wrote is replaced, any other folder is refused.
        seed: Seed of the division.
        collections: Prefixes that hold many recordings.
        min_matches: Matching places that make two images near-duplicates.
        workers: Processes that read images; the result does not depend on it.

    Raises:
        InputError: If an option is out of range, a file is missing or bad, there are fewer than three groups, or
            ``out`` cannot be written.
    """
    root, out = Path(devkit), Path(out)
    _check_options(out, seed, min_matches)
    old = {split: split_names(root, split) for split in (TRAINING, TESTING)}
    names = sorted(set(chain(*old.values())))
    scenes = list(map_with_progress(partial(read_scene, root), names, workers, 'keypoints'))
    pairs = near_duplicates(scenes, min_matches)
    groups = group_recordings(names, pairs[:, :2], collections)
    parts = divide(groups, traits(scenes, collections), SHARES, seed)
    report = summarize(scenes, pairs, groups, parts, old, collections)
    report = dict(seed=seed, collections=list(collections), min_matches=min_matches, **report)
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


# --- Groups -----------------------------------------------------------------------------------------------------------


def prefix(name: str) -> str:
    """An image name without the number at its end and the ``_`` or ``-`` before it; the name itself if that is all."""
    return re.sub(r'[-_]?\d+$', '', name) or name


def read_scene(root: Path, name: str) -> Scene:
    """Read one image and find its keypoints; see the module for how.

    Raises:
        InputError: If a file is missing or bad.
    """
    image, _ = read_grey(file_of(root, IMAGES, name))
    size = image.shape[::-1]
    mask = read_map(root, TARGET_PALETTE, name, image.shape)
    boxes, _ = read_boxes(file_of(root, BOXES, name), DenseSIRSTDataset.METAINFO['classes'], size)
    return Scene(name, size, len(boxes), *keypoints(image, mask > 0))


def keypoints(image: np.ndarray, mask: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Places of an image and what they look like.

    Args:
        image: (H, W) grey levels, any number type.
        mask: (H, W) bool, where targets are.

    Returns:
        Points (k, 2) and descriptors (k, 128), as :class:`Scene` has them.
    """
    factor = SIDE / max(image.shape)
    size = [max(round(side * factor), 1) for side in image.shape[::-1]]
    if image.dtype != np.uint8:
        image = cv2.normalize(image.astype(np.float32), None, 0, 255, cv2.NORM_MINMAX, cv2.CV_8U)
    grey = cv2.resize(image, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
    grey = cv2.createCLAHE(clipLimit=4, tileGridSize=(4, 4)).apply(grey)
    # Averaged, so that a target of one pixel does not fall between the pixels kept.
    targets = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0
    near = cv2.dilate(targets.astype(np.uint8), np.ones((2 * TARGET_MARGIN + 1, ) * 2))
    sift = cv2.SIFT_create(contrastThreshold=0.01)
    # A limit given to OpenCV would count keypoints on targets too.
    points = sorted(sift.detect(grey, 1 - near), key=lambda point: -point.response)[:KEYPOINTS]
    if not points:
        return np.zeros((0, 2), np.float32), np.zeros((0, 128), np.float32)
    points, descriptors = sift.compute(grey, points)
    return cv2.KeyPoint_convert(points), np.sqrt(descriptors / descriptors.sum(1, keepdims=True))


def near_duplicates(scenes: Sequence[Scene], min_matches: int = MIN_MATCHES) -> np.ndarray:
    """Pairs of images that show one scene.

    Args:
        scenes: The images, n of them.
        min_matches: Matching places that a pair must have.

    Returns:
        (m, 3) int64: the indices of the two images, the lower one first, and the number of matching places.
    """
    # Padding is less like a descriptor than any other descriptor is: it never is the nearest of two.
    table = np.zeros((len(scenes), KEYPOINTS, 128), np.float32)
    for row, scene in zip(table, scenes, strict=True):
        row[:len(scene.descriptors)] = scene.descriptors
    pairs = []
    for first in tqdm(range(len(scenes)), 'comparing', unit='image', disable=None):
        for start in range(first + 1, len(scenes), BLOCK) if len(scenes[first].points) else ():
            pairs += _compare(scenes, table, first, start, min_matches)
    return np.array(pairs, np.int64).reshape(-1, 3)


def _compare(scenes: Sequence[Scene], table: np.ndarray, first: int, start: int, min_matches: int) -> List[tuple]:
    """Near-duplicates of image ``first`` among the ``BLOCK`` images from ``start``."""
    own, others = scenes[first].descriptors, table[start:start + BLOCK]
    # (k, images, KEYPOINTS) cosines.
    similarity = (own @ others.reshape(-1, others.shape[-1]).T).reshape(len(own), len(others), -1)
    nearest = similarity.argmax(2)[..., None]
    best = np.take_along_axis(similarity, nearest, 2)
    np.put_along_axis(similarity, nearest, -1, 2)
    # Squared distances of vectors of length 1.
    clear = (2 - 2 * best[..., 0]) < MAX_RATIO**2 * (2 - 2 * similarity.max(2))
    np.put_along_axis(similarity, nearest, best, 2)
    found = []
    # The way back and the motion cost more, and few pairs come so far.
    for other in np.flatnonzero(clear.sum(0) >= min_matches):
        here = np.flatnonzero(clear[:, other])
        there = nearest[here, other, 0]
        mutual = similarity[:, other].argmax(0)[there] == here
        count = count_moved_alike(scenes[first].points[here[mutual]], scenes[start + other].points[there[mutual]])
        if count >= min_matches:
            found.append((first, start + other, count))
    return found


def count_moved_alike(here: np.ndarray, there: np.ndarray) -> int:
    """How many places are moved by the one shift, zoom and rotation that moves the most of them.

    Args:
        here: (k, 2) float32, x and y in pixels.
        there: (k, 2), the same places in the other image.

    Returns:
        Number of different places; 0 where the zoom lies outside ``ZOOM`` or two places would say it all.
    """
    if len(here) < 3:
        return 0
    motion, inliers = cv2.estimateAffinePartial2D(here, there, ransacReprojThreshold=MAX_MISS)
    if motion is None or not ZOOM[0] <= np.hypot(*motion[:, 0]) <= ZOOM[1]:
        return 0
    inliers = inliers[:, 0] > 0
    # SIFT gives a place once for each of its orientations.
    return min(len(np.unique(points[inliers].round(), axis=0)) for points in (here, there))


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
    first: Dict[str, int] = {}
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


# --- What is told -----------------------------------------------------------------------------------------------------


def summarize(scenes: Sequence[Scene], pairs: np.ndarray, groups: np.ndarray, parts: np.ndarray,
              old: Dict[str, List[str]], collections: Sequence[str]) -> dict:
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
        leak=_leak(names, pairs, groups, old), division=divided,
        pairs=[[*names[pair[:2]].tolist(), int(pair[2])] for pair in pairs])


def _leak(names: np.ndarray, pairs: np.ndarray, groups: np.ndarray, old: Dict[str, List[str]]) -> dict:
    """How many images of the devkit's test split are not new to who has seen its training images."""
    training, testing = (np.isin(names, old[split]) for split in (TRAINING, TESTING))
    both = np.concatenate([pairs[:, :2], pairs[:, 1::-1]])
    seen = both[testing[both[:, 0]] & training[both[:, 1]], 0]
    return dict(training=TRAINING, testing=TESTING, test_images=int(testing.sum()),
                near_duplicate=len(np.unique(seen)),
                same_recording=int((testing & np.isin(groups, groups[training])).sum()))


def print_tables(report: dict) -> None:
    """Print the groups, the leak of the devkit's splits and the division."""
    console = Console()
    table = Table(title=f'{report["images"]} images, {report["groups"]} groups, {report["single_images"]} of one image')
    for column, justify in (('images', 'right'), ('prefixes', 'left'), ('part', 'left')):
        table.add_column(column, justify=justify)
    for group in report['largest_groups']:
        prefixes = ', '.join(f'{key} {count}' for key, count in group['prefixes'].items())
        table.add_row(str(group['images']), escape(printable(prefixes)), group['part'])
    console.print(table)
    console.print(f'{report["near_duplicate_pairs"]} near-duplicate pairs, {report["pairs_across_prefixes"]} of them '
                  f'across prefixes: {escape(printable(", ".join(report["prefixes_joined"]))) or "none"}')
    leak = report['leak']
    for key, what in (('near_duplicate', 'a near-duplicate'), ('same_recording', 'an image of the same recording')):
        console.print(f'{leak[key]} of the {leak["test_images"]} images of {leak["testing"]} '
                      f'({leak[key] / leak["test_images"]:.0%}) have {what} in {leak["training"]}')
    division = Table(title='division by recording')
    division.add_column('part')
    for column in report['division'][PARTS[0]]:
        division.add_column(escape(printable(column)), justify='right')
    for part, figures in report['division'].items():
        division.add_row(part, *map(str, figures.values()))
    console.print(division)


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
    print(f'{printable(out)}: the lists are written')
