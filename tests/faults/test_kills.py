"""A run that is killed at any file operation goes on from there, and ends bit by bit where a whole one does."""
import builtins
import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'engine'))
from toy_runs import checkpoint_hook, checkpoints_in, toy_runner, validation  # noqa: E402

EPOCHS = 3
RUN = {'epochs': EPOCHS, **checkpoint_hook(save_best='toy/error', rule='greater', max_keep_ckpts=2), **validation()}
DIED = 77


def in_a_process(function: Callable, *args) -> int:
    """Run a function in a child; returns its exit status."""
    process = multiprocessing.get_context('fork').Process(target=function, args=args)
    process.start()
    process.join(120)
    return process.exitcode


def train(folder: Path) -> None:
    toy_runner(folder, **RUN, resume=(folder / 'last_checkpoint').exists()).train()


class Operations:
    """Counts the operations on files that a run makes, and dies before the one of a number, or in its midst."""

    def __init__(self, die_at: int, folder: Path) -> None:
        self.left, self.die_at, self.folder = die_at, die_at, str(folder)

    def install(self) -> None:
        for name in ('replace', 'rename', 'remove', 'unlink', 'fsync'):
            setattr(os, name, self.counted(getattr(os, name)))
        Path.write_bytes, Path.write_text = (self.halved(getattr(Path, name)) for name in ('write_bytes', 'write_text'))
        builtins.open = self.counted(builtins.open, only_writing=True)

    def count(self) -> bool:
        self.left -= 1
        return self.left == 0

    def counted(self, function: Callable, only_writing: bool = False) -> Callable:

        def call(*args, **kwargs):
            mode = str(args[1] if len(args) > 1 else kwargs.get('mode', 'r'))
            ours = isinstance(args[0], int) or str(args[0]).startswith(self.folder)
            if ours and (not only_writing or set(mode) & set('wax')) and self.count():
                os._exit(DIED)
            return function(*args, **kwargs)

        return call

    def halved(self, function: Callable) -> Callable:

        def write(path, data, **kwargs):
            if self.count():
                function(path, data[:len(data) // 2], **kwargs)
                os._exit(DIED)
            return function(path, data, **kwargs)

        return write


def train_and_die(folder: Path, die_at: int) -> None:
    operations = Operations(die_at, folder)
    operations.install()
    train(folder)
    print(-operations.left, file=sys.__stderr__)


def end_of(folder: Path) -> dict:
    return torch.load(folder / f'epoch_{EPOCHS}.pth', weights_only=True)


@pytest.fixture(scope='module')
def whole(tmp_path_factory) -> Path:
    """A run that nothing has stopped."""
    folder = tmp_path_factory.mktemp('whole')
    assert in_a_process(train, folder) == 0
    return folder


def assert_ended_alike(folder: Path, whole: Path) -> None:
    assert checkpoints_in(folder) == checkpoints_in(whole)
    ends = [end_of(run) for run in (whole, folder)]
    for part in ('state_dict', ):
        assert all(torch.equal(ends[0][part][name], ends[1][part][name]) for name in ends[0][part])
    scores = [end['message_hub']['runtime_info']['best_score'] for end in ends]
    assert scores[0] == scores[1]
    assert not [path.name for path in folder.iterdir() if '-bafenet-' in path.name], 'leftovers'


def kill_and_resume(whole: Path, folder: Path, die_at: int) -> bool:
    """Returns whether the run died, and so whether there are more operations to die at."""
    status = in_a_process(train_and_die, folder, die_at)
    assert status in (0, DIED)
    # What is there is whole, whatever the moment.
    for file in folder.glob('[!.]*.pth'):
        torch.load(file, weights_only=True)
    from bafenet.fileio import owned
    with owned(folder):
        assert in_a_process(train, folder) == 0
    assert_ended_alike(folder, whole)
    return status == DIED


@pytest.mark.parametrize('die_at', [5, 17, 40])
def test_a_kill_at_some_file_operations(whole, tmp_path, die_at):
    assert kill_and_resume(whole, tmp_path / 'killed', die_at)


@pytest.mark.faults
def test_a_kill_at_every_file_operation(whole, tmp_path):
    die_at = 1
    while kill_and_resume(whole, tmp_path / f'killed_{die_at}', die_at):
        die_at += 1
    assert die_at > 40, 'the operations were not counted'


@pytest.mark.faults
@pytest.mark.parametrize('seed', range(6))
def test_sigkill_at_a_random_moment(whole, tmp_path, seed):
    folder = tmp_path / 'killed'
    process = multiprocessing.get_context('fork').Process(target=train, args=(folder, ))
    process.start()
    time.sleep(random.Random(seed).uniform(0.01, 0.6))
    os.kill(process.pid, signal.SIGKILL)
    process.join(10)
    from bafenet.fileio import owned
    with owned(folder):
        assert in_a_process(train, folder) == 0
    assert_ended_alike(folder, whole)
