"""The runner: mmengine's, with mistakes answered in one line and several processes on a machine without a GPU."""
import datetime
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmdet.registry import RUNNERS
from mmengine.device import get_device
from mmengine.dist import is_distributed
from mmengine.hooks import CheckpointHook
from mmengine.logging import MMLogger
from mmengine.model import PretrainedInit, is_model_wrapper
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from mmengine.registry import RUNNERS as MMENGINE_RUNNERS
from mmengine.runner import CheckpointLoader, EpochBasedTrainLoop, Runner
from torch import nn
from torch.utils.data import DataLoader

from ..compat.checkpoint_fields import ANOTHER, check_training_state
from ..compat.checkpoint_loading import require_checkpoint
from ..compat.weights_fit import refuse_dropped_parts
from ..datasets import SeededVisits
from ..datasets.samplers import require_whole_sets
from ..errors import InputError, first_line, one_line, printable
from ..models.onnx_file import is_onnx
from ..models.onnx_network import OnnxNetwork
from .checkpoint_hook import checkpoint_folder
from .checkpoints import latest_checkpoint, load_weights
from .class_layer import fit_class_layer
from .console_log import keep_dumps_in_file
from .epoch_length import KEY as SCHEDULE
from .epoch_length import EpochLength, require_same_epochs
from .memory_format_hook import MemoryFormatHook
from .options import WORKERS_ALONE
from .pipeline_steps import without_steps
from .training_state import TrainingState

_FROM_SCRATCH = ('model.backbone.init_cfg=None model.backbone.norm_cfg.requires_grad=True '
                 'model.backbone.norm_eval=False')
# What a checkpoint must hold to be resumed.
_RESUMED = {'meta': ('epoch', 'iter'), 'message_hub': ('log_scalars', 'runtime_info', 'resumed_keys'), 'optimizer': ()}


