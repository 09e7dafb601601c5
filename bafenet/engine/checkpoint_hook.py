"""The checkpoint hook: a run that is killed at any moment loses no checkpoint, and removes only its own."""
import operator
import os
import re
from collections.abc import Collection, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from mmdet.registry import HOOKS
from mmengine.dist import is_main_process
from mmengine.evaluator import BaseMetric
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from ..arguments import is_number
from ..errors import InputError, printable
from ..fileio import write_text

_OUTDATED = 'outdated_ckpts'
_START = 'score_at_start'
_VALIDATED = 'last_validated_epoch'  # in the message hub, which checkpoints hold; what starts with val is logged


def checkpoint_folder(hook: CheckpointHook, work_dir: str) -> str:
    """The folder that a run's checkpoint hook writes to, also before the run has begun."""
    if hook.out_dir in (None, work_dir):
        return work_dir
    return os.path.join(hook.out_dir, os.path.basename(work_dir.rstrip(os.sep)))


class _RemovesLater:
    """A storage backend that only notes which files it is told to remove, and never removes a folder."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self.removed: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def isdir(self, path: str) -> bool:
        return False

    def remove(self, path: str) -> None:
        self.removed.append(path)


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """mmengine's ``CheckpointHook``, but nothing is removed before its successor is written.

    A run killed at any moment finds in ``last_checkpoint`` the name of a whole file, and keeps either the
    previous best checkpoint or the new one. Resumed, it first validates the epoch of its checkpoint, unless the
    checkpoint was written after that.

    A run removes only what it wrote: of what a resumed checkpoint says about others, file names alone count, in the
    run's own folder, and only if the resumed checkpoint lies there too. A best checkpoint that is not there is
    forgotten with its score.

    Args:
        *args: Of ``CheckpointHook``.
        later_of_equals: Whether of two equally good validations the later one is the best. On a few frames many are
            perfect, and the first of them has not yet seen the end of the schedule.
        validate_start: Whether the weights that a run begins with are validated too, as epoch 0, and are the best until
            an epoch is better. The end of the run compares them.
        **kwargs: Likewise.

    Raises:
        InputError: if ``max_keep_ckpts`` is 0 or 1.
    """

    # A slash starts a metric's name after its prefix: FPPI_sky_recall90 is no recall.
    _default_greater_keys = [*CheckpointHook._default_greater_keys, '/recall', '/f1', '/sky_iou', '/AP_',
                             '/found_02']
    _default_less_keys = [*CheckpointHook._default_less_keys, '/FPPI', '/found_FPPI']
    file_backend: Any

    def __init__(self, *args: Any, later_of_equals: bool = False, validate_start: bool = False,
                 **kwargs: Any) -> None:
        self.validate_start = validate_start
        if later_of_equals:
            self.rule_map = {'greater': operator.ge, 'less': operator.le}
        super().__init__(*args, **kwargs)
        self._possible: set[str] = set()  # that the metrics of the validation may give
        if self.max_keep_ckpts in (0, 1):
            raise InputError(f'default_hooks.checkpoint.max_keep_ckpts={self.max_keep_ckpts} leaves no checkpoint to '
                             'fall back on: set it to 2 or more, or to -1 to keep all')

    def before_train(self, runner: Runner) -> None:
        """Take up a resumed run where its checkpoint was written: before the validation of its epoch, or after it."""
        if runner.val_loop is not None:
            self._require_metrics(runner.val_evaluator.metrics)
        outdated = self._forget_what_is_not_ours(runner)
        super().before_train(runner)
        if is_main_process():
            self._remove(outdated)
        if self._validation_is_due(runner):
            self.last_ckpt = runner.message_hub.get_info('last_ckpt')  # to be updated by a new best
            runner.logger.info(f'Epoch {runner.epoch} is validated before the run goes on')
            runner.val_loop.run()
        elif self.validate_start and runner.val_loop is not None and runner.iter == 0:
            runner.logger.info('The weights are validated as they are, as epoch 0')
            runner.val_loop.run()

    def after_train(self, runner: Runner) -> None:
        """Say what the training was good for."""
        super().after_train(runner)
        info = runner.message_hub.runtime_info
        key = next(iter(getattr(self, 'key_indicators', ())), None)
        before, best, name = info.get(_START), info.get('best_score'), Path(str(info.get('best_ckpt'))).stem
        if key is None or not is_number(best):
            return
        if is_number(before):
            runner.logger.info(f'{key} before the training: {before:.4f}; best: {best:.4f} ({printable(name)})')
            if name.endswith('_0'):
                runner.logger.warning('No epoch is better than the weights that the run began with: these stay the '
                                      'best checkpoint')
        if best == 0 and self.rules == ['greater']:
            runner.logger.warning(f'{key} of the best checkpoint is 0: no epoch has found anything that it counts; '
                                  'train longer, or look at the boxes')

    def _require_metrics(self, metrics: Sequence[BaseMetric]) -> None:
        """Refuse a ``save_best`` that no metric will give, as far as they say what they give."""
        if all(hasattr(metric, 'keys') for metric in metrics):
            self._possible = set().union(*(metric.keys() for metric in metrics))
            self._require_keys(self._possible)

    def _require_keys(self, given: Collection[str]) -> None:
        absent = [key for key in self.save_best or () if key != 'auto' and key not in given]
        if absent:
            raise InputError(f'default_hooks.checkpoint.save_best names {", ".join(absent)}, which the evaluation did '
                             f'not give: choose from {", ".join(sorted(given))}')

    def _forget_what_is_not_ours(self, runner: Runner) -> list[str]:
        """Take over what a resumed checkpoint says about other ones as far as they are this run's own files.

        Returns:
            Those that it had not yet removed.
        """
        info = runner.message_hub.runtime_info
        folder = checkpoint_folder(self, runner.work_dir)
        resumed = Path(runner._load_from or '') if runner._resume else None
        ours = resumed is not None and resumed.resolve().parent == Path(folder).resolve()
        kept = info.pop('keep_ckpt_ids', [])
        is_ids = isinstance(kept, list) and all(type(step) is int and step >= 0 for step in kept)
        info['keep_ckpt_ids'] = [step for step in kept if Path(folder, self.filename_tmpl.format(step)).is_file()
                                 ] if ours and is_ids else []
        info.pop('last_ckpt', None)
        if ours and resumed is not None:
            info['last_ckpt'] = os.path.join(folder, resumed.name)
        keys = getattr(self, 'key_indicators', ())
        for key in keys:
            suffix = f'_{key}' if len(keys) > 1 else ''
            best, score = info.pop(f'best_ckpt{suffix}', None), info.pop(f'best_score{suffix}', None)
            name = Path(best).name if isinstance(best, str) else ''
            if ours and self._names_best(name, key) and Path(folder, name).is_file() and is_number(score):
                info.update({f'best_ckpt{suffix}': os.path.join(folder, name), f'best_score{suffix}': score})
            elif best is not None or score is not None:
                runner.logger.warning(f'The best checkpoint so far, {printable(name) or "without a name"}, is not in '
                                      f'{folder}: its score is forgotten')
        outdated = info.pop(_OUTDATED, None)
        return [os.path.join(folder, name) for name in (outdated if ours and isinstance(outdated, list) else ())
                if self._names_step(name) or any(self._names_best(name, key) for key in keys)]

    def _names_step(self, name: Any, prefix: str = '') -> bool:
        """Whether a name is one that this hook gives to the checkpoint of an epoch or iteration."""
        step = re.escape(self.filename_tmpl).replace(re.escape('{}'), r'\d+')
        return isinstance(name, str) and re.fullmatch(prefix + step, name) is not None

    def _names_best(self, name: Any, key: str) -> bool:
        """Whether a name is one that this hook gives to the best checkpoint by a metric."""
        metric = r'[^/]+' if key == 'auto' else re.escape(key.replace('/', '_'))
        return self._names_step(name, f'best_{metric}_')

    @staticmethod
    def _validation_is_due(runner: Runner) -> bool:
        """Whether mmengine's loop would validate here, and the resumed checkpoint does not yet know the outcome."""
        loop, epoch = runner.train_loop, runner.epoch
        loop._decide_current_val_interval()
        due = epoch % loop.val_interval == 0 or epoch == loop.max_epochs
        return (runner.val_loop is not None and epoch >= max(loop.val_begin, 1) and due
                and runner.message_hub.get_info(_VALIDATED) != epoch)

    def after_val_epoch(self, runner: Runner, metrics: dict) -> None:
        """Note that the epoch is validated, then save the best checkpoints and, with one, the note."""
        runner.message_hub.update_info(_VALIDATED, runner.epoch)
        if self.validate_start and runner.iter == 0 and len(getattr(self, 'key_indicators', ())) == 1:
            runner.message_hub.update_info(_START, metrics.get(self.key_indicators[0]))
        super().after_val_epoch(runner, metrics)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Leave out the functions in the state of a scheduler (OneCycleLR): they are not read back, nor needed."""
        schedulers = checkpoint.get('param_schedulers', [])
        for state in chain(*schedulers.values()) if isinstance(schedulers, dict) else schedulers:
            for name in [name for name, value in state.items() if callable(value)]:
                del state[name]

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        """Save a checkpoint, then point ``last_checkpoint`` at it, then remove the outdated one."""
        outdated = self._note_step(runner, step)
        replaced = self.file_backend.removed if isinstance(self.file_backend, _RemovesLater) else []
        # For a run that is killed before it has removed them.
        runner.message_hub.update_info(_OUTDATED, [os.path.basename(path) for path in (*outdated, *replaced)])
        filename = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, filename)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            filename,
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args)
        if is_main_process():
            write_text(Path(runner.work_dir, 'last_checkpoint'), self.last_ckpt)
            self._remove(outdated)

    def _note_step(self, runner: Runner, step: int) -> list[str]:
        """Take ``step`` among the checkpoints to keep, and return the paths of those that it pushes out."""
        if self.max_keep_ckpts < 0 or step in self.keep_ckpt_ids:
            return []
        steps = [*self.keep_ckpt_ids, step]
        self.keep_ckpt_ids.append(step)  # a deque of bounded length
        runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        return [self.file_backend.join_path(self.out_dir, self.filename_tmpl.format(old))
                for old in steps[:-self.max_keep_ckpts]]

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        """Save the best checkpoint by each key of ``save_best``, then remove those that they replace.

        A metric that this epoch does not define, as precision where nothing was detected, makes none the best.
        """
        undefined = [key for key in self.save_best or () if key in self._possible and key not in metrics]
        if undefined:
            runner.logger.warning(f'{", ".join(undefined)} is not defined after epoch {runner.epoch}: no checkpoint is '
                                  'the best by it')
            metrics = {**metrics, **dict.fromkeys(undefined)}
        self._require_keys(metrics)
        backend = self.file_backend
        self.file_backend = _RemovesLater(backend)
        try:
            super()._save_best_checkpoint(runner, metrics)
            replaced = self.file_backend.removed
        finally:
            self.file_backend = backend
        self._remove(replaced)

    def _remove(self, paths: Sequence[str]) -> None:
        """Remove checkpoints of this run's folder, except those that bear the name of a current one."""
        best = getattr(self, 'best_ckpt_path_dict', {'': getattr(self, 'best_ckpt_path', None)})
        for path in set(paths) - {self.last_ckpt, *best.values()}:
            if os.path.dirname(path) == self.out_dir and self.file_backend.isfile(path):
                self.file_backend.remove(path)
