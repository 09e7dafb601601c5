"""Files from strangers: regular ones only, of bounded size, each problem in one line that names the file."""
import json
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO, Union

from ..errors import InputError, first_line, printable

PathLike = Union[str, Path]

MAX_JSON_BYTES = 2**26


def open_file(path: PathLike) -> BinaryIO:
    """Open a regular file for reading. A named pipe, which would be waited for without end, is refused as a folder is.

    Raises:
        InputError: If it is missing, no regular file or cannot be read.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise InputError(f'{printable(path)}: no such file') from error
    except (OSError, ValueError) as error:
        reason = getattr(error, 'strerror', None) or first_line(error)
        raise InputError(f'{printable(path)}: cannot be read ({reason})') from error
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        kind = 'a folder' if stat.S_ISDIR(mode) else 'a pipe or device'
        raise InputError(f'{printable(path)}: is {kind} and no regular file; replace it')
    return os.fdopen(handle, 'rb')


def read_bytes(path: PathLike, limit: int) -> bytes:
    """The content of a regular file of at most ``limit`` bytes.

    Raises:
        InputError: If it is missing, no regular file, larger or cannot be read.
    """
    with open_file(path) as file:
        try:
            data = file.read(limit + 1)
        except OSError as error:
            raise InputError(f'{printable(path)}: cannot be read ({error.strerror})') from error
    if len(data) > limit:
        raise InputError(f'{printable(path)}: is larger than {limit / 2**20:g} MiB; replace the file')
    return data


def read_json(path: PathLike) -> Any:
    """The content of a JSON file of at most 64 MiB.

    Raises:
        InputError: If it is missing, no regular file, larger, cannot be read or holds no JSON.
    """
    data = read_bytes(path, MAX_JSON_BYTES)
    try:
        return json.loads(data)
    # Deeply nested brackets exhaust the parser's stack.
    except (ValueError, RecursionError) as error:
        raise InputError(f'{printable(path)}: is not JSON ({first_line(error)}); replace the file') from error
