"""Hard negatives as a file: places of false alarms in training images, one file an epoch, written and read."""
from pathlib import Path
from typing import NamedTuple

from bafenet.arguments import is_number
from bafenet.errors import InputError, printable
from bafenet.fileio import write_json
from bafenet.reading import read_json

FOLDER = 'hard_negatives'  # in the work dir of a run


class Place(NamedTuple):
    """A false alarm.

    Attributes:
        x: Column in native pixels of its image.
        y: Row.
        score: In [0, 1].
        epoch: In which it was found, from 1.
    """

    x: float
    y: float
    score: float
    epoch: int


Places = dict[str, list[Place]]  # by the path of the image


def places_file(folder: str | Path, epoch: int) -> Path:
    """The file that is written after so many epochs."""
    return Path(folder, f'epoch_{epoch}.json')


def write_places(folder: str | Path, epoch: int, places: Places) -> None:
    """Write the places that are known after so many epochs, whole or not at all."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    write_json(places_file(folder, epoch), {'places': places})


def read_places(folder: str | Path, epoch: int) -> Places:
    """The places that are known after so many epochs; none where there is no such file.

    Raises:
        InputError: If the file is not one of :func:`write_places`.
    """
    file = places_file(folder, epoch)
    if not file.exists():
        return {}
    content = read_json(file)
    found = content.get('places') if isinstance(content, dict) else None
    if not isinstance(found, dict) or not all(
            isinstance(rows, list) and all(map(_is_place, rows)) for rows in found.values()):
        raise InputError(f'{printable(file)}: no places of false alarms; delete the file, and resume an epoch earlier')
    return {name: [Place(*row) for row in rows] for name, rows in found.items()}


def _is_place(row: object) -> bool:
    return isinstance(row, list) and len(row) == len(Place._fields) and all(map(is_number, row)) and min(row) >= 0
