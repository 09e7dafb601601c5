"""The target library as a file: patches of targets, saved and loaded (build_library.py makes them)."""
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np

from bafenet_command import call_of

from ..errors import InputError, first_line, printable
from ..fields import require_dict
from ..fileio import atomic_path
from ..reading import PathLike, open_file, parse_json
from .clusters import TargetLibrary

MAX_BYTES = 256 * 2**20
"""A library that takes more memory than this is refused."""

MAX_FILE_BYTES, MAX_META_BYTES, MAX_PATCHES = 2**25, 2**20, 200_000

KEYS = ('pixels', 'sizes', 'meta')


def shrink(patch: np.ndarray, max_size: int) -> np.ndarray:
    """Bring a (h, w) patch within ``max_size`` pixels a side, by area averaging.

    The aspect ratio is kept up to whole pixels, and no side falls below 1. A patch that fits is returned as it is.
    """
    largest = max(patch.shape)
    if largest <= max_size:
        return patch
    height, width = (max(round(side * max_size / largest), 1) for side in patch.shape)
    return cv2.resize(patch, (width, height), interpolation=cv2.INTER_AREA)


def save_library(path: PathLike, patches: Sequence[np.ndarray], meta: dict) -> None:
    """Write a library as one ``.npz`` without pickle, whole or not at all.

    It holds ``pixels`` (uint8, the patches row by row, one after the other), ``sizes`` ((n, 2) int64, heights and
    widths) and ``meta`` (JSON text).

    Args:
        path: The file.
        patches: (h, w) uint8 patches.
        meta: Where they come from, for people; must fit into JSON.

    Raises:
        OSError: The file cannot be written.
    """
    pixels = np.concatenate([patch.ravel() for patch in patches])
    sizes = np.array([patch.shape for patch in patches], np.int64)
    with atomic_path(path) as temporary, open(temporary, 'wb') as file:
        np.savez_compressed(file, pixels=pixels, sizes=sizes, meta=np.array(json.dumps(meta)))


def load_library(path: PathLike, max_target_size: int | None = None) -> TargetLibrary:
    """Read a library.

    Args:
        path: A file of :func:`save_library`.
        max_target_size: Patches with a longer side, in pixels, are shrunk to it; None shrinks none.

    Raises:
        InputError: The file is not a target library, or is too large for the memory.
    """
    pixels, sizes = _read_arrays(path)
    areas = sizes.prod(axis=1)
    patches = [flat.reshape(size) for flat, size in zip(np.split(pixels, np.cumsum(areas)[:-1]), sizes, strict=True)]
    if max_target_size is not None:
        patches = [shrink(patch, max_target_size) for patch in patches]
    labels = _labels(read_meta(path), len(patches), path)
    height, width = np.max([patch.shape for patch in patches], axis=0).tolist()
    if len(patches) * height * width > MAX_BYTES:
        raise InputError(f'{printable(path)}: {len(patches)} patches within {height}x{width} take more than '
                         f'{MAX_BYTES >> 20} MiB; load them with a smaller max_target_size')
    return TargetLibrary.from_patches(patches, labels)


def _labels(meta: dict, patches: int, path: PathLike) -> list[int] | None:
    """The class of each patch, as ``meta`` has it: indices into its ``classes``; None where it names no classes."""
    classes, labels = meta.get('classes'), meta.get('labels')
    if classes is None:
        return None
    if not isinstance(classes, list) or not isinstance(labels, list) or len(labels) != patches or not all(
            type(label) is int and 0 <= label < len(classes) for label in labels):
        raise InputError(f'{printable(path)}: not a target library (meta.labels must name a class of each patch); make '
                         f'it again with {call_of("build_library")}')
    return labels


def read_meta(path: PathLike) -> dict:
    """What a library file says of where its targets come from: the ``meta`` of :func:`save_library`.

    Raises:
        InputError: The file is not a target library.
    """
    with _opened(path) as archive:
        return _parse_meta(archive['meta'])


def _read_arrays(path: PathLike) -> tuple[np.ndarray, np.ndarray]:
    """Pixels and sizes of a library file, checked."""
    with _opened(path) as archive:
        pixels, sizes, meta = (archive[key] for key in KEYS)
        _check_arrays(pixels, sizes)
        _parse_meta(meta)
    return pixels, sizes.astype(np.int64)


def _parse_meta(text: np.ndarray) -> dict:
    return require_dict(parse_json(str(text).encode()), 'meta')


@contextmanager
def _opened(path: PathLike) -> Iterator[Mapping[str, np.ndarray]]:
    """The arrays of a library file, each read when it is asked for; whatever a foreign file raises is one line."""
    if not Path(path).exists():
        raise InputError(f'{printable(path)}: no such target library; {call_of("build_library")} makes one')
    with open_file(path) as file:
        try:
            _check_archive(file)
            with np.load(file, allow_pickle=False) as archive:
                yield archive
        # A foreign file can raise almost anything in the readers of zip and NumPy.
        except Exception as error:
            raise InputError(f'{printable(path)}: not a target library ({first_line(error)}); make it again with '
                             f'{call_of("build_library")}') from error


def _check_archive(file: BinaryIO) -> None:
    """Check what a zip file says about itself; of a member no more is ever unpacked than it says."""
    if file.seek(0, 2) > MAX_FILE_BYTES:
        raise ValueError(f'it is larger than {MAX_FILE_BYTES >> 20} MiB')
    file.seek(0)
    with zipfile.ZipFile(file) as archive:
        members = {member.filename: member for member in archive.infolist()}
        if sorted(members) != sorted(f'{key}.npy' for key in KEYS) or len(archive.infolist()) != len(KEYS):
            raise ValueError(f'it must hold {", ".join(KEYS)}')
        # The unpackers of other methods do not stop at a size.
        if any(member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for member in members.values()):
            raise ValueError('it is compressed in another way than NumPy does')
        if sum(member.file_size for member in members.values()) > MAX_BYTES or (
                members['meta.npy'].file_size > MAX_META_BYTES):
            raise ValueError(f'it unpacks to more than {MAX_BYTES >> 20} MiB')
    file.seek(0)


def _check_arrays(pixels: np.ndarray, sizes: np.ndarray) -> None:
    if pixels.dtype != np.uint8 or pixels.ndim != 1:
        raise ValueError('pixels must be flat uint8')
    if sizes.dtype.kind not in 'iu' or sizes.ndim != 2 or sizes.shape[1] != 2 or not len(sizes):
        raise ValueError('sizes must be pairs of integers, one a patch')
    if len(sizes) > MAX_PATCHES:
        raise ValueError(f'it holds more than {MAX_PATCHES:,} patches')
    # Each side by itself first, so that no product overflows.
    if sizes.min() < 1 or sizes.max() > len(pixels) or sizes.astype(float).prod(axis=1).sum() != len(pixels):
        raise ValueError('sizes do not add up to the pixels')
