"""Read what a run has left: configs, logs, results of tests, from a work dir or a results file."""
import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from bafenet.compat.config_text import MAX_TEXT, parse_config
from bafenet.engine.provenance import RUN_FILE
from bafenet.errors import InputError, printable
from bafenet.evaluation.results import check_metrics, check_provenance, read_results
from bafenet.fields import require_dict
from bafenet.reading import MAX_BYTES, parse_json, read_json, read_regular, reason_of
from bafenet.reproduction.stored import RESULT_FILE, SETTINGS_FILE, read_result, read_settings
from bafenet.visualization.curves import find_log, read_scalars
from bafenet_command import call_of

MAX_RUNS = 16
_MAX_FILES = 200  # JSON files of a work dir that are looked into
# Of a results file of boxes and of one of masks; and even where its end is lost.
_KINDS = (b'"gt_boxes"', b'"target_overlap"')
_MARKS = (*_KINDS, b'"checkpoint_sha256"')


@dataclass(frozen=True)
class Run:
    """A training, a test, or both.

    Attributes:
        label: Its name in the report, unlike any other's.
        folder: The work dir, empty for a results file alone.
        config_name: The name of its config, without ``.py``; empty where it is not known.
        config_text: The resolved config as text; None where there is none.
        config: The same as plain values, empty where there is none.
        row: The row of a table that it is a run of (``tools/reproduce.py``); empty for any other.
        scalars: The training log by name, float (n, 2), step and value; empty where there is none.
        trained: What the training has noted of itself (``run.json``); empty where there is none.
        results: A results file's content; empty where there is none.
        results_file: Its name.
        tested: Metrics of a test that wrote no results file; empty where there is none.
        notes: What is not there, and what would make it.
        damaged: A line for each file of the work dir that should hold results and cannot be read.
    """

    label: str
    folder: str = ''
    config_name: str = ''
    config_text: str | None = None
    config: dict[str, Any] = field(default_factory=dict)
    row: str = ''
    scalars: dict[str, np.ndarray] = field(default_factory=dict)
    trained: dict[str, Any] = field(default_factory=dict)
    results: dict[str, Any] = field(default_factory=dict)
    results_file: str = ''
    tested: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()

    @property
    def images(self) -> list[dict]:
        """What the results file says of each image."""
        return self.results.get('images', [])

    @property
    def metrics(self) -> dict[str, float]:
        """Metrics of the test, by key as an evaluator gives them."""
        return self.results.get('metrics', {}) or self.tested


def collect(places: Sequence[str], labels: Sequence[str] | None = None) -> list[Run]:
    """Read runs.

    Args:
        places: Work dirs of train.py or test.py, or files of ``tools/test.py --out``. A work dir with several results
            files is several runs.
        labels: Names of the places in the report; by default those of their folders or files.

    Raises:
        InputError: If a place holds no run, a file of it is spoiled, or there are too many. A results file of a work
            dir that cannot be read is no reason: the run's ``damaged`` names it.
    """
    if labels is not None and len(labels) != len(places):
        raise InputError(f'--labels: {len(labels)} for {len(places)} runs')
    names = list(labels) if labels is not None else _names_of(places)
    if len(set(names)) < len(names):
        raise InputError(f'--labels: {printable(", ".join(names))} are not all different; give each run a name of its '
                         'own')
    runs = [run for place, name in zip(places, names, strict=True) for run in _runs_of(place, name)]
    if len(runs) > MAX_RUNS:
        raise InputError(f'{len(runs)} runs: a report holds at most {MAX_RUNS}; give fewer work dirs or results files')
    return runs


def _names_of(places: Sequence[str]) -> list[str]:
    """The last part of each path; with those above it where two would be alike."""
    parts = [Path(os.path.abspath(place)).with_suffix('' if place.endswith('.json') else Path(place).suffix).parts
             for place in places]
    depth = 1
    while len({part[-depth:] for part in parts}) < len({*parts}) and depth < max(map(len, parts)):
        depth += 1
    return ['/'.join(part[-depth:]) for part in parts]


def _runs_of(place: str, name: str) -> Iterator[Run]:
    if not os.path.lexists(place):
        raise InputError(f'{printable(place)}: no such file or folder; give a work dir of {call_of("train")}, or a '
                         f'file of {call_of("test")} --out')
    if not os.path.isdir(place):
        yield _with_results(Run(name), place, read_results(place))
        return
    common, (files, damaged) = _of_work_dir(place, name), _read_results_files(Path(place))
    common = replace(common, damaged=damaged, notes=(*common.notes, *(f'Left out: {line}.' for line in damaged)))
    if not (common.config_text or common.scalars or common.tested or files):
        if damaged:
            raise InputError(damaged[0])
        raise InputError(f'{printable(place)}: no run here, neither a config nor a log nor results; give a work dir of '
                         f'{call_of("train")}, or a file of {call_of("test")} --out')
    for file, results in files.items():
        # All of one work dir have its training.
        label = name if len(files) == 1 else f'{name}: {file.relative_to(place).with_suffix("").as_posix()}'
        yield _with_results(replace(common, label=label), str(file), results)
    if not files:
        config = Path(place, f'{common.config_name or "CONFIG"}.py')
        command = shlex.join([*call_of('test').split(), str(config), place, '--out', str(Path(place, 'results.json'))])
        yield replace(common, notes=(
            *common.notes, f'There is no {"other " * bool(damaged)}results file with what was found in each frame, and '
            f'so no detection curves and no worst frames. This command makes one: {command}'))


# --- Of a work dir ----------------------------------------------------------------------------------------------------


