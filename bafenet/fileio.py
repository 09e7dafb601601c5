"""Write files atomically: whole or absent, checked beforehand, in folders that one process owns. reading.py reads.

What is being written has a hidden name, ``.NAME-bafenet-…``, and a lock that ends with its process however that ends:
what a killed process has left is known by its name and by being unlocked, and goes with the next one.
"""
import errno
import fcntl
import json
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import InputError, printable
from .reading import PathLike

_HIDDEN = '-bafenet-'
LOCK_FILE = '.lock'
LOCK_TIMEOUT = 10.0  # seconds; a process that was stopped just now still closes its files
_PROBE = bytes(2**16)  # what must fit on a disk that is not full

# --- Writing ----------------------------------------------------------------------------------------------------------


@contextmanager
def atomic_path(path: PathLike) -> Iterator[Path]:
    """Yield a temporary path in the folder of ``path``; rename it to ``path`` when the block succeeds.

    If the block raises, or the process dies, ``path`` is what it was before. The folder is created where
    it is missing. The temporary name keeps the suffix, because writers such as OpenCV choose a format by it. A link
    is replaced and not followed: a folder may be a stranger's.

    Args:
        path: The file to write.

    Yields:
        The path to write to.

    Raises:
        OSError: If it cannot be written, or ``path`` is a folder, a device or a pipe.
    """
    path = Path(path)
    if path.exists() and not path.is_file() and not path.is_symlink():
        # Renaming would replace a device or a pipe by a file.
        raise OSError(errno.EINVAL, 'no regular file', str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path.parent, path.stem)
    handle, temporary = _hidden_file(path)
    try:
        yield temporary
        with open(temporary, 'rb') as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None:
            error.filename = str(path)  # nobody knows the hidden name, and a full disk names none
        raise
    finally:
        os.close(handle)


@contextmanager
def temporary_folder(beside: PathLike) -> Iterator[Path]:
    """Yield an empty hidden folder on the disk of a folder that is to be written, and remove it in the end.

    Build the folder below it and rename it into its place.

    Args:
        beside: The folder to write; its parent is created where it is missing.
    """
    beside = Path(beside)
    beside.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(beside.parent, beside.name)
    folder = Path(tempfile.mkdtemp(dir=beside.parent, prefix=_prefix(beside.name)))
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def swap_in(new: Path, out: Path, old: Path) -> None:
    """Put a folder where another one may be; whatever fails, the one before is not lost."""
    if out.exists():
        os.replace(out, old)
    try:
        os.replace(new, out)
    except BaseException:
        if old.exists():
            os.replace(old, out)
        raise
    shutil.rmtree(old, ignore_errors=True)


