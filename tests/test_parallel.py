"""The map over processes: order, errors, interrupts, and workers that never outlive their parent; real processes."""
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from conftest import ROOT

from bafenet.errors import InputError
from bafenet.parallel import parallel_map

# A parent whose workers write down who they are and then take their time.
PARENT = '''
import os, sys, time
from pathlib import Path
from bafenet.parallel import parallel_map

def work(item):
    Path(sys.argv[1], str(os.getpid())).touch()
    time.sleep(float(sys.argv[2]))
    return item

if __name__ == '__main__':
    try:
        print(list(parallel_map(work, range(200), 2)))
    except KeyboardInterrupt:
        print('interrupted', flush=True)
        sys.exit(130)
'''


def square(number):
    if number == 7:
        raise InputError('seven')
    return number**2


def end_or_wait(number):
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.05)
    return number


def note_and_wait(arguments):
    folder, number = arguments
    (folder / str(number)).touch()
    time.sleep(0.1)
    return number


def alive(pid):
    try:
        # A zombie has ended; it waits for its parent alone.
        return Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()[0] != 'Z'
    except OSError:
        return False


def eventually(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


@pytest.fixture
def parent(tmp_path):
    """A running parent and the folder where its workers note their ids; both workers are there."""
    processes = []

    def start(seconds):
        folder = tmp_path / 'workers'
        folder.mkdir()
        script = tmp_path / 'parent.py'
        script.write_text(PARENT)
        process = subprocess.Popen([sys.executable, str(script), str(folder), str(seconds)], text=True,
                                   env={**os.environ, 'PYTHONPATH': str(ROOT)}, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, start_new_session=True)
        processes.append(process)
        assert eventually(lambda: len(list(folder.iterdir())) == 2, 30)
        return process, [int(path.name) for path in folder.iterdir()]

    yield start
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.parametrize('workers', [1, 2, 5])
def test_results_come_in_order(workers):
    assert list(parallel_map(square, range(7), workers)) == [0, 1, 4, 9, 16, 25, 36]
    assert list(parallel_map(square, [], workers)) == []


@pytest.mark.parametrize('workers', [1, 2])
def test_an_error_of_a_worker_is_the_callers(workers):
    with pytest.raises(InputError, match='^seven$'):
        list(parallel_map(square, range(40), workers))


def test_a_killed_worker_is_one_line():
    with pytest.raises(InputError, match='worker process has died.*--workers') as error:
        list(parallel_map(end_or_wait, range(40), 2))
    assert '\n' not in str(error.value)


def test_what_has_not_begun_is_dropped_when_the_caller_stops(tmp_path):
    with closing(parallel_map(note_and_wait, [(tmp_path, number) for number in range(200)], 2)) as results:
        assert next(results) == 0
    assert len(list(tmp_path.iterdir())) < 20


@pytest.mark.parametrize('number', [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.faults
def test_workers_end_with_a_killed_parent(parent, number):
    process, workers = parent(60)
    assert all(map(alive, workers))
    process.send_signal(number)
    process.wait(10)
    assert eventually(lambda: not any(map(alive, workers))), workers


@pytest.mark.faults
def test_an_interrupt_is_the_parents_alone(parent):
    process, workers = parent(0.3)
    # As a terminal sends it: to all of them.
    os.killpg(process.pid, signal.SIGINT)
    out, error = process.communicate(timeout=10)
    assert (process.returncode, out, error) == (130, 'interrupted\n', '')
    assert not any(map(alive, workers))
