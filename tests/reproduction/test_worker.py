"""One run: where a stopped one goes on, which checkpoints are tested, and the process that does it."""
import functools
import os
import re
import signal
import stat
import sys
import threading
import time

import pytest

from bafenet.errors import InputError
from bafenet.fileio import owned
from bafenet.reproduction import worker
from bafenet.reproduction.columns import table_columns
from bafenet.reproduction.stored import latest_checkpoint, read_failure
from bafenet.reproduction.worker import best_checkpoints, launch, work
from bafenet_command import Terminated, one_line_errors

# As columns.evaluators_of gives them.
TRUE = dict(DenseSIRSTMetric={})
LEGACY = dict(DenseSIRSTMetric=dict(legacy_coordinates=True))

# --- Where a run goes on ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(('files', 'expected'), [
    ([], None),
    (['.epoch_1.pth'], None),  # half written
    (['epoch_x.pth', 'epoch_.pth', 'epoch_1.pth.pth', 'my_epoch_3.pth', 'epoch_1_2.pth'], None),  # none of ours
    (['epoch_9.pth', 'epoch_10.pth', 'best_densesirst_mAP_12_epoch_11.pth'], 'epoch_10.pth'),
])
def test_a_run_goes_on_from_its_latest_checkpoint(tmp_path, files, expected):
    for name in files:
        (tmp_path / name).touch()
    assert latest_checkpoint(tmp_path) == (expected and tmp_path / expected)


def test_the_best_checkpoints(tmp_path):
    for name in ('mAP_07_legacy_epoch_3', 'mAP_07_legacy_epoch_12', 'mAP_12_legacy_epoch_9'):
        (tmp_path / f'best_densesirst_{name}.pth').touch()
    keys = ['densesirst/mAP_07_legacy', 'densesirst/mAP_12_legacy']
    found = best_checkpoints(tmp_path, keys)
    assert [found[key].name for key in keys] == ['best_densesirst_mAP_07_legacy_epoch_12.pth',
                                                 'best_densesirst_mAP_12_legacy_epoch_9.pth']
    for absent in ('densesirst/mAP_12', ['densesirst/mAP_07_legacy', 'densesirst/f1'], None):
        with pytest.raises(InputError, match='no best checkpoint'):
            best_checkpoints(tmp_path, absent)


def test_under_the_papers_protocol_each_year_has_its_own_checkpoint():
    metrics = dict(zip(('mAP_07', 'mAP_12', 'recall'), range(3), strict=True))
    tests = {f'densesirst/{best}_legacy': dict(
        metrics={f'densesirst/{key}_legacy': value + shift for key, value in metrics.items()})
        for best, shift in (('mAP_12', 0.25), ('mAP_07', 0.5))}
    assert table_columns(tests, LEGACY) == dict(mAP_07=0.5, recall_07=2.5, mAP_12=1.25, recall_12=2.25)


def test_under_ours_one_checkpoint_gives_both_years():
    tests = {'densesirst/mAP_12': dict(
        metrics={'densesirst/mAP_07': 0.1, 'densesirst/mAP_12': 0.2, 'densesirst/recall': 0.3})}
    assert table_columns(tests, TRUE) == dict(mAP_07=0.1, recall_07=0.3, mAP_12=0.2, recall_12=0.3)


# --- The process of a run ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(('script', 'message'), [
    ('kill -9 $$', 'ended by signal 9'), ('exit 7', 'ended with status 7'),
    ('echo what went wrong > $3/failure.txt; exit 2', '^what went wrong$')])
def test_the_end_of_a_process_is_told_in_one_line(tmp_path, monkeypatch, script, message):
    executable = tmp_path / 'python'
    executable.write_text(f'#!/bin/sh\n{script}\n')
    executable.chmod(executable.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, 'executable', str(executable))
    with pytest.raises(InputError, match=message):
        launch(tmp_path)
    assert re.search(message, read_failure(tmp_path))


def test_what_a_failed_process_says_is_one_printable_line(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, 'executable', '/bin/false')
    (tmp_path / 'failure.txt').write_bytes(b'a\x1b[31m\nb \xff')
    with pytest.raises(InputError) as caught:
        launch(tmp_path)
    assert str(caught.value).isprintable() and str(caught.value).startswith(r'a\x1b[31m b ')


@pytest.mark.parametrize(('number', 'error'), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
def test_an_interrupt_ends_the_process_of_a_run(tmp_path, monkeypatch, number, error):
    executable = tmp_path / 'python'
    # No shell: it would begin with a mask of its own.
    executable.write_text(f'#!{sys.executable}\nimport os, pathlib, shutil, time\nshutil.copyfile("/proc/self/status", '
                          f'"{tmp_path}/status")\npathlib.Path("{tmp_path}/pid").write_text(str(os.getpid()))\n'
                          'time.sleep(60)\n')
    executable.chmod(0o755)
    monkeypatch.setattr(sys, 'executable', str(executable))

    def interrupt():
        while not (tmp_path / 'pid').is_file() or not (tmp_path / 'pid').read_text():
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    threading.Thread(target=interrupt).start()
    start = time.monotonic()
    with pytest.raises(SystemExit) as caught, one_line_errors():
        try:
            launch(tmp_path)
        except BaseException as raised:
            assert isinstance(raised, error)
            raise
    assert caught.value.code == 128 + number and time.monotonic() - start < 20
    # Ctrl-C in a terminal goes to both, and is answered once.
    status = dict(line.split(':', 1) for line in (tmp_path / 'status').read_text().splitlines())
    blocked = int(status['SigBlk'], 16)
    assert blocked >> (signal.SIGINT - 1) & 1 and not blocked >> (signal.SIGTERM - 1) & 1
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / 'pid').read_text()), 0)


@pytest.mark.parametrize('content', [b'\xff', bytes(2**17), None])
def test_commits_that_no_run_has_noted_are_one_line(tmp_path, content):
    (tmp_path / 'settings.json').write_text('{"digest": "a", "settings": {}, "seed": 0}')
    (tmp_path / 'commits.txt').mkdir() if content is None else (tmp_path / 'commits.txt').write_bytes(content)
    with pytest.raises(InputError, match='commits.txt: not the commits of a run'):
        work(tmp_path)


def test_a_folder_without_a_run_is_one_line(tmp_path):
    with pytest.raises(InputError, match='there is no run here'):
        work(tmp_path)


def test_a_test_without_the_numbers_of_a_table_is_one_line():
    with pytest.raises(InputError, match='has no mAP_07_legacy, recall_legacy'):
        table_columns({'densesirst/mAP_12': dict(metrics={'densesirst/mAP_12': 0.5})}, LEGACY)


def test_two_processes_are_never_at_the_same_run(tmp_path, monkeypatch):
    monkeypatch.setattr(worker, 'owned', functools.partial(owned, timeout=0.2))
    with owned(tmp_path), pytest.raises(InputError, match='another process'):
        work(tmp_path)
