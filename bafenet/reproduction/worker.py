"""One run in a process of its own: ``python -m bafenet.reproduction.worker FOLDER`` trains and tests what lies there.

It goes on where an earlier one was stopped, and stops when the process that started it ends.
"""
import os
import signal
import subprocess
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

from mmengine.config import Config

from bafenet.engine.config_paths import setting
from bafenet.engine.prepare import build_runner, prepare_config
from bafenet.engine.provenance import commit, environment, machine
from bafenet.engine.test import test
from bafenet.errors import InputError, printable
from bafenet.evaluation.results import read_results
from bafenet.fileio import owned, write_json, write_text
from bafenet.reading import read_regular, reason_of
from bafenet_command import Parser, call_of, describe

from .columns import BOXES, evaluators_of, table_columns
from .depends import METHOD
from .method_run import TEST, measure_method, method_columns
from .stored import (
    CONFIG_FILE,
    FAILURE_FILE,
    MAX_NOTE,
    RESULT_FILE,
    TESTS_FOLDER,
    epoch_of,
    files_of_epochs,
    latest_checkpoint,
    read_failure,
    read_settings,
)

COMMITS_FILE = 'commits.txt'
TRACEBACK = '--traceback'

# --- The process that starts it ---------------------------------------------------------------------------------------


def launch(folder: Path) -> None:
    """Do the run of a folder in a new process, whose output goes to the standard error.

    Raises:
        InputError: If it fails, with its reason.
    """
    # Threads that wait give way soon: a loader process beside them would otherwise slow a step several times.
    environment = {'GOMP_SPINCOUNT': '10000', **os.environ}
    # Ctrl-C goes to every process of a terminal: this one answers it, and ends the other, which inherits the mask.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        shown = [TRACEBACK] if Parser.shows_traceback else []
        process = subprocess.Popen([sys.executable, '-m', __name__, str(folder), *shown], stdin=subprocess.PIPE,
                                   stdout=2, env=environment)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    try:
        status = process.wait()
    finally:
        if process.stdin:
            process.stdin.close()
        process.terminate()  # it would take seconds to see, while it imports, that its input has ended
        process.wait()
    if status:
        reason = read_failure(folder)
        if not reason:  # a process that is killed, as for its memory, leaves none
            _note_failure(folder, reason := _how_it_ended(status))
        raise InputError(reason)


def _how_it_ended(status: int) -> str:
    return f'ended by signal {-status} (9: out of memory?)' if status < 0 else f'ended with status {status}'


# --- The process itself -----------------------------------------------------------------------------------------------


def main() -> int:
    """Do the run of the folder that the command line names; returns the exit status."""
    folder = Path(sys.argv[1])
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        work(folder)
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if TRACEBACK in sys.argv:
            traceback.print_exc()
        _note_failure(folder, describe(error))
        return 2 if isinstance(error, InputError) else 1
    return 0


def _note_failure(folder: Path, reason: str) -> None:
    """Leave the reason for the parent, which prints it; where the disk is full, print it here."""
    try:
        write_text(folder / FAILURE_FILE, reason)
    except OSError:
        print(f'error: {reason}', file=sys.stderr, flush=True)


def _end_with_parent() -> None:
    """Wait for the end of the standard input, which the parent holds open, then end at once."""
    while os.read(0, 1):
        pass
    os._exit(1)


def work(folder: Path) -> None:
    """Train, test, and write the result of a run; what of it is done already is not done again.

    Args:
        folder: Where the config and the settings of the run lie (``Run.write_settings``).

    Raises:
        InputError: If another process does this run, or where training or testing does.
    """
    with owned(folder):
        # The reason of an earlier failure.
        (folder / FAILURE_FILE).unlink(missing_ok=True)
        stored = read_settings(folder)
        if stored is None:
            raise InputError(f'{printable(folder)}: there is no run here; start it by {call_of("reproduce")}')
        _note_commit(folder)
        if METHOD in stored['settings'].get('config', {}):
            test, milliseconds = measure_method(Config.fromfile(folder / CONFIG_FILE))
            _write_result(folder, dict(digest=stored['digest'], seed=stored['seed'], columns=method_columns(test),
                                       ms=milliseconds), {TEST: test})
        else:
            _train_and_test(folder, stored)


