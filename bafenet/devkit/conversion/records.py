"""Resume a conversion: its settings, and a line for each frame that is written, in the devkit itself."""
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ...arguments import shown
from ...errors import InputError, printable
from ...fileio import LOCK_FILE, write_json
from ...reading import parse_json, read_bytes, read_json
from .frame import Record, Task, files_of

SETTINGS_FILE, RECORDS_FILE = 'convert.json', 'convert_frames.jsonl'
WHAT = 'BAFE-Net conversion'
_MAX_BYTES = 2**28
_KEYS = {'name': str, 'key': str, 'file': str, 'stamp': list, 'size': list, 'bits': int, 'linked': bool, 'mask': bool,
         'sky': bool, 'classes': dict, 'sides': list, 'notes': list}


def require_own(out: Path, source: Path) -> None:
    """Refuse a folder to write that holds something else, or that lies in the source or around it.

    A source that is one file may have the folder beside it.

    Raises:
        InputError: If it does.
    """
    here, there = out.resolve(), source.resolve()
    if here.is_relative_to(there) or there.is_relative_to(here):
        raise InputError(f'{printable(out)}: lies in the source {printable(source)}, or around it; choose another '
                         'folder')
    if not os.path.lexists(out) or (out.is_dir() and {path.name for path in out.iterdir()} <= {LOCK_FILE}):
        return
    try:
        content = read_json(out / SETTINGS_FILE)
    except InputError:
        content = None
    if not isinstance(content, dict) or content.get('what') != WHAT or not isinstance(content.get('settings'), dict):
        raise InputError(f'{printable(out)}: exists and is no conversion; it is left as it is, choose another folder')
    for folder, folders, _ in os.walk(out):
        link = next((name for name in folders if os.path.islink(os.path.join(folder, name))), None)
        if link is not None:
            raise InputError(f'{printable(os.path.join(folder, link))}: is a link to a folder, which a conversion has '
                             'not; remove it, or choose another folder')


def require_apart(out: Path, folder: Path | None) -> None:
    """Refuse a folder to write that lies in one of labels, masks or lists, where the next call would find it.

    Raises:
        InputError: If it does.
    """
    if folder is not None and out.resolve().is_relative_to(folder.resolve()):
        raise InputError(f'{printable(out)}: lies in {printable(folder)}, which is read; choose another folder')


def agree(out: Path, settings: dict[str, Any]) -> None:
    """Note the settings of a conversion that begins; refuse to go on with others.

    Raises:
        InputError: If it was begun with others.
    """
    settings = json.loads(json.dumps(settings))
    if (out / SETTINGS_FILE).exists():
        begun = read_json(out / SETTINGS_FILE)['settings']
        for key in {**settings, **begun}:
            if begun.get(key) != settings.get(key):
                raise InputError(f'{printable(out)}: was begun with other settings ({printable(key)}='
                                 f'{shown(begun.get(key))}, and now {shown(settings.get(key))}); repeat those, choose '
                                 'another folder, or delete this one')
    write_json(out / SETTINGS_FILE, dict(what=WHAT, settings=settings))


def read_records(out: Path, tasks: Sequence[Task]) -> dict[str, Record]:
    """Records of frames that are written, whose sources have not changed since, by name."""
    path, records = out / RECORDS_FILE, {}
    if not path.exists():
        return {}
    # What comes after the last end of a line was not finished.
    by_name = {task.name: task for task in tasks}
    for line in read_bytes(path, _MAX_BYTES).split(b'\n')[:-1]:
        try:
            record = parse_json(line)
        except ValueError:
            continue
        if not isinstance(record, dict) or not all(isinstance(record.get(key), kind) for key, kind in _KEYS.items()):
            continue
        task = by_name.get(record['name'])
        if task is not None and task.frame.key == record['key'] and _is_current(out, task, record):
            records[record['name']] = record
    return records


def _is_current(out: Path, task: Task, record: Record) -> bool:
    try:
        return task.stamp() == record['stamp'] and all(path.is_file() for path in files_of(out, record))
    except InputError:
        return False


def lines_of(records: Iterable[Record]) -> str:
    """Records as lines."""
    return ''.join(json.dumps(record, allow_nan=False) + '\n' for record in records)
