"""What ``tools/train.py`` and ``tools/test.py`` do once their arguments are parsed."""
import hashlib
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import cv2
import mmcv
import mmdet
import mmengine
import torch
from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from bafenet.errors import InputError, printable
from bafenet.evaluation import DenseSIRSTMetric, print_metrics
from bafenet.fileio import owned, require_json_name, require_writable_folder, write_json
from bafenet_command import one_line_errors  # noqa: F401

from .checkpoints import find_checkpoint, local_file
from .launch import require_environment
from .options import Settings, load_config
from .splits import DEFAULT as DEFAULT_SPLITS
from .train_variants import scratch_settings, trainval_settings
from .training_images import ALLOW, TrainingImagesHook, split_settings

# What of a config a training and a test need.
TRAINING = ('train_dataloader.dataset', 'train_cfg', 'optim_wrapper')
TESTING = ('test_dataloader.dataset', 'test_cfg', 'test_evaluator')


def train(config: str,
          work_dir: str | None = None,
          amp: bool = False,
          resume: str | None = None,
          cfg_options: list[str] | None = None,
          launcher: str = 'none',
          auto_scale_lr: bool = False,
          seed: int | None = None,
          deterministic: bool = False,
          allow_training_images: bool = False,
          splits: str | None = None,
          trainval: bool = False,
          scratch: bool = False,
          settings: Sequence[tuple[str, Settings]] = (),
          name: str | None = None) -> None:
    """Train a config.

    Args:
        config: Config file.
        work_dir: Folder for checkpoints and logs; ``work_dirs/`` and ``name``, with what of ``scratch``, ``trainval``
            and ``splits`` is given behind it, where it is None.
        amp: Train in mixed precision: float16 under a scaled loss on a GPU, bfloat16 on a CPU.
        resume: Checkpoint to resume, or ``'auto'`` for the latest of the work dir.
        cfg_options: ``KEY=VALUE`` options.
        launcher: ``'none'`` or a distributed launcher, as mmengine names them.
        auto_scale_lr: Scale the learning rate with the batch size.
        seed: Seed of weights, order and augmentation.
        deterministic: Deterministic algorithms on CUDA too.
        allow_training_images: Validate on images that are trained on, with a warning.
        splits: The splits to train on, as ``'rec'``; see :func:`load_config`.
        trainval: Train on train and val together, without a validation, and so with no epoch picked.
        scratch: Train without pretrained weights, BatchNorm too.
        settings: What is set before all this; see :func:`load_config`.
        name: What is trained; the config's name where it is None.

    Raises:
        InputError: Where the input is bad, or another process trains in this work dir.
    """
    variants = [('--scratch', scratch_settings)] * scratch + [('--trainval', trainval_settings)] * trainval
    suffix = ''.join(f'_{name.removeprefix("--")}' for name, _ in variants) + (f'_{splits}' if splits else '')
    cfg = prepare_config(config, work_dir, cfg_options, launcher, seed, deterministic, splits=splits,
                         settings=[*settings, *variants], name=(name or Path(config).stem) + suffix)
    if amp and torch.cuda.is_available():
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.loss_scale = 'dynamic'
    elif amp:
        cfg.optim_wrapper.type = 'BFloat16OptimWrapper'
    if auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            raise InputError(f'{config}: --auto-scale-lr needs auto_scale_lr.base_batch_size in the config')
        cfg.auto_scale_lr.enable = True
    if resume:
        cfg.resume = True
        cfg.load_from = None if resume == 'auto' else resume
    _allow_training_images(cfg, config, allow_training_images)
    require_writable_folder(cfg.work_dir, '--work-dir')
    with owned(cfg.work_dir) if is_first_process(launcher) else nullcontext():
        build_runner(cfg).train()


def is_first_process(launcher: str) -> bool:
    """Whether this is the only process, or the first of those that a launcher has started."""
    rank = {'pytorch': 'RANK', 'slurm': 'SLURM_PROCID', 'mpi': 'OMPI_COMM_WORLD_RANK'}.get(launcher)
    return rank is None or os.environ.get(rank, '0') == '0'


def _allow_training_images(cfg: Config, config: str, allow: bool) -> None:
    if allow and 'training_images' not in cfg.get('default_hooks', {}):
        raise InputError(f'{config}: {ALLOW} needs default_hooks.training_images of default_runtime.py in the config')
    if allow:
        cfg.default_hooks.training_images.allow = True