@MMENGINE_RUNNERS.register_module()  # a runner is looked up before the scope of its config is in force
@RUNNERS.register_module()
class DetectionRunner(Runner):
    """mmengine's ``Runner``, with these differences.

    - Testing and resuming load a checkpoint strictly; fine-tuning (``load_from`` while training) does not, and
      logs what was not loaded.
    - Pretrained weights are not asked for where a checkpoint will be resumed; where they cannot be had the error
      says how to train without.
    - Several processes work without a GPU, by gloo.
    - Runs that one process starts within a second keep their logs apart.
    - What the optimizer does with each weight is logged at the level DEBUG.
    - Environment, config and the table of hooks go into the log file alone.

    Use it by ``runner_type = 'DetectionRunner'`` in a config. Takes the arguments of ``Runner``.

    Raises:
        InputError: in one line, for what a user can fix: a checkpoint that is missing, unreadable, or of another
            network; pretrained weights that cannot be had; mixed precision without a GPU.
    """

    _strict = True
    _resumed_at: int | None = None
    _loaded_meta: dict = {}
    _timestamps: set[str] = set()
    _timestamp: str
    _resume: bool
    _load_from: Any

    @classmethod
    def from_cfg(cls, cfg: Any) -> 'DetectionRunner':
        """Build a runner from a config, after a check that the checkpoint it names exists."""
        if cfg.get('load_from') is not None:
            require_checkpoint(cfg['load_from'])
        return super().from_cfg(cfg)

    # --- An ONNX file in place of a checkpoint ------------------------------------------------------------------------

    def build_model(self, model: Any) -> nn.Module:
        """Build the network; where the checkpoint is an ONNX file, the one in it."""
        if isinstance(model, dict) and is_onnx(self._load_from or ''):
            model = dict(type=OnnxNetwork.__name__, file=str(self._load_from), test_cfg=model.get('test_cfg'))
        return super().build_model(model)

    def build_test_loop(self, loop: Any) -> Any:
        """Build the loop that tests; an ONNX file resizes frames itself."""
        if isinstance(self._unwrapped_model, OnnxNetwork):
            self._test_dataloader: Any = without_steps(self._test_dataloader, 'Resize')
        return super().build_test_loop(loop)

    # --- Environment --------------------------------------------------------------------------------------------------

    def setup_env(self, env_cfg: dict) -> None:
        """Set up the environment; without a GPU, connect the processes of ``torchrun`` by gloo."""
        if self.launcher == 'pytorch' and get_device() == 'cpu' and not is_distributed():
            timeout = env_cfg.get('dist_cfg', {}).get('timeout', 1800)
            torch.distributed.init_process_group('gloo', timeout=datetime.timedelta(seconds=timeout))
        super().setup_env(env_cfg)
        # The name of a run, by which its logger and its log folder are found, ends in this.
        second, number = self._timestamp, 1
        while self._timestamp in self._timestamps:
            self._timestamp, number = f'{second}_{number}', number + 1
        self._timestamps.add(self._timestamp)

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """Build the logger; takes the arguments of ``Runner.build_logger``."""
        logger = super().build_logger(*args, **kwargs)
        keep_dumps_in_file(logger)
        return logger

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """Wrap the model for several processes, without device ids where there is no GPU.

        It gets its layout in memory first: DistributedDataParallel exchanges gradients in the order in which it finds
        the weights, and would mix them up if that changed.
        """
        if isinstance(model, OnnxNetwork):
            return model  # it has no weights to lay out or to share
        for hook in (self.cfg.get('default_hooks') or {}).values():
            if isinstance(hook, dict) and hook.get('type') == MemoryFormatHook.__name__:
                MemoryFormatHook(**{key: value for key, value in hook.items() if key == 'memory_format'}).lay_out(model)
        if self.distributed and get_device() == 'cpu' and not is_model_wrapper(model):
            model_wrapper_cfg = {
                'type': 'MMDistributedDataParallel',
                'broadcast_buffers': False,
                'find_unused_parameters': self.cfg.get('find_unused_parameters', False),
                **(model_wrapper_cfg or {}),
                'device_ids': None
            }
        return super().wrap_model(model_wrapper_cfg, model)

    def build_optim_wrapper(self, optim_wrapper: Any) -> OptimWrapper:
        """Build the optimizer; refuse mixed precision where there is no device for it.

        The line that mmengine logs for each weight with settings of its own is of the level DEBUG.
        """
        if isinstance(optim_wrapper, dict) and get_device() in ('cpu', 'mps'):
            wrapper_type = optim_wrapper.get('type')
            if isinstance(wrapper_type, str):
                wrapper_type = OPTIM_WRAPPERS.get(wrapper_type)
            if isinstance(wrapper_type, type) and issubclass(wrapper_type, AmpOptimWrapper):
                raise InputError('optim_wrapper.type=AmpOptimWrapper needs a GPU and there is none: set it to '
                                 'BFloat16OptimWrapper, or to OptimWrapper')
        self.logger.addFilter(_weight_lines_to_debug)
        try:
            return super().build_optim_wrapper(optim_wrapper)
        finally:
            self.logger.removeFilter(_weight_lines_to_debug)

    # --- Data ---------------------------------------------------------------------------------------------------------

    @staticmethod
    def build_dataloader(dataloader: Any, seed: int | None = None, diff_rank_seed: bool = False) -> DataLoader:
        """Build a loader; draws are seeded by the sampler's indices whatever wraps the datasets."""
        if isinstance(dataloader, dict) and isinstance(dataloader.get('dataset'), dict):
            dataloader = {**dataloader, 'dataset': SeededVisits.around(dataloader['dataset'])}
            if not dataloader.get('num_workers'):
                # PyTorch refuses them where there are none.
                dataloader = {key: value for key, value in dataloader.items() if key not in WORKERS_ALONE}
        loader = Runner.build_dataloader(dataloader, seed, diff_rank_seed)
        require_whole_sets(loader)
        return loader

    # --- Weights ------------------------------------------------------------------------------------------------------

    def train(self) -> nn.Module:
        """Train; a checkpoint to fine-tune from (``load_from`` without ``resume``) need not fit in full."""
        if isinstance(self._unwrapped_model, OnnxNetwork):
            raise InputError(f'{self._unwrapped_model.source} cannot be trained; give the checkpoint that it was made '
                             'of as load_from')
        self._strict = self._resume
        try:
            return super().train()
        except Exception:
            # What is in the optimizer's state is needed in the first step, and never looked at before.
            if self._resumed_at is None or self.iter > self._resumed_at:
                raise
            with _refused_state(str(self._load_from)):
                raise

    def _init_model_weights(self) -> None:
        """Initialise the network, without pretrained weights where a checkpoint will be resumed."""
        resumes = self._resume and (self._load_from or self._latest_checkpoint()) is not None
        for path, module, cfg in _pretrained(self._unwrapped_model):
            if resumes:
                module.init_cfg = None
            else:
                self.call_hook('after_load_pretrained', checkpoint=_require_pretrained(path, cfg['checkpoint']))
        super()._init_model_weights()

    @property
    def _unwrapped_model(self) -> nn.Module:
        return self.model.module if is_model_wrapper(self.model) else self.model

    def load_or_resume(self) -> None:
        """Load or resume a checkpoint; the latest of the work dir is looked for there alone."""
        if self._resume and self._load_from is None:
            self._load_from = self._latest_checkpoint()
            if self._load_from is None:
                self.logger.warning(f'There is no checkpoint to resume in {self.work_dir}: a new run begins')
                self._resume = False
        super().load_or_resume()

    def _latest_checkpoint(self) -> str | None:
        """The checkpoint that ``last_checkpoint`` names; a work dir may have been moved or copied since."""
        hook = next((hook for hook in self.hooks if isinstance(hook, CheckpointHook)), None)
        folders = [self.work_dir, *([checkpoint_folder(hook, self.work_dir)] if hook else [])]
        return latest_checkpoint(self.work_dir, list(dict.fromkeys(folders)))

    def resume(self, filename: str, *args: Any, **kwargs: Any) -> None:
        """Resume a run from a checkpoint.

        Raises:
            InputError: if it is as in :meth:`load_checkpoint`, the state in it is another's, or what counts iterations
                would go on elsewhere, as with another batch size.
        """
        expected = TrainingState.of(self)
        with _refused_state(filename):
            super().resume(filename, *args, **kwargs)
            expected.require_same_kind(self, filename)
        self._require_place_in_schedule(filename)
        require_same_epochs(self, self._loaded_meta, filename)
        expected.require_same_schedule(self, filename, self._loaded_schedulers)
        expected.keep_settings(self)
        self._resumed_at = self.iter

    def _require_place_in_schedule(self, filename: str) -> None:
        """Refuse a checkpoint from beyond the end of this training; say so where nothing is left to do."""
        loop = self.train_loop
        by_epoch = isinstance(loop, EpochBasedTrainLoop)
        done, last, unit = ((self.epoch, loop.max_epochs, 'epochs') if by_epoch
                            else (self.iter, loop.max_iters, 'iters'))
        if done > last:
            raise InputError(f'checkpoint {printable(filename)} is of {done} {unit}, and this training ends after '
                             f'{last}: set train_cfg.max_{unit} above {done}, or resume an earlier one')
        if done == last:
            self.logger.warning(f'Nothing is left to train: {printable(filename)} is of {done} {unit}, and '
                                f'train_cfg.max_{unit} is {last}')

    def save_checkpoint(self, *args: Any, meta: dict | None = None, **kwargs: Any) -> None:
        """Save a checkpoint, with the length of its epochs; takes the arguments of ``Runner.save_checkpoint``."""
        super().save_checkpoint(*args, meta={**(meta or {}), SCHEDULE: EpochLength.of(self).to_meta()}, **kwargs)

    def load_checkpoint(self, filename: str, map_location: Any = 'cpu', strict: bool | None = None) -> dict:
        """Load a checkpoint into the network.

        Args:
            filename: Path, or address with a scheme that mmengine knows (``https://``, ``torchvision://``).
            map_location: As for :func:`torch.load`.
            strict: Whether every weight must fit; by default True except when fine-tuning.

        Raises:
            InputError: if the file is unreadable, is no checkpoint of this network, or, when resuming, holds no
                optimizer state.
        """
        if isinstance(self._unwrapped_model, OnnxNetwork):
            self.call_hook('after_load_checkpoint', checkpoint=self._unwrapped_model.checkpoint)
            self._has_loaded = True
            return self._unwrapped_model.checkpoint
        checkpoint = CheckpointLoader.load_checkpoint(filename, map_location=map_location)
        if self._resume:
            _require_training_state(filename, checkpoint)
        self._loaded_meta = checkpoint.get('meta', {})
        self._loaded_schedulers = len(checkpoint.get('param_schedulers') or ())
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        names = {str(name).removeprefix('module.') for name in checkpoint.get('state_dict', checkpoint)}
        refuse_dropped_parts(names - self._unwrapped_model.state_dict().keys(), f'checkpoint {filename}')
        if not self._strict:
            checkpoint = self._fitted_to_classes(checkpoint)
        report = load_weights(self._unwrapped_model, checkpoint)
        strict = self._strict if strict is None else strict
        if report.loaded == 0 or (strict and not report.fits):
            raise InputError(f'checkpoint {printable(filename)} does not fit the network of the config, weights: '
                             f'{report.describe(examples=1)}; give the config that it was trained with')
        if not report.fits:
            self.logger.warning(f'Of {filename} {report.loaded} weights were loaded; not loaded: {report.describe()}')
        self._has_loaded = True
        self.logger.info(f'Load checkpoint from {filename}')
        return checkpoint

    def _fitted_to_classes(self, checkpoint: dict) -> dict:
        """A checkpoint to fine-tune from, its class layer made one of the classes that are trained on."""
        classes = (getattr(self.train_dataloader.dataset, 'metainfo', None) or {}).get('classes')
        fitted, said = fit_class_layer(checkpoint, classes) if classes else (checkpoint, None)
        if said:
            self.logger.info(said)
        return fitted


