"""mmengine's local file backend, whose files are whole or as they were before: temporary name, then rename."""
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend
from mmengine.fileio import io as mmengine_io

from ..fileio import write_bytes


class AtomicLocalBackend(LocalBackend):
    """mmengine's local storage, but a file that is written is whole or as it was before."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes to ``filepath`` by a temporary name."""
        write_bytes(filepath, obj)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = 'utf-8') -> None:
        """Write text to ``filepath`` by a temporary name."""
        write_bytes(filepath, obj.encode(encoding))


def install() -> None:
    """Make mmengine write checkpoints, logs and pictures by :class:`AtomicLocalBackend`."""
    register_backend('local', AtomicLocalBackend, force=True, prefixes='')
    mmengine_io.backend_instances.clear()  # backends that are in use already
