"""Training a config, as ``tools/train.py`` does once its arguments are parsed."""
import os
from collections.abc import Sequence
from contextlib import nullcontext

import torch
from mmengine.dist import is_main_process
from mmengine.runner import Runner

from bafenet.errors import InputError, printable
from bafenet.fileio import owned, require_writable_folder

from .launch import require_environment
from .options import Settings
from .own_training import OwnTraining
from .prepare import TRAINING, allow_training_images_in, build_runner, prepare_config
from .provenance import Provenance
from .train_variants import scratch_settings, trainval_settings, unvalidated_settings


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
          data: str | None = None,
          weights: str | None = None,
          epochs: int | None = None,
          settings: Sequence[tuple[str, Settings]] = (),
          default_work_dir: str | None = None) -> None:
    """Train a config.

    Args:
        config: Config file.
        work_dir: Folder for checkpoints and logs; ``work_dirs/`` and the config's name where it is None, and behind it
            the devkit's name and what is given of ``weights`` (``_tuned``), ``scratch``, ``trainval`` and ``splits``.
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
        data: Devkit that is trained, validated and tested on instead of the config's data; a validation split that it
            lacks is drawn, a tenth of the training frames, by recording, and written into the work dir. Frames with
            target masks where the config reads these; see :func:`find_masks`.
        weights: Checkpoint to fine-tune: a file, a work dir whose best one is meant, or the name of weights that come
            with the package. The class layer is renewed where the classes differ.
        epochs: How many epochs; the schedule follows as a whole. None for the config's, or with ``weights`` by the
            number of frames.
        settings: What changes in the config before all this, as a table's row says; see :func:`load_config`.
        default_work_dir: Instead of ``work_dirs/`` and the config's name.

    Raises:
        InputError: Where the input is bad, or another process trains in this work dir.
    """
    if weights is not None and scratch:
        raise InputError(f'--from {printable(weights)} and --scratch: give one of them')
    require_environment(launcher)
    own = OwnTraining.of(data, weights, epochs, splits, trainval, cfg_options, launcher)
    variants: list[tuple[str, Settings]] = [
        *([('--scratch', scratch_settings)] if scratch else []),
        *([('--trainval', trainval_settings if data is None else unvalidated_settings)] if trainval else [])]
    suffix = own.suffix() + ''.join(f'_{name.removeprefix("--")}' for name, _ in variants) + (
        f'_{splits}' if splits else '')
    cfg = prepare_config(config, work_dir, cfg_options, launcher, TRAINING, seed, deterministic,
                         splits if data is None else None, [*settings, *own.settings(), *variants], default_work_dir,
                         suffix)
    if amp and torch.cuda.is_available():
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.loss_scale = 'dynamic'
    elif amp:
        cfg.optim_wrapper.type = 'BFloat16OptimWrapper'
    if auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            raise InputError(f'{config}: --auto-scale-lr needs auto_scale_lr.base_batch_size in the config')
        cfg.auto_scale_lr.enable = True
    has_latest = os.path.lexists(os.path.join(cfg.work_dir, 'last_checkpoint'))
    said = own.lines(cfg, resume if resume != 'auto' else cfg.work_dir if has_latest else None)
    if resume == 'auto' and weights is not None and not has_latest:
        said.append(f'nothing to resume in {printable(cfg.work_dir)}: a new run begins from {printable(weights)}')
        resume = None
    if resume:
        cfg.resume = True
        cfg.load_from = None if resume == 'auto' else resume
    allow_training_images_in(cfg, config, allow_training_images)
    require_writable_folder(cfg.work_dir, '--work-dir')
    said += own.check(cfg, config, resumes=bool(resume))
    is_first = is_first_process(launcher)
    with owned(cfg.work_dir) if is_first else nullcontext():
        if is_first:
            for line in (*own.prepare(cfg, resumes=bool(resume)), *said):
                print(line, flush=True)
        provenance = Provenance(cfg, config)
        runner = build_runner(cfg)
        # At once, for a run that does not end; again with its time.
        _note(runner, provenance, finished=False)
        runner.train()
        _note(runner, provenance, finished=True)


def _note(runner: Runner, provenance: Provenance, finished: bool) -> None:
    if is_main_process():
        provenance.write(runner.log_dir, finished=finished)


def is_first_process(launcher: str) -> bool:
    """Whether this is the only process, or the first of those that a launcher has started."""
    rank = {'pytorch': 'RANK', 'slurm': 'SLURM_PROCID', 'mpi': 'OMPI_COMM_WORLD_RANK'}.get(launcher)
    return rank is None or os.environ.get(rank, '0') == '0'
