"""Configs and processes for the tests of faults: the demo's network on the tiny devkit."""
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONFIG = 'configs/demo/bafenet_r18_demo.py'


def options(devkit: Path, **more: object) -> list[str]:
    """``--cfg-options`` of a short run on a devkit."""
    settings: dict[str, object] = {
        'train_cfg.max_epochs': 2, 'train_cfg.val_interval': 1, 'model.test_cfg.score_thr': 0.001}
    for loader in ('train', 'val', 'test'):
        settings.update({f'{loader}_dataloader.{key}': value for key, value in {
            'num_workers': 0, 'persistent_workers': False, 'dataset.data_root': devkit}.items()})
    return [f'{key}={value}' for key, value in {**settings, **more}.items()]


def environment() -> dict[str, str]:
    """Of a child process that imports this checkout."""
    return {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}


def start(*args: object, **kwargs: object) -> subprocess.Popen:
    """Start a script of the repository; its outputs are captured as text."""
    return subprocess.Popen([sys.executable, *map(str, args)], cwd=ROOT, env=environment(), text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kwargs)


def parallel(processes: int, tool: str, *args: object) -> subprocess.Popen:
    """Start a tool in so many processes."""
    return start('-m', 'torch.distributed.run', f'--nproc_per_node={processes}', '--standalone', f'tools/{tool}.py',
                 *args, '--launcher', 'pytorch')
