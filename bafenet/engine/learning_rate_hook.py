"""The learning rate in the log: the step size that is applied, d times lr under D-Adaptation and Prodigy."""
import resource
import sys
from typing import Any

import torch
from mmdet.registry import HOOKS
from mmengine.hooks import RuntimeInfoHook
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner


@HOOKS.register_module()
class EffectiveLRHook(RuntimeInfoHook):
    """mmengine's ``RuntimeInfoHook``, but ``lr`` is the step size that is really applied.

    D-Adaptation and Prodigy take steps of d · lr with their own estimate d, kept in the parameter groups.
    ``base_lr``, where mmengine logs it, stays the factor of the config. Without a GPU, whose memory mmengine logs,
    ``memory`` is the largest resident memory of the process so far, in MiB. Used instead of
    ``RuntimeInfoHook``: ``default_hooks = dict(runtime_info=dict(type='EffectiveLRHook'))``.
    """

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Write the iteration and the learning rates to the message hub."""
        runner.message_hub.update_info('iter', runner.iter)
        rates = {name: rate[0] for name, rate in runner.optim_wrapper.get_lr().items()}
        if isinstance(runner.optim_wrapper, OptimWrapper):
            rates['lr'] *= float(runner.optim_wrapper.optimizer.param_groups[0].get('d', 1.0))
        for name, rate in rates.items():
            runner.message_hub.update_scalar(f'train/{name}', rate)
        if not torch.cuda.is_available():
            runner.message_hub.update_scalar('train/memory', _peak_memory())


def _peak_memory() -> int:
    """Largest resident memory of this process so far, in MiB; Linux counts in KiB and macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (2**20 if sys.platform == 'darwin' else 2**10)
