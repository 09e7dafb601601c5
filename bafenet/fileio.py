"""Files that are either whole or absent: written under a temporary name, then renamed."""
import json
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator, Optional, Union

from .errors import InputError

_UMASK = os.umask(0)
os.umask(_UMASK)


@contextmanager
def atomic_path(path: Union[str, Path]) -> Iterator[Path]:
    """Yield a temporary path in the folder of ``path``; rename it to ``path`` when the block succeeds.

    If the block raises, or the process dies, ``path`` is what it was before. The folder is created where
    it is missing. The temporary name keeps the suffix, because writers such as OpenCV choose a format by it.

    Args:
        path: The file to write.

    Yields:
        The path to write to.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f'.{path.stem}-', suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes files private; give them the mode that open() would have given.
        temporary.chmod(0o666 & ~_UMASK)
        with open(temporary, 'rb') as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Union[str, Path], text: str) -> None:
    """Write ``text`` (UTF-8) to ``path`` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding='utf-8')


def write_json(path: Union[str, Path], content: Any) -> None:
    """Write ``content`` as indented JSON to ``path`` atomically.

    Raises:
        ValueError: If a number is not finite: JSON has none.
    """
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + '\n')


def require_json_name(out: Optional[str]) -> None:
    """Check the ``--out`` of a tool that writes JSON; None or empty for none.

    Raises:
        InputError: If it does not end in ``.json``.
    """
    if out and not out.endswith('.json'):
        raise InputError(f'--out {out}: the file must end in .json')


def write_bytes(path: Union[str, Path], data: bytes) -> None:
    """Write ``data`` to ``path`` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
