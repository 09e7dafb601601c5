"""Two processes give what one gives; one that dies ends the job."""
import json
import os
import signal
import time
from pathlib import Path

import psutil
import pytest
import torch
from runs import CONFIG, options, parallel

from bafenet.engine import test, train

pytestmark = pytest.mark.faults
# Nothing that depends on how many samples a process sees at once, and steps that depend on gradients alone.
PLAIN = {
    'model.backbone.norm_eval': True, 'model.bbox_head.bottleneck': False,
    'model.bbox_head.norm_cfg.type': 'GN', 'model.bbox_head.norm_cfg.num_groups': 8,
    'optim_wrapper.optimizer.type': 'SGD', 'optim_wrapper.optimizer.lr': 0.01, 'train_cfg.max_epochs': 1,
    'train_dataloader.sampler.repeats': 1.5,
}


def finish(process, limit: float) -> str:
    out, error = process.communicate(timeout=limit)
    assert process.returncode == 0, out[-3000:] + error[-3000:]
    return error


def test_two_processes_train_as_one_and_test_as_one(devkit, tmp_path):
    """Twelve samples, four a step: three steps."""
    finish(parallel(2, 'train', CONFIG, '--work-dir', tmp_path / 'two', '--cfg-options',
                    *options(devkit, **PLAIN, **{'train_dataloader.batch_size': 2})), 200)
    train.train(CONFIG, work_dir=str(tmp_path / 'one'),
              cfg_options=options(devkit, **PLAIN, **{'train_dataloader.batch_size': 4}))
    one, two = (torch.load(tmp_path / run / 'epoch_1.pth', weights_only=True) for run in ('one', 'two'))
    assert one['meta']['iter'] == two['meta']['iter'] == 3
    start = torch.cat([value.flatten() for value in one['state_dict'].values() if value.is_floating_point()])
    assert start.isfinite().all()
    for name, value in one['state_dict'].items():
        torch.testing.assert_close(two['state_dict'][name], value, rtol=0, atol=1e-5, msg=name)

    checkpoint = tmp_path / 'one' / 'epoch_1.pth'
    finish(parallel(2, 'test', CONFIG, checkpoint, '--work-dir', tmp_path / 'a', '--out', tmp_path / 'two.json',
                    '--cfg-options', *options(devkit, **PLAIN)), 200)
    test.test(CONFIG, str(checkpoint), work_dir=str(tmp_path / 'b'), out=str(tmp_path / 'one.json'),
             cfg_options=options(devkit, **PLAIN))
    metrics = [json.loads((tmp_path / f'{name}.json').read_text())['metrics'] for name in ('one', 'two')]
    assert metrics[0] == pytest.approx(metrics[1])


def test_a_dead_process_ends_the_job(devkit, tmp_path):
    job = parallel(2, 'train', CONFIG, '--work-dir', tmp_path, '--cfg-options',
                   *options(devkit, **{'train_cfg.max_epochs': 2000, 'train_cfg.val_interval': 2000,
                                       'train_dataloader.batch_size': 2}))
    try:
        wait_for(tmp_path / 'epoch_1.pth', 120)
        workers = [child for child in psutil.Process(job.pid).children() if 'train.py' in ' '.join(child.cmdline())]
        assert len(workers) == 2
        os.kill(workers[1].pid, signal.SIGKILL)
        begin = time.monotonic()
        job.communicate(timeout=60)
        assert job.returncode != 0 and time.monotonic() - begin < 60
        assert not any(worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE for worker in workers)
    finally:
        job.kill()


def wait_for(file: Path, limit: float) -> None:
    end = time.monotonic() + limit
    while not file.exists():
        assert time.monotonic() < end, f'{file} did not come'
        time.sleep(0.2)