@contextmanager
def _refused_state(filename: str) -> Iterator[None]:
    """Turn what a bad state of optimizer, schedulers or histories provokes into one line."""
    try:
        yield
    except (InputError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # a crafted state can provoke any error
        raise InputError(f'checkpoint {printable(filename)} cannot be resumed ({type(error).__name__}: '
                         f'{first_line(error)}); {ANOTHER}') from error


def _weight_lines_to_debug(record: logging.LogRecord) -> bool:
    """A filter of a logger that loses nothing: a hundred lines, one a weight, would bury all others."""
    message = record.getMessage()
    if message.startswith('paramwise_options --') or ' is skipped since ' in message:
        record.levelno, record.levelname = logging.DEBUG, 'DEBUG'
    return True


def _pretrained(model: nn.Module) -> Iterator[tuple[str, Any, dict]]:
    """Yield path in the config, module and ``init_cfg`` of each module that asks for pretrained weights."""
    for name, module in model.named_modules():
        cfg = getattr(module, 'init_cfg', None)
        for part in cfg if isinstance(cfg, (list, tuple)) else [cfg]:
            if isinstance(part, dict) and part.get('type') in ('Pretrained', PretrainedInit):
                yield '.'.join(filter(None, ('model', name))), module, part


def _require_pretrained(path: str, checkpoint: str) -> dict:
    """The pretrained weights, downloaded if need be."""
    try:
        return CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu')
    except (InputError, OSError, KeyError) as error:
        reason = f'no weights of the name {error}' if isinstance(error, KeyError) else one_line(error)
        raise InputError(f'pretrained weights {checkpoint} of {path} cannot be had ({reason}): give a file by '
                         f'--cfg-options {path}.init_cfg.checkpoint=FILE, or train from scratch with --scratch or '
                         f'--cfg-options {_FROM_SCRATCH}') from error


def _require_training_state(filename: str | os.PathLike, checkpoint: dict) -> None:
    """Check that training can go on from a checkpoint; a best checkpoint, for one, holds weights alone."""
    absent = [key for key in _RESUMED if key not in checkpoint]
    absent += [f'{key}.{part}' for key, parts in _RESUMED.items() if key in checkpoint for part in parts
               if part not in checkpoint[key]]
    if absent:
        raise InputError(f'checkpoint {printable(filename)} cannot be resumed, it holds no {" and no ".join(absent)}: '
                         'resume from an epoch_N.pth or iter_N.pth, or start a new run from its weights with '
                         'load_from alone')
    check_training_state(checkpoint, f'checkpoint {printable(filename)}')
