"""Sets written image by image, on which the same call goes on after a break: settings, finished images, summary.

The settings are written first, a line for each image once all of its files are there, and the summary last: it is the
sign that the set is complete.
"""
import json
import os
import zlib
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import InputError, printable
from ..fileio import LOCK_FILE, write_text
from ..parallel import map_with_progress
from ..reading import parse_json, read_bytes, read_json

MAX_RECORDS_BYTES = 2**28
MAX_DIFFERENCES = 20


class SetKind(NamedTuple):
    """A kind of set.

    Attributes:
        name: What messages call it, as ``densified set``.
        settings: Name of the JSON file of its settings and summary.
        records: Name of the file of lines, one an image that is done.
        counts: The numbers of its summary.
    """

    name: str
    settings: str
    records: str
    counts: tuple[str, ...]


def digest(count: int, *data: str | bytes) -> str:
    """A number of items and a checksum of what they are, for the settings of a set; names end with a slash in it."""
    parts = (part.encode() + b'/' if isinstance(part, str) else part for part in data)
    return f'{count} (CRC {zlib.crc32(b"".join(parts)):08x})'


def is_count(value: Any) -> bool:
    """Whether a value is a whole number of at least 0, and no truth value."""
    return type(value) is int and value >= 0


def read_present(out: Path, kind: SetKind, sources: Sequence[Path] = ()) -> dict:
    """What the settings' file in ``out`` holds, ``settings`` and, of a complete set, ``summary``; empty for nothing.

    Raises:
        InputError: If anything else is there, or ``out`` lies in one of the sources.
    """
    for source in sources:
        if out.is_relative_to(source.resolve()):
            raise InputError(f'{printable(out)}: lies in the source {printable(source)}, which is never written to; '
                             'choose another folder')
    # A process that was killed at once leaves no more than its lock.
    if not out.exists() or (out.is_dir() and {path.name for path in out.iterdir()} <= {LOCK_FILE}):
        return {}
    try:
        present = read_json(out / kind.settings)
    except InputError:
        present = None
    if not isinstance(present, dict) or not isinstance(present.get('settings'), dict):
        raise InputError(f'{printable(out)}: exists and is not a {kind.name}; it is left as it is, choose another '
                         'folder')
    summary = present.get('summary', dict.fromkeys(kind.counts, 0))
    if not isinstance(summary, dict) or set(summary) != set(kind.counts) or not all(map(is_count, summary.values())):
        raise InputError(f'{printable(out / kind.settings)}: its summary is not that of a {kind.name}; delete the '
                         'folder, or choose another one')
    return present


def refuse_links(out: Path, kind: SetKind) -> None:
    """Refuse a set with links in it: what is written to them would lie elsewhere, and replace what is there.

    Raises:
        InputError: If it has one.
    """
    for folder, folders, files in os.walk(out):
        link = next((name for name in folders + files if os.path.islink(os.path.join(folder, name))), None)
        if link is not None:
            raise InputError(f'{printable(os.path.join(folder, link))}: is a link, which a {kind.name} has not; '
                             'remove it, or choose another folder')


def check_settings(out: Path, present: dict, settings: dict, defaults: dict | None = None) -> None:
    """Refuse to go on with other settings than those that a set was begun with.

    Args:
        out: The set.
        present: What :func:`read_present` gives of it.
        settings: Those of now, as they come back from JSON.
        defaults: Settings on which a set of an earlier release may be silent, with the values that it was made with.

    Raises:
        InputError: It names those that differ, with both values.
    """
    begun = {**(defaults or {}), **present.get('settings', settings)}
    differ = [f'{_short(key)} {_short(begun.get(key))} there, {_short(settings.get(key))} now'
              for key in {**settings, **begun} if begun.get(key) != settings.get(key)]
    if differ:
        more = '; …' if len(differ) > MAX_DIFFERENCES else ''
        raise InputError(f'{printable(out)}: was begun with other settings ({"; ".join(differ[:MAX_DIFFERENCES])}'
                         f'{more}); repeat those, or choose another folder')


def _short(value: Any) -> str:
    text = printable(value)
    return text if len(text) <= 60 else f'{text[:60]}…'


def read_records(out: Path, kind: SetKind, is_record: Callable[[Any], bool],
                 files_of: Callable[[Path, dict], Sequence[Path]]) -> dict[str, dict]:
    """The records of the images written so far, by name, as far as all of their files are still there.

    Args:
        out: The set.
        kind: Its kind.
        is_record: Whether a value is the record of an image of the set; one has the image's name as ``image``.
        files_of: The files of a record.

    Raises:
        InputError: If a line is not such a record.
    """
    path = out / kind.records
    records: dict[str, dict] = {}
    if not path.exists():
        return records
    # What comes after the last end of a line was not finished.
    lines = read_bytes(path, MAX_RECORDS_BYTES).split(b'\n')[:-1]
    for number, line in enumerate(lines, 1):
        try:
            record = parse_json(line)
        except ValueError:
            record = None
        if not is_record(record):
            raise InputError(f'{printable(path)}: line {number} is no record of an image of this set; delete the line, '
                             'and the image is made again')
        if all(file.is_file() for file in files_of(out, record)):
            records[record['image']] = record
    return records


def write_images(out: Path, kind: SetKind, settings: dict, records: dict[str, dict], task: Callable[[Any], dict],
                 jobs: Sequence[Any], workers: int, folders: Sequence[str], label: str) -> None:
    """Write the images that are left, each with its record, into ``out``, which this process owns.

    Args:
        out: The set.
        kind: Its kind.
        settings: Its settings.
        records: Those of the images that are there; gets the others.
        task: Writes the files of a job and gives its record; goes to the worker processes.
        jobs: What is left.
        workers: Processes.
        folders: The set's folders, created where they are missing.
        label: What goes before the progress bar.
    """
    # First, so that whatever else is found here later is known as ours.
    write_settings(out, kind, {'settings': settings})
    for folder in folders:
        (out / folder).mkdir(parents=True, exist_ok=True)
    # Without the line that a killed process may have left unfinished.
    write_text(out / kind.records, ''.join(map(_json_line, records.values())))
    made = map_with_progress(task, jobs, workers, label, done=len(records))
    with open(out / kind.records, 'a', encoding='utf-8') as file, closing(made):
        for record in made:
            file.write(_json_line(record))
            file.flush()
            records[record['image']] = record


def write_settings(out: Path, kind: SetKind, content: dict) -> None:
    """Write the settings' file of a set, with whatever belongs into it beside ``settings``."""
    write_text(out / kind.settings, json.dumps(content, indent=2) + '\n')


def _json_line(record: dict) -> str:
    return json.dumps(record) + '\n'