def test(config: str,
         checkpoint: str,
         work_dir: str | None = None,
         out: str | None = None,
         show: bool = False,
         show_dir: str | None = None,
         wait_time: float = 2.0,
         cfg_options: list[str] | None = None,
         launcher: str = 'none',
         allow_training_images: bool = False,
         splits: str | None = None) -> dict:
    """Test a checkpoint on the test split and print a table.

    Args:
        config: Config file.
        checkpoint: Checkpoint file, the work dir whose best one is meant, or the name of weights that come with the
            package.
        work_dir: Folder for logs; ``work_dirs/`` and the config's name where it is None.
        out: JSON file for every metric and the detections of each image.
        show: Show each image in a window.
        show_dir: Write each image, with true and predicted boxes and the predicted sky, to this folder.
        wait_time: Seconds to show an image.
        cfg_options: ``KEY=VALUE`` options.
        launcher: ``'none'`` or a distributed launcher.
        allow_training_images: Test on images that the network was trained on; table and file then say so.
        splits: The splits to test on, as ``'rec'``; see :func:`load_config`.

    Returns:
        The metrics.

    Raises:
        InputError: Where the input is bad.
    """
    require_json_name(out)
    if show and sys.platform.startswith('linux') and not (os.environ.get('DISPLAY')
                                                          or os.environ.get('WAYLAND_DISPLAY')):
        raise InputError('--show: there is no display; write the pictures with --show-dir instead')
    cfg = prepare_config(config, work_dir, cfg_options, launcher, needs=TESTING, splits=splits)
    cfg.load_from, cfg.resume = find_checkpoint(checkpoint), False
    _allow_training_images(cfg, config, allow_training_images)
    require_writable_folder(cfg.work_dir, '--work-dir')
    require_writable_folder(show_dir, '--show-dir')
    if show or show_dir:
        # The hook joins a relative folder to itself once per image.
        cfg.default_hooks.visualization.update(
            draw=True, show=show, wait_time=wait_time, test_out_dir=show_dir and os.path.abspath(show_dir))
    runner = build_runner(cfg)
    metrics = runner.test()
    if is_main_process():
        trained_on = next((hook.tested for hook in runner.hooks if isinstance(hook, TrainingImagesHook)), None)
        # First: whoever reads the table may have left.
        if out:
            write_results(out, runner, metrics, config, trained_on)
        if cfg.get('splits', DEFAULT_SPLITS) != DEFAULT_SPLITS:
            print(f'splits: {cfg.splits}')
        print_metrics(metrics, trained_on or 0)
    return metrics


def prepare_config(config: str,
                   work_dir: str | None,
                   cfg_options: list[str] | None,
                   launcher: str,
                   seed: int | None = None,
                   deterministic: bool = False,
                   needs: Sequence[str] = TRAINING,
                   splits: str | None = None,
                   settings: Sequence[tuple[str, Settings]] = (),
                   name: str | None = None) -> Config:
    """Read a config that has the settings ``needs``, and set what the command line says; see :func:`train`.

    ``settings`` come before the options (:func:`load_config`); ``name`` is that of the work dir below
    ``work_dirs``, the config's where it is None.
    """
    require_environment(launcher)
    cfg = load_config(config, cfg_options, ('model', *needs), settings, splits)
    cfg.launcher = launcher
    cfg.work_dir = work_dir or cfg.get('work_dir') or os.path.join('work_dirs', name or Path(config).stem)
    if cfg.work_dir != cfg.work_dir.encode('utf-8', 'replace').decode('utf-8'):
        raise InputError(f'--work-dir {printable(cfg.work_dir)}: the name is not UTF-8, and PyTorch writes no other; '
                         'give another folder')
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


def write_results(out: str, runner: Runner, metrics: dict, config: str, trained_on: int | None = None) -> None:
    """Write every metric and the detections of each image as JSON, with what is needed to repeat the run.

    Where the place that was writable before the test no longer is, they are kept in the folder for temporary files.

    Raises:
        InputError: If they could not be written where they belong; it says where they are.
    """
    images = [metric.image_results for metric in runner.test_evaluator.metrics if isinstance(metric, DenseSIRSTMetric)]
    results = dict(
        config=config,
        checkpoint=runner.cfg.load_from,
        checkpoint_sha256=_sha256(runner.cfg.load_from),
        splits=runner.cfg.get('splits'),
        split=_split(runner.cfg.test_dataloader.dataset),
        training_images=trained_on,
        metrics=metrics,
        environment=environment(),
        images=images[0] if images else [])
    try:
        write_json(out, results)
    except OSError as error:
        refuge = Path(tempfile.mkdtemp(prefix='bafenet-'), Path(out).name)
        write_json(refuge, results)
        raise InputError(f'{out}: cannot be written ({error.strerror}); the results are in {refuge}') from error
    runner.logger.info(f'wrote {out}')


def _split(dataset: dict) -> str | None:
    """The split file of a dataset's settings; of several, all of them."""
    return ', '.join(part['ann_file'] for part in split_settings(dataset)) or None


def _sha256(checkpoint: str) -> str | None:
    try:
        return hashlib.sha256(local_file(checkpoint).read_bytes()).hexdigest()
    except InputError:
        # An address, and no file.
        return None


def environment() -> dict:
    """Versions and device that a number was measured with."""
    cuda = torch.cuda.is_available()
    return dict(
        python=platform.python_version(),
        torch=torch.__version__,
        mmengine=mmengine.__version__,
        mmcv=mmcv.__version__,
        mmdet=mmdet.__version__,
        opencv=cv2.__version__,
        device=torch.cuda.get_device_name() if cuda else f'cpu ({os.cpu_count()} cores, {platform.machine()})')
