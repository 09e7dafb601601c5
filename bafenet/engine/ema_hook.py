"""EMA: an exponential moving average of the weights, which is what is validated, saved and tested."""
from collections.abc import Mapping
from typing import Any

from mmdet.registry import HOOKS
from mmengine.dist import all_reduce_params, is_distributed
from mmengine.hooks import EMAHook
from mmengine.runner import BaseLoop, Runner
from mmengine.runner.checkpoint import weights_to_cpu

from ..arguments import is_number, require_choice, require_flags, require_whole, shown
from ..errors import InputError
from .start_average import StartAverage

MAX_BEGIN = 2**31
OWN_ARGUMENTS = {'ExponentialMovingAverage': ('momentum', ), 'MomentumAnnealingEMA': ('momentum', 'gamma'),
                 'StochasticWeightAverage': (), StartAverage.__name__: ('start_share', )}


# In mmdet's registry, and so before mmengine's own, by the name that configs know.
@HOOKS.register_module(name='EMAHook')
class WeightAverageHook(EMAHook):
    """mmengine's ``EMAHook``, for networks with batch normalisation, and with nothing of it outside of training.

    After each step the average of every weight moves towards the weight: ``average += momentum (weight - average)``.
    Validation sees the average; checkpoints hold it as ``state_dict``, so that whatever takes a checkpoint takes it,
    and the weights that training goes on from as ``ema_state_dict``.

    Unlike mmengine's, by default the statistics of batch normalisation are averaged as the weights are: those of the
    last weights do not fit the average. ``momentum`` is ten times as large: at 0.0002 an average begins to mean
    something after some 10,000 steps, which few trainings here have. A resumed run needs an average in its checkpoint
    that fits in full. Testing loads what was saved and averages nothing.

    Args:
        ema_type: ``'ExponentialMovingAverage'``; ``'MomentumAnnealingEMA'``, whose momentum falls from 1 to
            ``momentum`` as ``gamma / (gamma + step)``, so that the average spans about the last ``1 / gamma`` of the
            steps so far; ``'StochasticWeightAverage'``, the plain mean since it began; or ``'StartAverage'``, the mean
            of the weights and those that the training began with, for fine-tuning (:class:`StartAverage`).
        momentum: Share of the weight in each step, above 0 and below 1; of no effect on the plain means.
        gamma: Of ``'MomentumAnnealingEMA'`` alone.
        start_share: Of ``'StartAverage'`` alone: share of the start, from 0 to below 1.
        interval: Steps between two updates of the average.
        update_buffers: Average the statistics of batch normalisation too.
        begin_iter: Step from which it averages, from 0; until then it is the weights themselves.
        begin_epoch: The same as an epoch, from 1; one of the two is given.

    Raises:
        InputError: If an argument is out of range, or averaging would begin after the training's end.
    """

    # Before the hooks that copy or save the network, each of which is to see the average.
    priority = 'ABOVE_NORMAL'

    def __init__(self,
                 ema_type: str = 'ExponentialMovingAverage',
                 momentum: float = 0.002,
                 gamma: int = 10,
                 start_share: float = 0.4,
                 interval: int = 1,
                 update_buffers: bool = True,
                 begin_iter: int = 0,
                 begin_epoch: int = 0) -> None:
        if not is_number(momentum) or not 0 < momentum < 1:
            raise InputError(f'EMAHook: momentum={shown(momentum)} must be a number above 0 and below 1')
        if not is_number(start_share) or not 0 <= start_share < 1:
            raise InputError(f'EMAHook: start_share={shown(start_share)} must be a number from 0 to below 1')
        require_choice('EMAHook', tuple(OWN_ARGUMENTS), ema_type=ema_type)
        require_whole('EMAHook', 1, MAX_BEGIN, gamma=gamma, interval=interval)
        require_flags('EMAHook', update_buffers=update_buffers)
        require_whole('EMAHook', 0, MAX_BEGIN, begin_iter=begin_iter, begin_epoch=begin_epoch)
        if begin_iter and begin_epoch:
            raise InputError(f'EMAHook: begin_iter={begin_iter} and begin_epoch={begin_epoch} say two things; give one')
        given = dict(momentum=momentum, gamma=gamma, start_share=start_share)
        super().__init__(ema_type, strict_load=True, begin_iter=begin_iter, begin_epoch=begin_epoch, interval=interval,
                         update_buffers=update_buffers, **{name: given[name] for name in OWN_ARGUMENTS[ema_type]})
        self.ema_model: Any = None

    def before_run(self, runner: Runner) -> None:
        """Copy the network, where it will be trained; a test right after the training begins a run too."""
        if self.ema_model is None and isinstance(runner._train_loop, BaseLoop):
            super().before_run(runner)

    def before_train(self, runner: Runner) -> None:
        """Refuse to begin after the end; until the first step the average is what the training begins with."""
        for name, begin, last in (('begin_epoch', self.begin_epoch, runner.max_epochs),
                                  ('begin_iter', self.begin_iter, runner.max_iters)):
            if begin > last:
                raise InputError(f'EMAHook: {name}={begin} is after the end of the training, {last}: nothing would be '
                                 'averaged')
        if not runner._resume:
            self.ema_model.module.load_state_dict(self.src_model.state_dict())

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Take up the average of a resumed run; any other begins as the weights themselves, in its first step."""
        if self.ema_model is not None and runner._resume:
            super().after_load_checkpoint(runner, checkpoint)

    def after_train_epoch(self, runner: Runner) -> None:
        """Make the averaged statistics those of all processes, before they are validated or saved."""
        if is_distributed():
            all_reduce_params([buffer for buffer in self.ema_model.module.buffers() if buffer.is_floating_point()],
                              op='mean')

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Save the average as the weights, and the weights beside it; on the CPU, as the others are."""
        super().before_save_checkpoint(runner, checkpoint)
        for part in ('state_dict', 'ema_state_dict'):
            checkpoint[part] = weights_to_cpu(checkpoint[part])

    def before_val_epoch(self, runner: Runner) -> None:
        """Put the average in the place of the weights."""
        if self.ema_model is not None:
            super().before_val_epoch(runner)

    def after_val_epoch(self, runner: Runner, metrics: Mapping[str, float] | None = None) -> None:
        """Put the weights back."""
        if self.ema_model is not None:
            super().after_val_epoch(runner, metrics)

    # Before the test, and not its epoch: FuseHook tests a copy that it makes before.
    def before_test(self, runner: Runner) -> None:
        """Put the average in the place of the weights, where the network that is tested has just been trained."""
        self.before_val_epoch(runner)

    def after_test(self, runner: Runner) -> None:
        """Put the weights back."""
        self.after_val_epoch(runner)

    def before_test_epoch(self, runner: Runner) -> None:
        """Nothing more; see :meth:`before_test`."""

    def after_test_epoch(self, runner: Runner, metrics: Mapping[str, float] | None = None) -> None:
        """Nothing more; see :meth:`after_test`."""
