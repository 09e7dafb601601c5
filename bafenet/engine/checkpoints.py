"""Checkpoints that are read without executing anything, and that are either whole or absent.

Importing this module

- makes mmengine read every checkpoint with ``torch.load(weights_only=True)``, downloads included, check every field
  that is read later (checkpoint_fields.py), and refuse a bad one in one line,
- makes mmengine parse the text of a config that stands in a checkpoint, where it would execute it,
- makes mmengine write every file under a temporary name first (:class:`AtomicLocalBackend`).
"""
import os
import re
import socket
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple
from urllib.parse import urlparse

import mmengine.runner.checkpoint as mmengine_checkpoint
import torch
from mmengine.config import Config
from mmengine.fileio import LocalBackend, register_backend
from mmengine.fileio import io as mmengine_io
from mmengine.runner import CheckpointLoader

from .. import weights as shipped_weights
from ..errors import InputError, one_line, printable
from ..fileio import atomic_path, write_bytes
from ..reading import read_regular, reason_of
from . import checkpoint_types  # noqa: F401
from .checkpoint_fields import ANOTHER, check_fields, require_plain_archive
from .options import parse_config, require_known_types

_LONGEST_NAME = 200  # characters of a weight's name that are shown
_MAX_NOTE = 2**13  # bytes of last_checkpoint, twice those of the longest path
_NETWORK_TIMEOUT = 20  # seconds without a byte

# --- Reading ----------------------------------------------------------------------------------------------------------


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


def latest_checkpoint(work_dir: str | Path, folders: Sequence[str | Path] = ()) -> str | None:
    """The checkpoint that a work dir's ``last_checkpoint`` names.

    A file of that name in these folders counts first: a work dir may have been moved or copied since.

    Args:
        work_dir: The work dir.
        folders: Where its checkpoints are; by default in it.

    Returns:
        The path, or None where there is no such note.

    Raises:
        InputError: If the note cannot be read, or names no file of these folders.
    """
    note = Path(work_dir, 'last_checkpoint')
    if not os.path.lexists(note):
        return None
    try:
        named = Path(read_regular(note, _MAX_NOTE).decode('utf-8').strip())
        places = [*(Path(folder, named.name) for folder in folders or (work_dir, )), named]
        found = [str(place) for place in places if place.is_file()]
    except (OSError, ValueError) as error:
        raise InputError(f'{printable(note)}: cannot be read ({reason_of(error)}); delete it, and resume '
                         'from a checkpoint by name') from error
    if not found:
        raise InputError(f'checkpoint {printable(places[0])} does not exist, which {printable(note)} names: '
                         'resume from a checkpoint by name, or delete that note to begin a new run')
    return found[0]


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
    return _read(local_file(filename), map_location, f'checkpoint {filename}', ANOTHER)


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
            reason = f'it holds {foreign[1]}, which is no part of a checkpoint; nothing in it was executed'
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


# --- Loading into a network -------------------------------------------------------------------------------------------


class WeightsReport(NamedTuple):
    """Names of the weights that did not go from a checkpoint into a network.

    Attributes:
        missing: In the network, not in the checkpoint.
        unexpected: In the checkpoint, not in the network.
        reshaped: In both, with different shapes, or whole numbers in the checkpoint for real ones.
        loaded: How many weights went over.
    """

    missing: list[str]
    unexpected: list[str]
    reshaped: list[str]
    loaded: int

    @property
    def fits(self) -> bool:
        """Whether every weight of either side went over."""
        return not (self.missing or self.unexpected or self.reshaped)

    def describe(self, examples: int = 1000) -> str:
        """Say in one line what did not fit, with at most so many examples of each kind."""
        kinds = (('missing in the checkpoint', self.missing), ('unknown to the network', self.unexpected),
                 ('of another shape or kind', self.reshaped))
        return ', '.join(f'{len(names)} {kind} ({_some(names, examples)})' for kind, names in kinds if names)


def _some(names: list[str], examples: int) -> str:
    return printable(', '.join(name[:_LONGEST_NAME] for name in names[:examples])) + (
        ', …' if len(names) > examples else '')


def load_weights(model: torch.nn.Module, checkpoint: dict) -> WeightsReport:
    """Load the weights that fit into a network, and report the others.

    Args:
        model: The network, not wrapped.
        checkpoint: A checkpoint with a ``state_dict``, or a bare state dict. A ``module.`` before each name
            (from a parallel run) is dropped.
    """
    source = checkpoint.get('state_dict', checkpoint)
    weights = {re.sub(r'^module\.', '', str(name)): value for name, value in source.items()}
    expected = model.state_dict()
    reshaped = [name for name, value in weights.items() if name in expected and not _is_alike(value, expected[name])]
    fitting = OrderedDict((name, value) for name, value in weights.items() if name not in reshaped)
    if hasattr(source, '_metadata'):
        fitting._metadata = source._metadata  # versions of the modules' formats
    missing, unexpected = model.load_state_dict(fitting, strict=False)
    # Weights from before PyTorch 1.0 have no batch counters, and none are needed.
    missing = [name for name in missing if name not in reshaped and not name.endswith('num_batches_tracked')]
    return WeightsReport(missing, list(unexpected), reshaped, len(fitting) - len(unexpected))


def _is_alike(value: Any, expected: torch.Tensor) -> bool:
    """Whether a weight can take the place of another; PyTorch would copy whole numbers (quantised ones) too."""
    return (isinstance(value, torch.Tensor) and value.shape == expected.shape
            and (value.is_floating_point() or not expected.is_floating_point()))


# --- Writing ----------------------------------------------------------------------------------------------------------


class AtomicLocalBackend(LocalBackend):
    """mmengine's local storage, but a file that is written is whole or as it was before."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes to ``filepath`` by a temporary name."""
        write_bytes(filepath, obj)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = 'utf-8') -> None:
        """Write text to ``filepath`` by a temporary name."""
        write_bytes(filepath, obj.encode(encoding))


def config_as_data(cfg_str: str, file_format: str) -> Config:
    """Stand in for ``Config.fromstring``, by which mmengine and mmdet execute the config in a checkpoint.

    Args:
        cfg_str: The config's text, as for :func:`~bafenet.engine.options.parse_config`.
        file_format: ``'.py'``.

    Raises:
        InputError: If the text holds more than plain values, or names what is no registered part.
    """
    source = 'the config in a checkpoint'
    if file_format != '.py':
        raise InputError(f'{source} is of the format {file_format!r}: only .py is read')
    cfg = parse_config(cfg_str, source)
    require_known_types(cfg.to_dict(), source)
    return cfg


Config.fromstring = staticmethod(config_as_data)
CheckpointLoader.register_scheme(prefixes='', loader=load_from_local, force=True)
mmengine_checkpoint.load_url = load_url  # torchvision://, open-mmlab:// and https:// all come to this
register_backend('local', AtomicLocalBackend, force=True, prefixes='')
mmengine_io.backend_instances.clear()  # backends that are in use already
