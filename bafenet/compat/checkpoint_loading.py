"""Checkpoint loading: every file and download with ``torch.load(weights_only=True)``, its fields checked, no code run.

mmengine itself unpickles what it is given. What a checkpoint may hold is in checkpoint_types.py and
checkpoint_fields.py. Wherever a checkpoint is asked for, the name of weights that come with the package is one too.
"""
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.client import HTTPException
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from urllib.parse import urlparse

import mmengine.runner.checkpoint as mmengine_checkpoint
import torch
from mmengine.runner import CheckpointLoader

from .. import weights as shipped_weights
from ..errors import InputError, one_line, printable
from ..fileio import atomic_path
from .checkpoint_fields import ANOTHER, check_fields, require_plain_archive

_NETWORK_TIMEOUT = 20  # seconds without a byte


def install() -> None:
    """Make mmengine load local files by :func:`load_from_local`, and downloads by :func:`load_url`."""
    CheckpointLoader.register_scheme(prefixes='', loader=load_from_local, force=True)
    mmengine_checkpoint.load_url = load_url  # torchvision://, open-mmlab:// and https:// all come to this
    if hasattr(mmengine_checkpoint, '_safe_torch_load'):
        # In the fork onedl-mmengine all others come to this, which unpickles what weights_only=True refuses.
        mmengine_checkpoint._safe_torch_load = partial(torch.load, weights_only=True)


def require_checkpoint(filename: str | Path) -> None:
    """Check that a checkpoint exists; what has a scheme (``https://``, ``torchvision://``) is left to its loader.

    Raises:
        InputError: if it is neither a file nor the name of weights that come with the package.
    """
    if '://' not in str(filename):
        local_file(filename)


def local_file(filename: str | Path) -> Path:
    """The file that is meant: a path, with ``~`` expanded, or else weights that come with the package, by name.

    Raises:
        InputError: if it is neither.
    """
    path = Path(filename).expanduser()
    shipped = None if path.is_file() else shipped_weights.find(str(filename))
    if shipped is None and not path.is_file():
        names = ', '.join(shipped_weights.names()) or 'there are none'
        raise InputError(f'checkpoint {printable(filename)} does not exist: give the path of a .pth file, or the name '
                         f'of weights that come with the package ({names})')
    return shipped or path


def load_from_local(filename: str | Path, map_location: Any = None) -> dict:
    """Read a checkpoint file with ``weights_only=True``.

    Args:
        filename: As for :func:`local_file`.
        map_location: As for :func:`torch.load`.

    Returns:
        The checkpoint, or the bare state dict.

    Raises:
        InputError: if the file is missing, truncated, no checkpoint, or holds anything but weights and numbers.
    """
    file = local_file(filename)
    if file.suffix.lower() == '.onnx':
        raise InputError(f'checkpoint {printable(filename)} is an ONNX file, which predict, test and '
                         'bafenet.load take: give the checkpoint that it was made of')
    return _read(file, map_location, f'checkpoint {filename}', ANOTHER)


def _read(file: Path, map_location: Any, source: str, remedy: str) -> dict:
    """Read a checkpoint file and check what it says."""
    require_plain_archive(file, source)
    with _refused(source, remedy):
        checkpoint = torch.load(file, map_location=map_location, weights_only=True)
        if not isinstance(checkpoint, dict):
            raise UnpicklingError(f'it holds a {type(checkpoint).__name__}, not a dict')
        return check_fields(checkpoint, source, file.stat().st_size)


def load_url(url: str, model_dir: str | None = None, map_location: Any = None, progress: bool = True) -> dict:
    """Download a checkpoint into PyTorch's cache, or find it there, and read it with ``weights_only=True``.

    ``torch.hub``'s own default, which mmengine takes, is to unpickle whatever comes.

    Args:
        url: Address of the file.
        model_dir: Cache folder, by default ``checkpoints`` in that of ``torch.hub``.
        map_location: As for :func:`torch.load`.
        progress: Whether to show a progress bar.

    Raises:
        InputError: if the file cannot be downloaded, or is as in :func:`load_from_local`.
    """
    folder = Path(model_dir or Path(torch.hub.get_dir(), 'checkpoints'))
    cached = folder / Path(urlparse(url).path).name
    if not cached.is_file():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with _network_timeout(), atomic_path(cached) as temporary:
                torch.hub.download_url_to_file(url, str(temporary), progress=progress)
        except (OSError, HTTPException) as error:
            raise InputError(f'cannot download {url} ({one_line(error)})') from error
    return _read(cached, map_location, f'{cached}, downloaded from {url},', 'delete it to download it again')


@contextmanager
def _refused(what: str, remedy: str) -> Iterator[None]:
    """Turn whatever a bad file makes ``torch.load`` raise into one line."""
    try:
        yield
    except (InputError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # a crafted file can provoke any error
        foreign = re.search(r'GLOBAL (\S+)', str(error))
        if foreign:
            name = printable(foreign[1][:100])
            reason = f'it holds {name}, which is no part of a checkpoint; nothing in it was executed'
        else:
            reason = f'truncated or no checkpoint, {type(error).__name__}'
        raise InputError(f'{what} cannot be read ({reason}): {remedy}') from error


@contextmanager
def _network_timeout() -> Iterator[None]:
    """Give up a connection on which nothing comes; ``torch.hub`` itself would wait for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_NETWORK_TIMEOUT)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