def _of_work_dir(place: str, name: str) -> Run:
    """All but the results of tests."""
    folder, notes = Path(place), []
    logs = sorted(folder.glob('*/vis_data/scalars.json'))
    scalars = read_scalars(find_log(place)) if logs else {}
    if not logs:
        notes.append('There is no training log (scalars.json), and so no training curves.')
    record = _newest(folder.glob(f'*/{RUN_FILE}'))
    trained = _read_record(record) if record else {}
    # Of the training rather than of a test that was run here later.
    beside = (record or (logs[-1].parent if logs else folder)).parent / 'vis_data/config.py'
    own = sorted(file for file in folder.glob('*.py') if file.is_file())
    file = beside if beside.is_file() else _newest(own) or _newest(folder.glob('*/vis_data/config.py'))
    text = trained.get('resolved_config') or (_read_text(file) if file else None)
    named = Path(trained['config']).stem if trained.get('config') else own[0].stem if len(own) == 1 else ''
    stored = read_settings(folder) if os.path.lexists(folder / SETTINGS_FILE) else None
    done = read_result(folder) if os.path.lexists(folder / RESULT_FILE) else None
    if done and not trained:
        commits = [commit for commit in done['commits'] if commit != str(None)]
        trained = dict(commit=', '.join(commits) or None, environment=done['environment'], seed=done.get('seed'),
                       machine=str(done.get('machine') or ''))
    return Run(name, place, named, text, _plain(text, str(file)), (stored or {}).get('row') or '', scalars, trained,
               tested=_metrics_of_test(folder) or _metrics_of_row(done), notes=tuple(notes))


def _newest(files: Any) -> Path | None:
    """The last by name: the folders of a work dir are named by the time at which a run was started."""
    return max((file for file in files if file.is_file()), default=None)


def _read_record(file: Path) -> dict:
    """A ``run.json``, checked.

    Raises:
        InputError: If something else has written it.
    """
    what, remedy = f'the {RUN_FILE} of a run', 'delete it'
    record = read_json(file, what, remedy)
    try:
        check_provenance(require_dict(record, 'it'))
        if not isinstance(record.get('config', ''), str):
            raise InputError('config must be text')
        for key, value in require_dict(record.get('environment', {}), 'environment').items():
            if not isinstance(value, str):
                raise InputError(f'environment.{key} must be text')
    except InputError as error:
        raise InputError(f'{printable(file)}: not {what} ({error}); {remedy}') from None
    return record


def _read_text(file: Path) -> str:
    try:
        return read_regular(file, MAX_TEXT).decode('utf-8')
    except (OSError, ValueError) as error:
        raise InputError(f'{printable(file)}: the config cannot be read ({reason_of(error)}); delete it') from error


def _plain(text: str | None, source: str) -> dict:
    """The values of a config's text, nothing of which is executed; none where it is more than values."""
    try:
        return parse_config(text, printable(source)).to_dict() if text else {}
    except InputError:
        return {}  # a config of a user's own may be code; its text is shown as it is


def _metrics_of_test(folder: Path) -> dict[str, float]:
    """What mmengine has written of the newest test, where it is there: ``TIME/TIME.json``."""
    for file in sorted(folder.glob('*/*.json'), reverse=True):
        if file.stem == file.parent.name:
            try:
                content = read_json(file)
                metrics = {key: value for key, value in content.items() if '/' in key}
                check_metrics(metrics, 'metrics')
            except (InputError, AttributeError):
                continue
            if metrics:
                return metrics
    return {}


def _metrics_of_row(done: dict | None) -> dict[str, float]:
    """Metrics of the first test of a row of a table (``tools/reproduce.py``), where it is finished."""
    return next((test['metrics'] for test in (done or {}).get('tests', {}).values()), {})


# --- Results of tests -------------------------------------------------------------------------------------------------


def _read_results_files(folder: Path) -> tuple[dict[Path, dict], tuple[str, ...]]:
    """What the files of ``tools/test.py --out`` in a work dir hold, and a line for each that is damaged."""
    files, damaged = {}, []
    for file in _results_files(folder):
        try:
            files[file] = read_results(str(file))
        except InputError as error:
            damaged.append(printable(error))
    return files, tuple(damaged)


def _results_files(folder: Path) -> Iterator[Path]:
    """The files in a work dir or one folder below it that hold results, or should, by their name or content."""
    files = sorted({*folder.glob('*.json'), *folder.glob('*/*.json')})
    for file in [file for file in files if file.is_file()][:_MAX_FILES]:
        # A cheap look first: most JSON files of a work dir are small, and none of these.
        try:
            data = read_regular(file, MAX_BYTES)
        except (OSError, ValueError):
            data = b''
        whole = all(key in data for key in (b'"images"', b'"metrics"')) and any(kind in data for kind in _KINDS)
        if file.match('results*.json') or whole or (any(key in data for key in _MARKS) and not _is_json(data)):
            yield file


def _is_json(data: bytes) -> bool:
    try:
        parse_json(data)
    except ValueError:
        return False
    return True


def _with_results(run: Run, file: str, results: dict) -> Run:
    images = results.get('images', [])
    if images and not any('gt_boxes' in image for image in images):
        run = replace(run, notes=(*run.notes, 'No worst frames: results of target masks say how many targets were '
                                  f'missed and not where; {call_of("test")} --show-dir draws all frames.'))
    text = run.config_text or results.get('resolved_config')
    name = run.config_name or Path(results.get('config') or '').stem
    return replace(run, results=results, results_file=Path(file).name, config_text=text,
                   config=run.config or _plain(text, file), config_name=name)
