"""The folder of a prediction: JSON lines while it runs, from which it goes on; COCO results and a CSV at the end."""
import csv
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from ..errors import InputError, printable
from ..fileio import atomic_path, write_json
from ..reading import parse_json, read_json
from .result import coco_results

SETTINGS, LINES, RESULTS, TABLE = 'settings.json', 'predictions.jsonl', 'predictions.json', 'detections.csv'
COLUMNS = ('frame', 'x1', 'y1', 'x2', 'y2', 'score', 'in_sky', 'class')
LIKELY = 0.3  # boxes below are mostly false, where scores are not calibrated
_TOLD = 3  # settings in a message
Stamp = list[int]


def stamp_of(path: str) -> Stamp:
    """Size in bytes and time of change in microseconds of a file: another content has another one.

    Raises:
        InputError: If there is no such file.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        raise InputError(f'{printable(path)}: no such file') from error
    return [status.st_size, status.st_mtime_ns // 1000]


class Records:
    """Results of frames by their names, on disk; a context that closes its file.

    Args:
        folder: Where ``predictions.jsonl`` and ``settings.json`` are, or are made.
        settings: What the results depend on. They must agree with those of an earlier call.
        read_only: Only look: another process may be writing.

    Raises:
        InputError: If they do not, or one of the files is none of ours.
    """

    def __init__(self, folder: Path, settings: dict[str, Any], read_only: bool = False) -> None:
        self.folder = folder
        self._agree(settings)
        self._file: Any = open(folder / LINES, 'rb' if read_only else 'a+b')  # noqa: SIM115
        self._offsets: dict[str, int] = {}
        self._stamps: dict[str, Stamp] = {}
        self._files: dict[str, list[Path]] = {}
        end = self._find_lines()
        if not read_only:
            self._file.truncate(end)

    def __enter__(self) -> 'Records':
        return self

    def __exit__(self, *_: Any) -> None:
        self._file.close()

    def _agree(self, settings: dict[str, Any]) -> None:
        file = self.folder / SETTINGS
        if not file.exists():
            other = next((name for name in (LINES, RESULTS, TABLE) if os.path.lexists(self.folder / name)), None)
            if other:
                raise InputError(f'{printable(self.folder / other)}: is there, and no {SETTINGS} that says what it was '
                                 'made with; give another --out')
            write_json(file, settings)
            return
        before = read_json(file, 'the settings of a prediction', 'give another --out')
        before = before if isinstance(before, dict) else {}
        settings = json.loads(json.dumps(settings))
        differing = [key for key in dict.fromkeys([*settings, *before]) if before.get(key) != settings.get(key)]
        # Digests say little beside a name.
        told = [key for key in differing if not key.endswith('_sha256')] or differing
        if told:
            words = '; '.join(f'{key}={printable(before.get(key))}, and now {printable(settings.get(key))}'
                              for key in told[:_TOLD])
            raise InputError(f'{printable(self.folder)}: holds results with other settings ({words}); give another '
                             '--out, or delete the folder')

    def _find_lines(self) -> int:
        """Note where each frame's line begins; gives the end of the last one that is whole."""
        self._file.seek(0)
        offset = 0
        for line in self._file:
            if not line.endswith(b'\n'):
                break
            try:
                record = parse_json(line)
                name, self._stamps[record['frame']] = record['frame'], record['stamp']
                self._files[name] = self._written(record)
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(f'{printable(self.folder / LINES)}: is none that a prediction wrote; give another '
                                 '--out, or delete the folder') from error
            self._offsets[name] = offset
            offset += len(line)
        return offset

    def has(self, name: str, stamp: Stamp) -> bool:
        """Whether a frame's result is there, of the file as it is now, and its files of pixels too."""
        return self._stamps.get(name) == stamp and all(file.is_file() for file in self._files[name])

    def add(self, record: dict[str, Any], stamp: Stamp) -> None:
        """Append a result, :meth:`Result.to_dict`, at once."""
        name = record['frame']
        offset = self._file.seek(0, os.SEEK_END)
        line = json.dumps(dict(record, stamp=stamp), allow_nan=False)
        try:
            self._file.write(f'{line}\n'.encode())
            self._file.flush()
        except OSError as error:
            self._file.raw.close()  # else what is in its buffer would fail once more
            raise InputError(f'{printable(self.folder / LINES)}: cannot be written ({error.strerror}); make room, and '
                             'call it again to go on') from error
        self._offsets[name], self._stamps[name] = offset, stamp
        self._files[name] = self._written(record)

    def owners(self) -> dict[str, str]:
        """Frames by the places of their files of pixels, without the first folder, such as ``pictures``."""
        return {str(Path(*Path(os.path.relpath(file, self.folder)).parts[1:])): name
                for name, files in self._files.items() for file in files}

    def _written(self, record: dict[str, Any]) -> list[Path]:
        """The files of pixels that belong to a result."""
        return [self.folder / record[key] for key in ('picture', 'sky_map', 'target_mask') if key in record]

    def get(self, name: str) -> dict[str, Any]:
        """The result of a frame."""
        self._file.seek(self._offsets[name])
        return json.loads(self._file.readline())


