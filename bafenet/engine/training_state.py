"""Resuming: check that state and settings of optimizer and schedulers in a checkpoint fit those of the run."""
import copy
import inspect
import math
from collections import Counter
from types import NoneType
from typing import Any, NamedTuple

import torch
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner

from ..arguments import shown
from ..compat.checkpoint_fields import ANOTHER
from ..errors import InputError, printable


class TrainingState(NamedTuple):
    """What optimizer and schedulers are before a checkpoint is resumed, whose state PyTorch and mmengine hardly check.

    Attributes:
        groups: Settings of each parameter group, without the parameters.
        schedulers: State of each scheduler.
    """

    groups: list[dict[str, Any]]
    schedulers: list[dict[str, Any]]

    @classmethod
    def of(cls, runner: Runner) -> 'TrainingState':
        """The state of a runner; empty where its optimizer is not built, or there are several."""
        return cls([_settings(group) for group in _groups(runner)],
                   [copy.copy(vars(scheduler)) for scheduler in _schedulers(runner)])

    def require_same_kind(self, runner: Runner, source: str) -> None:
        """Check what came from a checkpoint.

        Args:
            runner: The runner that has resumed.
            source: The checkpoint, for the message.

        Raises:
            InputError: If a setting is of another type or not finite, or a tensor is of another shape than its weights.
        """
        where = f'checkpoint {printable(source)} cannot be resumed: its'
        for index, (group, expected) in enumerate(zip(_groups(runner), self.groups, strict=False)):
            _require_alike(f'{where} optimizer.param_groups.{index}', _settings(group), expected)
        for index, (scheduler, expected) in enumerate(zip(_schedulers(runner), self.schedulers, strict=False)):
            _require_alike(f'{where} param_schedulers.{index}', vars(scheduler), expected)
        if isinstance(runner.optim_wrapper, OptimWrapper):
            for weights, entry in runner.optim_wrapper.optimizer.state.items():
                _require_state(f'{where} optimizer.state', weights, entry)

    def require_same_schedule(self, runner: Runner, source: str, saved: int) -> None:
        """Refuse a schedule other than the checkpoint's, whose state would silently take its place.

        One that is over may differ, as a warm-up; it stays over, with a warning where the other is not. One whose end
        alone has moved, with the number of epochs, goes on to the new end.

        Args:
            runner: The runner that has resumed.
            source: The checkpoint, for the message.
            saved: How many schedulers the checkpoint holds.

        Raises:
            InputError: It names the first setting that differs.
        """
        schedulers = _schedulers(runner)
        differing = [f'{saved} param_scheduler and {len(schedulers)} here'] if saved != len(schedulers) else []
        kept = []
        for index, (scheduler, here) in enumerate(zip(schedulers, self.schedulers, strict=False)):
            there = vars(scheduler)
            found = [f'param_scheduler.{index}.{key}={_plain(there[key])}, and here {_plain(here[key])}'
                     for key in _shaping(scheduler) if key in there and there[key] != here.get(key)]
            kept += [index] if found else []
            if there['_global_step'] + 1 < there['end']:
                differing += found
            elif found and there['_global_step'] + 1 < here['end']:
                runner.logger.warning(f'{printable(source)} has {printable(found[0])}: the schedule of the checkpoint '
                                      'is over, and what it sets stays as it is')
        if differing:
            raise InputError(f'checkpoint {printable(source)} has {printable(differing[0])}: a schedule cannot be '
                             'changed half-way; resume with the one of before, or start a new run from its weights '
                             'with load_from alone')
        for index, (scheduler, here) in enumerate(zip(schedulers, self.schedulers, strict=True)):
            if index not in kept:
                _move_end(scheduler, here['end'])

    def keep_settings(self, runner: Runner) -> None:
        """Go on with the run's learning rate, the schedule's factor kept, and other settings of its optimizer.

        PyTorch loads the checkpoint's settings with its state.
        """
        schedulers = _schedulers(runner)
        scheduled = {'lr', *(scheduler.param_name for scheduler in schedulers)}
        if 'momentum' in scheduled:
            scheduled.add('betas')
        for index, (group, expected) in enumerate(zip(_groups(runner), self.groups, strict=False)):
            made_by = inspect.signature(type(runner.optim_wrapper.optimizer).__init__).parameters
            group.update({key: expected[key] for key in expected.keys() & made_by.keys() - scheduled})
            key = 'initial_lr' if 'initial_lr' in group.keys() & expected.keys() else 'lr'
            old, new = float(group[key]), float(expected[key])
            if old <= 0 or (schedulers and key == 'lr') or math.isclose(old, new, rel_tol=1e-9):
                continue
            for name in {key, 'lr'}:
                group[name] = group[name] * (new / old)
            for scheduler in schedulers:
                if scheduler.param_name == 'lr':
                    for values in (scheduler.base_values, scheduler._last_value):
                        values[index] = values[index] * (new / old)
            if index == 0:
                runner.logger.warning(f'The learning rate is {new:g} from here on, and was {old:g} in the checkpoint')


