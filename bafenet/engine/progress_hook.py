"""The progress bar while testing and validating."""
import sys
from collections.abc import Sequence
from typing import Any

from mmdet.registry import HOOKS
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import DataLoader
from tqdm.contrib.logging import tqdm_logging_redirect


@HOOKS.register_module()
class TestProgressHook(Hook):
    """Progress bar with rate and remaining time while testing and validating.

    Shown by the first process alone, and only where the standard error is a terminal.

    Args:
        disable: Whether to show none at all.
    """

    def __init__(self, disable: bool = False) -> None:
        self._disable = disable
        self._context: Any | None = None
        self._bar: Any | None = None

    def before_val_epoch(self, runner: Runner) -> None:
        """Open the bar."""
        self._open(runner, runner.val_dataloader, 'validating')

    def before_test_epoch(self, runner: Runner) -> None:
        """Open the bar."""
        self._open(runner, runner.test_dataloader, 'testing')

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Count the images of a batch."""
        self._advance(outputs)

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Count the images of a batch."""
        self._advance(outputs)

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Close the bar."""
        self._close()

    def after_test_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Close the bar."""
        self._close()

    def _open(self, runner: Runner, dataloader: DataLoader, what: str) -> None:
        if self._disable or not is_main_process() or not sys.stderr.isatty():
            return
        sampler: Any = dataloader.sampler
        # Log lines are printed above the bar instead of through it.
        self._context = tqdm_logging_redirect(
            total=len(sampler), desc=what, unit='image', leave=False, loggers=[runner.logger])
        self._bar = self._context.__enter__()

    def _advance(self, outputs: Sequence) -> None:
        if self._bar is not None:
            self._bar.update(len(outputs))

    def _close(self) -> None:
        if self._context is not None:
            self._context.__exit__(None, None, None)
            self._context = self._bar = None
