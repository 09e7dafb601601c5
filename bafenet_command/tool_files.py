"""Where the tools are, and how a user calls one: ``bafenet check``, or the script ``tools/dataset/check.py``."""
from pathlib import Path

from .parser import Parser

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / 'bafenet'
IN_PACKAGE = (PACKAGE / 'tools').is_dir()  # of a wheel; in a checkout they are beside it
TOOLS = PACKAGE / 'tools' if IN_PACKAGE else ROOT / 'tools'


def find_tools(folder: Path = TOOLS) -> dict[str, Path]:
    """The tools by name: every Python file of a folder and of those in it, those of the folder itself first."""
    files = sorted(folder.rglob('*.py'), key=lambda file: (len(file.parts), file.parts))
    return {file.stem: file for file in files if not file.stem.startswith('_')}


def call_of(name: str) -> str:
    """A tool as its user calls it, for messages.

    Args:
        name: The tool, as ``'check'``.

    Returns:
        ``bafenet check`` from a wheel or where the command ``bafenet`` runs, else ``tools/dataset/check.py``.
    """
    if IN_PACKAGE or Parser.command is not None:
        return f'bafenet {name}'
    return find_tools()[name].relative_to(ROOT).as_posix()
