"""Two trainings do not share a work dir; one that is stopped says how to go on, and goes on from there."""
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from runs import CONFIG, options, start

LONG = {'train_cfg.max_epochs': 500, 'train_cfg.val_interval': 500}


def train(devkit: Path, work_dir: Path, *args: str, **settings: object) -> subprocess.Popen:
    return start('tools/train.py', CONFIG, '--work-dir', work_dir, *args, '--cfg-options', *options(devkit, **settings))


def wait_for(file: Path, process: subprocess.Popen) -> None:
    end = time.monotonic() + 120
    while not file.exists():
        assert process.poll() is None and time.monotonic() < end, process.communicate()[1][-2000:]
        time.sleep(0.05)


@pytest.mark.faults
def test_a_second_training_in_the_same_work_dir_is_refused(devkit, tmp_path):
    first = train(devkit, tmp_path, **LONG)
    try:
        wait_for(tmp_path / 'epoch_1.pth', first)
        second = train(devkit, tmp_path, **LONG)
        _, error = second.communicate(timeout=120)
        assert second.returncode == 2
        assert 'another process is writing to this folder' in error.strip().splitlines()[-1]
        assert 'Traceback' not in error
        assert first.poll() is None
    finally:
        first.kill()
        first.communicate()


@pytest.mark.faults
@pytest.mark.parametrize(('number', 'status'), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize('workers', [0, 2])
def test_a_stopped_training_says_how_to_go_on(devkit, tmp_path, number, status, workers):
    settings = {**LONG, 'train_dataloader.num_workers': workers}
    process = train(devkit, tmp_path, **settings)
    wait_for(tmp_path / 'epoch_2.pth', process)
    process.send_signal(number)
    _, error = process.communicate(timeout=60)
    assert process.returncode == status
    assert 'Traceback' not in error
    assert '--resume' in error.strip().splitlines()[-1]

    done = torch.load((tmp_path / 'last_checkpoint').read_text(), weights_only=True)['meta']['epoch']
    resumed = train(devkit, tmp_path, '--resume', **{**settings, 'train_cfg.max_epochs': done + 1})
    _, error = resumed.communicate(timeout=120)
    assert resumed.returncode == 0, error[-2000:]
    assert (tmp_path / f'epoch_{done + 1}.pth').is_file()
    assert not [file.name for file in tmp_path.iterdir() if '-bafenet-' in file.name]


@pytest.mark.faults
@pytest.mark.parametrize('delay', [0.3, 1.1])
def test_a_killed_training_ends_bit_by_bit_where_a_whole_one_does(devkit, tmp_path, delay):
    settings = {'train_cfg.max_epochs': 4, 'train_cfg.val_interval': 2}
    whole = train(devkit, tmp_path / 'whole', **settings)
    assert whole.wait(200) == 0, whole.communicate()
    killed = train(devkit, tmp_path / 'killed', **settings)
    wait_for(tmp_path / 'killed' / 'epoch_1.pth', killed)
    time.sleep(delay)
    killed.kill()
    killed.communicate()
    resumed = train(devkit, tmp_path / 'killed', '--resume', **settings)
    _, error = resumed.communicate(timeout=200)
    assert resumed.returncode == 0, error[-2000:]
    ends = [torch.load(tmp_path / run / 'epoch_4.pth', weights_only=True)['state_dict'] for run in ('whole', 'killed')]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
