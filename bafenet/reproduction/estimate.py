"""How long runs will take, from a training step of each network on the data that it will see."""
import copy
import time
from typing import NamedTuple

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.optim import build_optim_wrapper

from ..engine.runner import DetectionRunner
from .depends import TEST_LOADERS
from .method_run import measure_method

LEFT_OUT = ('data loading where it is slower than the network, larger windows of late epochs, validation after the '
            'epochs, the test, checkpoints, and the start of each run')


class Estimate(NamedTuple):
    """Seconds of a training step, and the steps of an epoch; of a classical method of a frame, and the frames."""

    step: float
    steps_per_epoch: int

    def seconds(self, epochs: int) -> float:
        """Seconds of so many epochs."""
        return self.step * self.steps_per_epoch * epochs


def time_step(cfg: Config) -> Estimate:
    """Time a training step of a config: forward, backward and optimizer, after one that does not count.

    Args:
        cfg: The config of a run.
    """
    device = get_device()
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).to(device).train()
    optimizer = build_optim_wrapper(model, copy.deepcopy(cfg.optim_wrapper))
    loader = copy.deepcopy(cfg.train_dataloader)
    loader.update(num_workers=0, persistent_workers=False)
    loader = DetectionRunner.build_dataloader(loader, seed=0)
    batch = next(iter(loader))
    model.train_step(copy.deepcopy(batch), optimizer)
    start = _now(device)
    model.train_step(copy.deepcopy(batch), optimizer)
    return Estimate(_now(device) - start, len(loader))


def time_frame(cfg: Config, settings: dict) -> Estimate:
    """Time a classical method on one frame.

    Args:
        cfg: The config of its run.
        settings: Those of the run.
    """
    return Estimate(measure_method(cfg, limit=1)[1] / 1000, settings['data'][TEST_LOADERS[0]]['images'])


def _now(device: str) -> float:
    """The time, once what was asked of the device is done."""
    if device == 'cuda':
        torch.cuda.synchronize()
    return time.perf_counter()


def duration(seconds: float) -> str:
    """A time for people."""
    if seconds < 60:
        return f'{seconds:.0f} s'
    hours, minutes = divmod(round(seconds / 60), 60)
    return f'{hours} h {minutes:02d} min' if hours else f'{minutes} min'
