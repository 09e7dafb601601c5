"""Read what a run has left in its folder: settings, result, and the checkpoints of its epochs."""
import hashlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

from bafenet.errors import InputError, printable
from bafenet.evaluation.results import check_metrics
from bafenet.fields import require_dict, require_key, require_list, require_text, require_whole
from bafenet.reading import read_json, read_regular
from bafenet.renamed import with_new_names

CONFIG_FILE, SETTINGS_FILE, RESULT_FILE = 'config.py', 'settings.json', 'result.json'
FAILURE_FILE, MAX_NOTE = 'failure.txt', 2**16  # bytes
TESTS_FOLDER = 'tests'  # configs and results of a run that is tested several times


def read_settings(folder: Path) -> dict | None:
    """What ``Run.write_settings`` has written: ``digest``, ``row``, ``seed``, ``settings``; None where it has not.

    Renamed values have their new names, and the digest is of these; ``former_digest`` is the one that was written.

    Raises:
        InputError: If something else has written that file.
    """
    stored = _read(folder / SETTINGS_FILE, _check_settings)
    if stored is None:
        return None
    former, settings = stored['digest'], with_new_names(stored['settings'])
    digest = digest_of(settings) if former == digest_of(stored['settings']) else former
    return dict(stored, settings=settings, digest=digest, former_digest=former)


def read_result(folder: Path) -> dict | None:
    """What a finished run has written, or None.

    Raises:
        InputError: If something else has written that file.
    """
    result = _read(folder / RESULT_FILE, _check_result)
    stored = None if result is None else read_settings(folder)
    if result is not None and stored is not None and result['digest'] == stored['former_digest']:
        result['digest'] = stored['digest']
    return result


def read_failure(folder: Path) -> str:
    """Why the last try of a run failed, as one printable line; empty where it did not, or left nothing to read."""
    try:
        text = read_regular(folder / FAILURE_FILE, MAX_NOTE).decode('utf-8', errors='replace')
    except (OSError, ValueError):
        return ''
    return printable(' '.join(text.split()))


def digest_of(settings: dict) -> str:
    """Hash of what a result depends on, plain JSON values."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def _read(file: Path, check: Callable[[dict], None]) -> dict | None:
    """A JSON file of a run, with the fields that are read here, or None where there is none."""
    if not os.path.lexists(file):
        return None
    what, remedy = f'the {file.name} of a run', f'delete the folder {printable(file.parent)}'
    content = read_json(file, what, remedy)
    try:
        require_text(require_dict(content, 'it', ['digest'])['digest'], 'digest')
        check(content)
    except InputError as error:
        raise InputError(f'{printable(file)}: not {what} ({error}); {remedy}') from None
    return content


def _check_settings(stored: dict) -> None:
    settings = require_dict(require_dict(stored, 'it', ('settings', 'seed'))['settings'], 'settings')
    for name in require_dict(settings.get('tests', {}), 'settings.tests'):
        require_key(name, 'settings.tests')
    require_whole(stored['seed'], 'seed')


def _check_result(result: dict) -> None:
    require_dict(result, 'it', ('columns', 'commits', 'environment'))
    check_metrics(result['columns'], 'columns')
    for key, test in require_dict(result.get('tests', {}), 'tests').items():
        check_metrics(require_dict(test, f'tests.{key}', ['metrics'])['metrics'], f'tests.{key}.metrics')
    for i, commit in enumerate(require_list(result['commits'], 'commits')):
        require_text(commit, f'commits[{i}]')
    require_text(require_dict(result['environment'], 'environment', ['device'])['device'], 'environment.device')


def latest_checkpoint(folder: Path) -> Path | None:
    """The checkpoint of the last whole epoch, from which a run goes on; None before the first."""
    return max(files_of_epochs(folder, 'epoch'), key=epoch_of, default=None)


def files_of_epochs(folder: Path, name: str) -> list[Path]:
    """The checkpoints ``NAME_N.pth`` of a run, whatever else lies there."""
    pattern = re.compile(re.escape(name) + r'_[0-9]{1,9}\.pth')
    return [file for file in folder.glob('*.pth') if pattern.fullmatch(file.name) and file.is_file()]


def epoch_of(checkpoint: Path) -> int:
    """The epoch in the name of a checkpoint."""
    return int(checkpoint.stem.rsplit('_', 1)[-1])
