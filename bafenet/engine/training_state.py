"""Resuming: check that the state of optimizer and schedulers in a checkpoint fits those of the run."""
import copy
import math
from types import NoneType
from typing import Any, NamedTuple

import torch
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner

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
