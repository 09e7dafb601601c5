"""Read files safely: regular ones alone, of bounded size, as bytes or as JSON."""
import json
import math
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

from .errors import InputError, first_line, printable

PathLike = str | Path

MAX_BYTES = 2**26
# An empty list takes a byte or two in a file and sixty in memory.
_MAX_CONTAINERS = 2**21


class _Unfit(ValueError):
    """A file is there, and none that would be read."""


# --- Files ------------------------------------------------------------------------------------------------------------


def open_file(path: PathLike) -> BinaryIO:
    """Open a regular file for reading. A named pipe, which would be waited for without end, is refused as a folder is.

    Raises:
        InputError: If it is missing, no regular file or cannot be read.
    """
    try:
        return _open(path)
    except (OSError, ValueError) as error:
        raise _refusal(path, error) from error


def read_bytes(path: PathLike, limit: int = MAX_BYTES) -> bytes:
    """The content of a regular file of at most ``limit`` bytes.

    Raises:
        InputError: If it is missing, no regular file, larger or cannot be read.
    """
    try:
        return read_regular(path, limit)
    except (OSError, ValueError) as error:
        raise _refusal(path, error) from error


def read_regular(path: PathLike, limit: int = MAX_BYTES) -> bytes:
    """As :func:`read_bytes`, for those who say themselves what the file should have been; see :func:`reason_of`.

    Raises:
        OSError: If it is missing or cannot be read.
        ValueError: If it is no regular file, or larger.
    """
    with _open(path) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise _Unfit(f'it is larger than {limit / 2**20:g} MiB')
    return data


def reason_of(error: Exception) -> str:
    """Why a file could not be read, in a few words, when the file is named beside them."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    if isinstance(error, UnicodeDecodeError):
        return 'it is not UTF-8 text'
    return first_line(error)


def _open(path: PathLike) -> BinaryIO:
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        raise _Unfit(f'it is {"a folder" if stat.S_ISDIR(mode) else "a pipe or device"} and no regular file')
    return os.fdopen(handle, 'rb')


def _refusal(path: PathLike, error: Exception) -> InputError:
    if isinstance(error, FileNotFoundError):
        return InputError(f'{printable(path)}: no such file')
    if isinstance(error, _Unfit):
        return InputError(f'{printable(path)}: {str(error).removeprefix("it ")}; replace the file')
    return InputError(f'{printable(path)}: cannot be read ({reason_of(error)})')


# --- JSON -------------------------------------------------------------------------------------------------------------


def read_json(path: PathLike, what: str = 'JSON', remedy: str = 'replace the file') -> Any:
    """The content of a JSON file of at most 64 MiB.

    Args:
        path: The file.
        what: What it should be, for the message: ``not WHAT``.
        remedy: What to do if it is not.

    Raises:
        InputError: If it cannot be read (see :func:`read_regular`), or is not JSON (see :func:`parse_json`).
    """
    try:
        return parse_json(read_regular(path))
    except (OSError, ValueError) as error:
        raise InputError(f'{printable(path)}: not {what} ({reason_of(error)}); {remedy}') from error


def parse_json(data: bytes) -> Any:
    """JSON as the standard has it: finite numbers, each key once, UTF-8.

    Raises:
        ValueError: If the data are anything else, or nested so deeply or in so many parts that it cannot be meant.
    """
    if data.count(b'[') + data.count(b'{') > _MAX_CONTAINERS:
        raise ValueError(f'it has more than {_MAX_CONTAINERS} lists and objects')
    try:
        return json.loads(data.decode('utf-8-sig'), object_pairs_hook=_each_key_once, parse_constant=_no_number,
                          parse_float=_finite, parse_int=_int64)
    except RecursionError as error:
        raise ValueError('it is nested too deeply') from error


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f'{twice[:40]} stands there twice')
    return content


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _no_number(text)


def _int64(text: str) -> int:
    return int(text) if len(text) < 19 else _no_number(text)


def _no_number(text: str) -> Any:
    raise ValueError(f'{text[:40]} is no number that it can hold')