def remove_leftovers(folder: PathLike, name: str = '') -> None:
    """Remove what killed processes have left half written in a folder.

    Args:
        folder: The folder.
        name: Of the file (without suffix) or folder that was being written; empty for all.
    """
    prefix = _prefix(name) if name else '.'
    for leftover in [Path(entry.path) for entry in os.scandir(folder)
                     if entry.name.startswith(prefix) and _HIDDEN in entry.name]:
        try:
            handle = os.open(leftover, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            continue  # gone, or none of ours
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(leftover, ignore_errors=True) if leftover.is_dir() else leftover.unlink(missing_ok=True)
        except OSError:
            pass  # in use
        finally:
            os.close(handle)


def _prefix(name: str) -> str:
    return f'.{name[:100]}{_HIDDEN}'


def _hidden_file(path: Path) -> tuple[int, Path]:
    """A new locked file beside ``path``: its handle and its path."""
    while True:
        name = path.with_name(f'{_prefix(path.stem)}{secrets.token_hex(8)}{path.suffix}')
        # Not by tempfile, whose files are private: the mode is to be the one that open() gives.
        handle = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        fcntl.flock(handle, fcntl.LOCK_EX)
        # Before it was locked, another process may have taken it for a leftover.
        if name.exists():
            return handle, name
        os.close(handle)


def write_text(path: PathLike, text: str) -> None:
    """Write ``text`` (UTF-8) to ``path`` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding='utf-8')


def write_json(path: PathLike, content: Any) -> None:
    """Write ``content`` as indented JSON to ``path`` atomically.

    Raises:
        ValueError: If a number is not finite: JSON has none.
    """
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + '\n')


def write_bytes(path: PathLike, data: bytes) -> None:
    """Write ``data`` to ``path`` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


# --- Before the work --------------------------------------------------------------------------------------------------


def require_writable_file(path: PathLike | None, option: str = '') -> None:
    """Check that a file can be written, before the work whose outcome it is to hold; None or empty for none.

    Args:
        path: The file.
        option: Option of the command line that names it, for the message.

    Raises:
        InputError: If it is a folder or a device, lies below a file, or the place is read-only or full.
    """
    if not path:
        return
    real = Path(os.path.realpath(path))
    if real.is_dir():
        raise _unwritable(path, option, 'is a folder; name a file in it')
    if real.exists() and not real.is_file():
        raise _unwritable(path, option, 'is no regular file; name another one')
    if real.exists() and not os.access(real, os.W_OK):
        raise _unwritable(path, option, 'is read-only; name another file')
    _require_room(path, real.parent, option)


def require_writable_folder(path: PathLike | None, option: str = '') -> None:
    """Check that files can be written to a folder, which need not exist yet; None or empty for none.

    Args:
        path: The folder.
        option: Option of the command line that names it, for the message.

    Raises:
        InputError: If it is a file, lies below one, or the place is read-only or full.
    """
    if path:
        _require_room(path, Path(os.path.realpath(path)), option)


def require_json_name(out: str | None, option: str = '--out') -> None:
    """Check the ``--out`` of a tool that writes JSON, or another option; None or empty for none.

    Raises:
        InputError: If it does not end in ``.json``, or cannot be written.
    """
    if out and not out.endswith('.json'):
        raise InputError(f'{option} {printable(out)}: the file must end in .json')
    require_writable_file(out, option)


def _require_room(path: PathLike, folder: Path, option: str) -> None:
    """Check that something can be written to ``folder``, or to the nearest folder above it that exists."""
    try:
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        if not folder.is_dir():
            raise _unwritable(path, option, f'cannot be written: {printable(folder)} is a file; choose another '
                              'place')
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(_PROBE)
    except OSError as error:
        raise _unwritable(path, option, f'cannot be written ({error.strerror}); choose another place') from error


def _unwritable(path: PathLike, option: str, reason: str) -> InputError:
    return InputError(f'{option} {printable(path)}: {reason}'.strip())


# --- Folders that one process owns ------------------------------------------------------------------------------------


@contextmanager
def owned(folder: PathLike, timeout: float = LOCK_TIMEOUT) -> Iterator[None]:
    """Keep other processes that ask away from a folder, and remove what killed ones have left in it.

    The lock goes with the process, however it ends.

    Args:
        folder: The folder, created where it is missing.
        timeout: Seconds to wait for it.

    Raises:
        InputError: If another process has it, or it cannot be locked.
    """
    folder = Path(folder)
    Path(os.path.realpath(folder)).mkdir(parents=True, exist_ok=True)  # a link may lead to what is not yet there
    # A link would be followed, and what it leads to emptied; a pipe would be waited for.
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        handle = os.open(folder / LOCK_FILE, flags, 0o666)
    except OSError as error:
        raise InputError(f'{printable(folder / LOCK_FILE)}: cannot be locked ({error.strerror}); a run makes a file '
                         'of this name: remove what stands there') from error
    with open(handle, 'rb+', buffering=0) as file:
        end = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if time.monotonic() > end:
                    raise InputError(f'{printable(folder)}: another process is writing to this folder; wait for it, '
                                     'end it, or give another folder') from error
                time.sleep(0.1)
        remove_leftovers(folder)
        try:
            yield
        finally:
            # Loader processes that live on hold the file open too.
            fcntl.flock(file, fcntl.LOCK_UN)
