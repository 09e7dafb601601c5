"""Resuming ``densify``: the records of settings, finished images and summary that an interrupted run leaves."""
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from ..devkit.write import sample_files
from ..errors import InputError, printable
from ..fileio import LOCK_FILE
from ..reading import parse_json, read_bytes, read_json
from .recipe import ClusterRecipe

SETTINGS_FILE, RECORDS_FILE = 'densify.json', 'densify_images.jsonl'
MAX_RECORDS_BYTES = 2**28
MAX_DIFFERENCES = 20


class Summary(NamedTuple):
    """What a densified set holds.

    Attributes:
        images: Images.
        targets: Original targets.
        pasted: Targets pasted.
        without_room: Images into which nothing was pasted.
        colour: Images that had colours and have become grey.
        moved: Original boxes that were moved one pixel up and left, to where their mask is.
    """

    images: int
    targets: int
    pasted: int
    without_room: int
    colour: int
    moved: int


def read_present(out: Path, sources: Sequence[Path] = ()) -> dict:
    """What ``densify.json`` in ``out`` holds; empty where there is nothing yet, and an error where anything else is."""
    for source in sources:
        if out.is_relative_to(source.resolve()):
            raise InputError(f'{printable(out)}: lies in the source {printable(source)}, which is never written to; '
                             'choose another folder')
    # A process that was killed at once leaves no more than its lock.
    if not out.exists() or (out.is_dir() and {path.name for path in out.iterdir()} <= {LOCK_FILE}):
        return {}
    try:
        present = read_json(out / SETTINGS_FILE)
    except InputError:
        present = None
    if not isinstance(present, dict) or not isinstance(present.get('settings'), dict):
        raise InputError(f'{printable(out)}: exists and is not a densified set; it is left as it is, choose another '
                         'folder')
    summary = present.get('summary', Summary(*[0] * len(Summary._fields))._asdict())
    if not isinstance(summary, dict) or set(summary) != set(Summary._fields) \
            or not all(map(_is_count, summary.values())):
        raise InputError(f'{printable(out / SETTINGS_FILE)}: its summary is not that of a densified set; delete the '
                         'folder, or choose another one')
    return present


def refuse_links(out: Path) -> None:
    """Refuse a set with links in it: what is written to them would lie elsewhere, and replace what is there.

    Raises:
        InputError: If it has one.
    """
    for folder, folders, files in os.walk(out):
        link = next((name for name in folders + files if os.path.islink(os.path.join(folder, name))), None)
        if link is not None:
            raise InputError(f'{printable(os.path.join(folder, link))}: is a link, which a densified set has not; '
                             'remove it, or choose another folder')


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def check_settings(out: Path, present: dict, settings: dict) -> None:
    """Refuse to go on with other settings than those that a set was begun with."""
    # A set of an earlier release is silent about what its recipe did not have; as it would be in the file.
    begun = {**json.loads(json.dumps(asdict(ClusterRecipe()))), **present.get('settings', settings)}
    differ = [f'{_short(key)} {_short(begun.get(key))} there, {_short(settings.get(key))} now'
              for key in {**settings, **begun} if begun.get(key) != settings.get(key)]
    if differ:
        more = '; …' if len(differ) > MAX_DIFFERENCES else ''
        raise InputError(f'{printable(out)}: was begun with other settings ({"; ".join(differ[:MAX_DIFFERENCES])}'
                         f'{more}); repeat those, or choose another folder')


def _short(value: Any) -> str:
    text = printable(value)
    return text if len(text) <= 60 else f'{text[:60]}…'


def read_records(out: Path, names: list[str]) -> dict[str, dict]:
    """The images written so far, by name, as far as all of their files are still there.

    Raises:
        InputError: If a line is not such a record.
    """
    path, known = out / RECORDS_FILE, set(names)
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
        if not _is_record(record, known):
            raise InputError(f'{printable(path)}: line {number} is no record of an image of this set; delete the line, '
                             'and the image is made again')
        if all(file.is_file() for file in sample_files(out, record['image'])):
            records[record['image']] = record
    return records


def _is_record(record: Any, names: set) -> bool:
    counts = ('targets', 'pasted', 'moved')
    return (isinstance(record, dict) and record.keys() == {'image', 'colour', *counts}
            and isinstance(record['image'], str) and record['image'] in names
            and isinstance(record['colour'], bool) and all(_is_count(record[key]) for key in counts))