# --- At the end -------------------------------------------------------------------------------------------------------


def write_results(folder: Path, names: Sequence[str], get: Callable[[str], dict[str, Any]], classes: Sequence[str],
                  skipped: Iterable[dict[str, str]], settings: dict[str, Any],
                  lowest: float = LIKELY) -> tuple[int, dict[str, int]]:
    """Write ``predictions.json`` and ``detections.csv``, frame by frame, so that any number of them fits in memory.

    Args:
        folder: Where to.
        names: Frames, in the order that they are written in.
        get: The result of a frame.
        classes: Names of the classes.
        skipped: ``file_name`` and ``reason`` of the files that could not be read.
        settings: What the results depend on.
        lowest: The lowest score of a likely target.

    Returns:
        How many detections there are, and by class how many of them have at least that score.
    """
    with atomic_path(folder / RESULTS) as temporary, open(temporary, 'w', encoding='utf-8') as file:
        head = dict(info=settings, skipped=list(skipped),
                    categories=[dict(id=label + 1, name=name) for label, name in enumerate(classes)])
        file.write(json.dumps(head, indent=1, allow_nan=False).removesuffix('\n}') + ',\n "images": [')
        _write_items(file, (_image(number, get(name)) for number, name in enumerate(names, 1)))
        file.write('],\n "annotations": [')
        count = _write_items(file, _annotations(names, get))
        file.write(']\n}\n')
    with atomic_path(folder / TABLE) as temporary, open(
            temporary, 'w', encoding='utf-8', errors='surrogateescape', newline='') as file:
        table = csv.writer(file, lineterminator='\n')
        table.writerow(COLUMNS)
        likely = Counter(dict.fromkeys(classes, 0))
        for name in names:
            record = get(name)
            # Weights that name no classes have one name for all.
            labels = [classes[label] if label < len(classes) else str(label) for label in record['labels']]
            table.writerows(_rows(name, record, labels))
            likely.update(label for label, score in zip(labels, record['scores'], strict=True) if score >= lowest)
    return count, dict(likely)


def _image(number: int, record: dict) -> dict:
    keys = ('width', 'height', 'levels', 'sky_share', 'picture', 'sky_map', 'target_mask')
    return dict(id=number, file_name=record['frame'], **{key: record[key] for key in keys if key in record})


def _annotations(names: Sequence[str], get: Callable[[str], dict]) -> Iterator[dict]:
    """COCO results, which are annotations too: with an id, an area, and whether they lie in the predicted sky."""
    number = 0
    for image, name in enumerate(names, 1):
        record = get(name)
        in_sky = record['in_sky'] or [None] * len(record['boxes'])
        for result, sky in zip(coco_results(record, image), in_sky, strict=True):
            number += 1
            _, _, width, height = result['bbox']
            yield dict(result, id=number, area=width * height, iscrowd=0, in_sky=sky)


def _rows(name: str, record: dict, labels: Sequence[str]) -> Iterator[list]:
    in_sky = record['in_sky'] or [None] * len(record['boxes'])
    for box, score, sky, label in zip(record['boxes'], record['scores'], in_sky, labels, strict=True):
        yield [name, *(f'{round(side, 3):.10g}' for side in box), f'{score:.6f}', '' if sky is None else int(sky),
               label]


def _write_items(file: TextIO, items: Iterable[dict]) -> int:
    count = 0
    for count, item in enumerate(items, 1):
        file.write(f'{"," if count > 1 else ""}\n  {json.dumps(item, allow_nan=False)}')
    return count
