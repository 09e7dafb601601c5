"""Options of train.py that make a config another's: ``--data``, ``--from`` and ``--epochs``, applied and described."""
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from mmengine.config import Config

from bafenet.errors import InputError, printable

from .checkpoints import find_checkpoint
from .config_paths import setting
from .devkit_data import TRAIN, DevkitData, Part, data_settings, find_data
from .devkit_lists import data_lines, require_validation, write_lists
from .fine_tune import fine_tune_settings, require_same_network
from .launch import processes
from .mask_data import MaskData, find_masks, reads_masks
from .option_text import split_options
from .options import Settings
from .schedule import epochs_settings, frames_of, iterations_of_epoch
from .splits import WORK_DIR

_BATCH_SIZE, _EPOCHS = 'train_dataloader.batch_size', 'train_cfg.max_epochs'


@dataclass
class OwnTraining:
    """What the three options ask for.

    Attributes:
        root: The folder of ``--data``; None for the config's own data.
        weights: The checkpoint of ``--from``; None for none.
        epochs: ``--epochs``; None for the config's, or with ``weights`` by the number of frames.
        splits: ``--splits``.
        batch_size: Of ``--cfg-options``; None for the config's.
        launcher: Name of the launcher.
        cut_short: Whether ``--cfg-options`` sets the number of epochs alone, and the schedule stays.
        validates: Whether it validates, rather than train on all (``--trainval``).
        data: What was found in ``root``, once a config has said what it reads: a devkit, or frames with target masks.
    """

    root: str | None
    weights: str | None
    epochs: int | None
    splits: str | None
    batch_size: int | None
    launcher: str
    cut_short: bool
    validates: bool
    data: DevkitData | MaskData | None = None

    @classmethod
    def of(cls, data: str | None, weights: str | None, epochs: int | None, splits: str | None, trainval: bool,
           cfg_options: Sequence[str] | None, launcher: str) -> 'OwnTraining':
        """Find what the options name.

        Raises:
            InputError: If they name nothing, or what cannot be used.
        """
        given = split_options(list(cfg_options or []))
        if epochs is not None and _EPOCHS in given:
            raise InputError(f'--epochs {epochs} and --cfg-options {_EPOCHS}={given[_EPOCHS].text}: give one of them')
        batch_size = given[_BATCH_SIZE].value if _BATCH_SIZE in given else None
        return cls(data, None if weights is None else find_checkpoint(weights), epochs, splits,
                   batch_size if isinstance(batch_size, int) and batch_size > 0 else None, launcher,
                   _EPOCHS in given and not any(key.split('.')[0] == 'param_scheduler' for key in given), not trainval)

    def settings(self) -> list[tuple[str, Settings]]:
        """What :func:`load_config` takes, in this order."""
        steps: list[tuple[str, Settings]] = []
        if self.root is not None:
            steps.append(('--data', partial(self._read_data, root=self.root)))
        if self.weights is not None:
            steps.append(('--from', self._fine_tune))
        elif self.epochs is not None:
            steps.append(('--epochs', self._set_epochs))
        return steps

    def _read_data(self, cfg: Config, root: str) -> dict[str, Any]:
        if reads_masks(cfg, TRAIN):
            self.data = find_masks(cfg, root, self.splits, validates=self.validates)
            return self.data.settings(cfg)
        self.data = find_data(root, self.splits, validates=self.validates)
        return data_settings(cfg, self.data)

    def _set_epochs(self, cfg: Config) -> dict[str, Any]:
        assert self.epochs is not None
        return epochs_settings(cfg, self.epochs, self.iterations(cfg))

    def _fine_tune(self, cfg: Config) -> dict[str, Any]:
        iterations = self.iterations(cfg)
        if iterations is None and self.epochs is None:
            raise InputError('--from: how many frames this config trains on is not known, for no one list that is here '
                             'names them; give --epochs N, or the devkit by --data')
        return fine_tune_settings(cfg, str(self.weights), iterations or 1, self.epochs)

    def frames(self, cfg: Config) -> int | None:
        """Frames that are trained on; of a list that is still to be drawn about how many."""
        if self.data is None:
            return frames_of(cfg, self.splits)
        if isinstance(self.data, MaskData):
            return self.data.parts[TRAIN].frames
        names = self.data.parts[TRAIN].names
        return len(names) if names is not None else max(round(0.9 * len(self.data.drawn_from or ())), 1)

    def iterations(self, cfg: Config) -> int | None:
        """Iterations of an epoch; None where the number of frames is not known."""
        frames = self.frames(cfg)
        return None if frames is None else iterations_of_epoch(cfg, frames, self.batch_size, processes(self.launcher))

    def suffix(self) -> str:
        """What the name of a default work dir ends in."""
        name = '' if self.root is None else os.path.basename(os.path.abspath(self.root)).replace(' ', '_')
        return (f'_{name}' if name else '') + ('_tuned' if self.weights is not None else '')

    def check(self, cfg: Config, config: str, resumes: bool) -> list[str]:
        """Refuse weights of another network; lines of what differs in other ways."""
        return require_same_network(cfg, config, self.weights) if self.weights is not None and not resumes else []

    def prepare(self, cfg: Config, resumes: bool) -> list[str]:
        """Write the lists that the devkit lacks into the work dir, which is this process's own; lines to print."""
        if self.data is None:
            return []
        if isinstance(self.data, MaskData):
            return self.data.lines()
        how = write_lists(self.data, cfg.work_dir, setting(cfg, 'randomness', 'seed') or 0, resumes)
        require_validation(self.data)
        return data_lines(self.data, how)

    def lines(self, cfg: Config, resumed: str | None = None) -> list[str]:
        """What of start and schedule was understood.

        Args:
            cfg: The config, all settings in it.
            resumed: The checkpoint that is resumed, or a work dir whose latest one is.
        """
        started = f'weights: {printable(self.weights)}' if self.weights is not None else None
        if resumed is not None:
            started = f'resumed: {printable(resumed)}'
        return [*([started] if started else []), *self._schedule_lines(cfg)]

    def _schedule_lines(self, cfg: Config) -> list[str]:
        if self.cut_short:
            return [f'warning: {_EPOCHS}={setting(cfg, "train_cfg", "max_epochs")} leaves learning rates, late windows '
                    'and validations as they were; --epochs N scales them too']
        if self.weights is None and self.epochs is None:
            return []
        epochs, iterations = setting(cfg, 'train_cfg', 'max_epochs'), self.iterations(cfg)
        length = f' of about {iterations} iterations, {epochs * iterations} in all' if iterations else ''
        interval = setting(cfg, 'train_cfg', 'val_interval')
        validated = f'; validated every {interval}' if cfg.get('val_dataloader') and interval else ''
        rate = setting(cfg, 'optim_wrapper', 'optimizer', 'lr')
        return [f'schedule: {epochs} epochs{length}{validated}' + (
            f'; learning rate {rate:g}' if rate is not None else '')]


def shown_settings(cfg: Config, root: str, splits: str | None) -> dict[str, Any]:
    """What of a config changes so that its training set is of other data, to look at it; nothing is drawn or written.

    Args:
        cfg: The config.
        root: Folder of a devkit, or of frames with target masks where the config reads these.
        splits: What stands behind ``train_``; None to look for it.

    Raises:
        InputError: As :func:`find_data` and :func:`data_settings`, or :func:`find_masks`.
    """
    if reads_masks(cfg, TRAIN):
        masks = find_masks(cfg, root, splits)
        masks.parts = {TRAIN: masks.parts[TRAIN]}
        return masks.settings(cfg)
    data = find_data(root, splits)
    train = data.parts[TRAIN]
    if train.file.startswith(WORK_DIR):
        train = Part(data.drawn_from_file, data.drawn_from or train.names)
    data.parts = {TRAIN: train}
    return data_settings(cfg, data)
