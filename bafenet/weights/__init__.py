"""Weights that come with the package. Wherever a checkpoint is asked for, ``NAME`` stands for ``NAME.pth`` here.

Beside each file are its model card, ``NAME.md``, and what was measured with it, ``NAME.json``.
"""
from importlib import resources
from pathlib import Path

FOLDER = Path(str(resources.files(__name__)))


def names() -> list[str]:
    """The names of all weights that come with the package, sorted."""
    return sorted(file.stem for file in FOLDER.glob('*.pth'))


def find(name: str) -> Path | None:
    """The file of the weights of this name, None if there are none."""
    return FOLDER / f'{name}.pth' if name in names() else None