def _shaping(scheduler: Any) -> list[str]:
    """The settings of a scheduler that decide about its values, but for its end."""
    made_by = [vars(kind)['__init__'] for kind in type(scheduler).__mro__[:-1] if '__init__' in vars(kind)]
    names = {name for function in made_by for name in inspect.signature(function).parameters}
    # Some make their values of the end; these keep it as total_iters.
    return sorted((names | {'total_iters'}) - {'self', 'optimizer', 'last_step', 'verbose', 'end'})


def _move_end(scheduler: Any, end: int) -> None:
    """Let a scheduler that has resumed end elsewhere; steps that it has missed since its old end are made up."""
    old, scheduler.end = scheduler.end, end
    missed = min(scheduler._global_step + 1, end) - old
    if missed > 0:
        scheduler._global_step = old - 1
        for _ in range(missed):
            scheduler.step()


def _plain(value: Any) -> str:
    return shown(sorted(value.elements()) if isinstance(value, Counter) else value)


def _groups(runner: Runner) -> list[dict]:
    return runner.optim_wrapper.optimizer.param_groups if isinstance(runner.optim_wrapper, OptimWrapper) else []


def _schedulers(runner: Runner) -> list:
    return runner.param_schedulers if isinstance(runner.param_schedulers, list) else []


def _settings(group: dict) -> dict[str, Any]:
    return {key: value for key, value in group.items() if key != 'params'}


def _require_alike(where: str, found: dict[str, Any], expected: dict[str, Any]) -> None:
    for key in expected.keys() - found.keys():
        raise InputError(f'{where} lacks {printable(key)}; give the config that it was trained with, or {ANOTHER}')
    for key, value in found.items():
        # Optimizers add numbers of their own as they go.
        if not (_alike(value, expected[key]) if key in expected else _alike(value, 0.0)):
            raise InputError(f'{where}.{printable(key)} is {printable(repr(value))[:60]}; {ANOTHER}')


def _alike(value: Any, expected: Any) -> bool:
    """Whether a value could stand for another: both numbers, or of one type; a number has to be finite."""
    if isinstance(expected, str):
        return isinstance(value, str) and value == expected  # as the name of what a scheduler sets
    if isinstance(value, torch.Tensor):
        # D-Adaptation keeps some of its numbers as tensors once it has begun.
        is_number = expected is None or isinstance(expected, (int, float, torch.Tensor))
        return is_number and value.numel() == 1 and bool(torch.isfinite(value).all())
    if isinstance(expected, torch.Tensor):
        return isinstance(value, (int, float))
    if isinstance(expected, bool) or isinstance(value, bool):
        return isinstance(value, type(expected)) or expected is None
    if isinstance(expected, (int, float)):
        return isinstance(value, (int, float)) and (math.isfinite(value) or value == expected)
    if isinstance(expected, (list, tuple)):
        return isinstance(value, (list, tuple)) and all(_alike(item, expected[0]) for item in value if expected)
    return expected is None or isinstance(value, type(expected))


def _require_state(where: str, weights: torch.Tensor, entry: Any) -> None:
    if not isinstance(weights, torch.Tensor) or not isinstance(entry, dict):
        raise InputError(f'{where} is not of weights; {ANOTHER}')
    for key, value in entry.items():
        is_number = isinstance(value, (int, float, NoneType))
        is_good = _fits(value, weights) if isinstance(value, torch.Tensor) else is_number
        if not is_good:
            raise InputError(f'{where} has a {printable(key)} that is not of its weights\' shape, or not finite; '
                             f'{ANOTHER}')


def _fits(value: torch.Tensor, weights: torch.Tensor) -> bool:
    """Whether a tensor is finite and of the weights' shape, a number, or a part of them, as Prodigy keeps."""
    fits = value.shape == weights.shape or (value.dim() <= 1 and value.numel() <= weights.numel())
    return fits and bool(torch.isfinite(value).all())
