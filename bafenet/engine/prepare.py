"""Prepare a run: the config with the options of the command line, and its runner; for training and testing."""
import os
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from bafenet.errors import InputError, printable

from .launch import require_environment
from .options import Settings, load_config
from .splits import fill_work_dir
from .training_images import ALLOW

# What of a config a training and a test need.
TRAINING = ('train_dataloader.dataset', 'train_cfg', 'optim_wrapper')
TESTING = ('test_dataloader.dataset', 'test_cfg', 'test_evaluator')


def prepare_config(config: str,
                   work_dir: str | None,
                   cfg_options: list[str] | None,
                   launcher: str,
                   needs: Sequence[str] = TRAINING,
                   seed: int | None = None,
                   deterministic: bool = False,
                   splits: str | None = None,
                   settings: Sequence[tuple[str, Settings]] = (),
                   default_work_dir: str | None = None,
                   suffix: str = '') -> Config:
    """Read a config that has the settings ``needs``, and set what the command line says; see :func:`train`.

    Raises:
        InputError: Where the input is bad.
    """
    require_environment(launcher)
    cfg = load_config(config, cfg_options, ('model', *needs), settings, splits)
    cfg.launcher = launcher
    default_work_dir = default_work_dir or os.path.join('work_dirs', Path(config).stem)
    cfg.work_dir = work_dir or cfg.get('work_dir') or default_work_dir + suffix
    if cfg.work_dir != cfg.work_dir.encode('utf-8', 'replace').decode('utf-8'):
        raise InputError(f'--work-dir {printable(cfg.work_dir)}: the name is not UTF-8, and PyTorch writes no other; '
                         'give another folder')
    fill_work_dir(cfg, config)
    if seed is not None:
        if not 0 <= seed < 2**32:
            raise InputError(f'--seed {seed}: must be from 0 to 2**32 - 1')
        cfg.setdefault('randomness', {}).seed = seed
    if deterministic:
        # cuBLAS reads it when CUDA starts.
        os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')
        cfg.setdefault('randomness', {}).deterministic = True
    return cfg


def build_runner(cfg: Config) -> Runner:
    """The runner that the config names."""
    return RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)


def allow_training_images_in(cfg: Config, config: str, allow: bool) -> None:
    """Set that training images may be measured on, where ``allow`` says so.

    Raises:
        InputError: If the config has no hook that looks for them.
    """
    if allow and 'training_images' not in cfg.get('default_hooks', {}):
        raise InputError(f'{config}: {ALLOW} needs default_hooks.training_images of default_runtime.py in the config')
    if allow:
        cfg.default_hooks.training_images.allow = True