def _train_and_test(folder: Path, stored: dict) -> None:
    """The run of a network."""
    config = str(folder / CONFIG_FILE)
    cfg = prepare_config(config, str(folder), None, 'none')
    evaluators, save_best = evaluators_of(cfg, config), setting(cfg, 'default_hooks', 'checkpoint', 'save_best')
    _train(folder, cfg)
    names = list(stored['settings'].get('tests', ()))
    tests = _tests(folder, best_checkpoints(folder, save_best), names)
    result = dict(digest=stored['digest'], seed=stored['seed'],
                  columns={} if names else table_columns(tests, evaluators))
    if BOXES.name in evaluators:
        result['legacy_coordinates'] = bool(evaluators[BOXES.name].get('legacy_coordinates', False))
    _write_result(folder, result, {
        key: dict(checkpoint=Path(test['checkpoint']).name, split=test['split'], metrics=test['metrics'])
        for key, test in tests.items()})
    # What is needed to go on; the best checkpoints stay.
    for file in [*files_of_epochs(folder, 'epoch'), folder / 'last_checkpoint']:
        file.unlink(missing_ok=True)


def _train(folder: Path, cfg: Config) -> None:
    checkpoint = latest_checkpoint(folder)
    if checkpoint:
        cfg.resume, cfg.load_from = True, str(checkpoint)
    build_runner(cfg).train()


def best_checkpoints(folder: Path, save_best: Any) -> dict[str, Path]:
    """The best checkpoint by each metric of ``save_best``.

    Two files by the same metric are there if the process was killed between writing one and removing its forerunner.

    Raises:
        InputError: If the config names no metric, or a checkpoint is absent.
    """
    keys = [save_best] if isinstance(save_best, str) else [key for key in save_best or () if isinstance(key, str)]
    found = {key: files_of_epochs(folder, f'best_{key.replace("/", "_")}_epoch') for key in keys}
    if not found or not all(found.values()):
        raise InputError(f'{printable(folder)}: there is no best checkpoint by {", ".join(keys) or "any metric"}; '
                         'default_hooks.checkpoint.save_best must name a metric, and the run must be whole')
    return {key: max(files, key=epoch_of) for key, files in found.items()}


def _tests(folder: Path, checkpoints: dict[str, Path], names: list[str]) -> dict[str, dict]:
    """The tests of a run: of each best checkpoint; or where tests have names, of the first one by name."""
    if not names:
        return {key: _test(folder / CONFIG_FILE, file, file.with_name(f'test_{file.stem}.json'))
                for key, file in checkpoints.items()}
    best = next(iter(checkpoints.values()))
    tests = folder / TESTS_FOLDER
    return {name: _test(tests / f'{name}.py', best, tests / f'{name}_{best.stem}.json') for name in names}


def _test(config: Path, checkpoint: Path, out: Path) -> dict:
    """What ``test.py --out`` writes about a checkpoint; it is tested unless that is done."""
    if not out.is_file():
        # The runner has put its own copy of the config, which says to resume, instead of ours.
        test(str(config), str(checkpoint), work_dir=str(out.parent), out=str(out), cfg_options=['resume=False'])
    return read_results(str(out), ('checkpoint', 'split', 'metrics'))


def _write_result(folder: Path, result: dict, tests: dict[str, dict]) -> None:
    write_json(folder / RESULT_FILE, dict(
        **result,
        tests=tests,
        commits=_commits(folder),
        machine=machine(),
        environment=environment()))


def _note_commit(folder: Path) -> None:
    """Note the commit that goes on with a run, where it is not the one before."""
    commits = _commits(folder)
    if commits[-1:] != [str(commit())]:
        write_text(folder / COMMITS_FILE, '\n'.join([*commits, str(commit())]))


def _commits(folder: Path) -> list[str]:
    """The commits that have done a run, in order.

    Raises:
        InputError: If the file that says so is not one of ours.
    """
    file = folder / COMMITS_FILE
    try:
        return read_regular(file, MAX_NOTE).decode('utf-8').split('\n') if os.path.lexists(file) else []
    except (OSError, ValueError) as error:
        raise InputError(f'{printable(file)}: not the commits of a run ({reason_of(error)}); delete its '
                         'folder') from error


if __name__ == '__main__':
    sys.exit(main())
