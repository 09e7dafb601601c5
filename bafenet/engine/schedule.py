"""Length of a training (``--epochs``): learning rate, late windows and validations scaled to it as one whole."""
import math
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mmengine.config import Config

from bafenet.arguments import require_number, shown
from bafenet.devkit import find_split, read_split
from bafenet.errors import InputError

from .config_paths import setting
from .splits import DEFAULT, PLACEHOLDER

MAX_EPOCHS = 100_000
# The last phase of a schedule keeps an epoch of its own where there are so many.
_FEWEST_FOR_PHASES = 3
# A warm-up takes no more of all iterations than this, and one of a single iteration would never end (mmengine).
_WARM_UP_SHARE, _SHORTEST_WARM_UP = 0.1, 2
_WARM_UPS = ('LinearLR', 'ConstantLR', 'LinearParamScheduler', 'ConstantParamScheduler')
# Epochs, counted from 0, at which something in the data or a hook changes.
_MOMENTS = ('late_epoch', 'switch_epoch', 'begin_epoch', 'end_epoch')


def epochs_settings(cfg: Config, epochs: int, iterations: int | None = None) -> dict[str, Any]:
    """What of a config changes so that it trains for so many epochs, its schedule scaled as a whole.

    Where a phase begins or ends keeps its share of the training: of learning rates by epoch, of the windows of
    ``BalancedCrop`` (``late_epoch``) and of the validations. A warm-up by iterations takes at most a tenth of them. A
    phase that would last less than half an epoch is left out; the last one keeps an epoch from 3 epochs on.

    Args:
        cfg: The config.
        epochs: At least 1.
        iterations: Of an epoch; None where that is not known: a warm-up is then scaled like the epochs, and not made
            longer.

    Raises:
        InputError: If the config trains by iterations, or has a learning rate by iterations that is no warm-up.
    """
    require_number('--epochs', epochs, 1, MAX_EPOCHS, whole=True)
    scale = _scale(epochs_of(cfg, '--epochs'), epochs)
    settings: dict[str, Any] = {'train_cfg.max_epochs': epochs, **_validations(cfg, epochs, scale)}
    for part in ('train_dataloader', 'default_hooks', 'custom_hooks'):
        settings |= {key: scale(value) for key, value in _moments(cfg._cfg_dict.to_dict().get(part), part)}
    schedulers = scheduler_list(cfg)
    if schedulers:
        scaled = [_scaled(scheduler, scale, epochs, iterations, index) for index, scheduler in enumerate(schedulers)]
        settings['param_scheduler'] = [scheduler for scheduler in scaled if scheduler is not None] or None
    return settings


def epochs_of(cfg: Config, option: str) -> int:
    """How many epochs a config trains for.

    Args:
        cfg: The config.
        option: What wants to know it, for the message.

    Raises:
        InputError: If it trains by iterations.
    """
    epochs = setting(cfg, 'train_cfg', 'max_epochs')
    loop = setting(cfg, 'train_cfg', 'type') or 'EpochBasedTrainLoop'
    if not isinstance(epochs, int) or epochs < 1 or loop != 'EpochBasedTrainLoop':
        raise InputError(f'{option}: train_cfg of this config ({shown(loop)}) has no max_epochs that the schedule '
                         'could follow; leave it out and set train_cfg and param_scheduler by --cfg-options')
    return epochs


def scheduler_list(cfg: Config) -> list[dict]:
    """The schedulers of a config as plain dicts; none where it has none."""
    found = cfg._cfg_dict.to_dict().get('param_scheduler') or []
    return [found] if isinstance(found, dict) else list(found)


def iterations_of_epoch(cfg: Config, frames: int, batch_size: Any = None, processes: int = 1) -> int:
    """How many iterations an epoch of so many frames has, by the config's loader.

    Args:
        cfg: The config.
        frames: Frames of the training set.
        batch_size: Instead of the config's.
        processes: That share the frames.
    """
    batch_size = batch_size or setting(cfg, 'train_dataloader', 'batch_size') or 1
    passes = setting(cfg, 'train_dataloader', 'sampler', 'repeats') or 1
    return max(math.ceil(max(round(passes * frames), 1) / processes / batch_size), 1)


def frames_of(cfg: Config, splits: str | None = None) -> int | None:
    """How many frames a config's training set has, by split files; those of a repeated dataset count at each pass.

    Args:
        cfg: The config.
        splits: Instead of the config's.

    Returns:
        Their number; None where a split file is not here, or a wrapper draws frames by a rule of its own.
    """
    return _frames(setting(cfg, 'train_dataloader', 'dataset'), splits or cfg.get('splits', DEFAULT))


def _frames(dataset: Any, splits: str) -> int | None:
    """Frames of a dataset's settings, through whatever wraps it."""
    if not isinstance(dataset, dict):
        return None
    if 'datasets' in dataset:
        found = [_frames(part, splits) for part in dataset['datasets'] or ()]
        return None if None in found else sum(number for number in found if number is not None)
    if 'dataset' in dataset:
        inner, times = _frames(dataset['dataset'], splits), dataset.get('times', 1)
        is_known = inner is not None and isinstance(times, int) and 'oversample_thr' not in dataset
        return inner * times if inner is not None and is_known else None
    return _listed(dataset, splits)


def _listed(dataset: dict, splits: str) -> int | None:
    """Frames that the split file of a dataset names, less those that it leaves out."""
    file, root = dataset.get('ann_file'), dataset.get('data_root') or ''
    if not isinstance(file, str) or not isinstance(root, str):
        return None
    path = find_split(root, file.replace(PLACEHOLDER, splits))
    try:
        if not os.path.isfile(path):
            return None
        held = dataset.get('holdout')  # of SIRSTSegDataset
        names = read_split(path)[held if isinstance(held, int) else 0:]
    except InputError:
        return None  # said by the dataset
    indices = dataset.get('indices')  # so many of the first or, below 0, of the last; or a list
    return min(abs(indices), len(names)) if isinstance(indices, int) else len(names if indices is None else indices)


def warm_up(iterations: int, longest: int) -> int | None:
    """How many iterations of all a warm-up takes; None for no warm-up."""
    end = min(longest, int(iterations * _WARM_UP_SHARE))
    return end if end >= _SHORTEST_WARM_UP else None


# --- Parts ------------------------------------------------------------------------------------------------------------


def _scale(old: int, new: int) -> Callable[[int], int]:
    """A function from a moment of the old training to that of the new one, both counted in epochs."""
    def scale(epoch: int) -> int:
        moment = math.floor(epoch * new / old + 0.5)
        return min(moment, new - 1) if epoch < old and new >= _FEWEST_FOR_PHASES else moment

    return scale


def _validations(cfg: Config, epochs: int, scale: Callable[[int], int]) -> dict[str, Any]:
    """Settings of the validations, at least one of them."""
    train_cfg = setting(cfg, 'train_cfg') or {}
    settings: dict[str, Any] = {}
    if train_cfg.get('val_interval') is not None:
        settings['train_cfg.val_interval'] = min(max(scale(train_cfg['val_interval']), 1), epochs)
    if train_cfg.get('val_begin') is not None:
        settings['train_cfg.val_begin'] = min(max(scale(train_cfg['val_begin']), 1), epochs)
    if train_cfg.get('dynamic_intervals'):
        settings['train_cfg.dynamic_intervals'] = [[scale(start), max(scale(interval), 1)]
                                                   for start, interval in train_cfg['dynamic_intervals']]
    return settings


def _moments(node: Any, path: str) -> Iterator[tuple[str, int]]:
    """Dotted keys and values of what changes at an epoch, below a part of a config."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, (list, tuple)) else ()
    for key, value in items:
        if key in _MOMENTS and isinstance(value, int) and not isinstance(value, bool):
            yield f'{path}.{key}', value
        else:
            yield from _moments(value, f'{path}.{key}')


def _scaled(scheduler: Mapping[str, Any], scale: Callable[[int], int], epochs: int, iterations: int | None,
            index: int) -> dict[str, Any] | None:
    """A scheduler of a training of another length; None where its phase vanishes."""
    if scheduler.get('by_epoch', True):
        return _by_epoch(scheduler, scale, epochs)
    name, end = scheduler.get('type'), scheduler.get('end')
    if name not in _WARM_UPS or scheduler.get('begin', 0) or not isinstance(end, int):
        raise InputError(f'--epochs: param_scheduler.{index} ({shown(name)}) counts in iterations (by_epoch=False) and '
                         'is no warm-up from the first one on: give it by_epoch=True and convert_to_iter_based=True, '
                         'or set it by --cfg-options and leave --epochs out')
    shortened = warm_up(iterations * epochs, end) if iterations else min(end, max(scale(end), _SHORTEST_WARM_UP))
    return None if shortened is None else dict(scheduler, end=shortened)


def _by_epoch(scheduler: Mapping[str, Any], scale: Callable[[int], int], epochs: int) -> dict[str, Any] | None:
    new = dict(scheduler)
    old_begin, old_end = scheduler.get('begin', 0), scheduler.get('end', math.inf)
    begin, end = scale(old_begin), math.inf if math.isinf(old_end) else scale(old_end)
    if begin >= min(end, epochs):
        return None
    new |= {key: value for key, value in (('begin', begin), ('end', end)) if key in scheduler}
    if scheduler.get('milestones') is not None:
        new['milestones'] = sorted({scale(moment) for moment in scheduler['milestones']} & set(range(1, epochs)))
        if not new['milestones']:
            return None
    if scheduler.get('T_max') is not None:
        is_whole = scheduler['T_max'] == old_end - old_begin
        new['T_max'] = int(end - begin) if is_whole else max(scale(scheduler['T_max']), 1)
    for key in ('step_size', 'total_steps'):
        if scheduler.get(key) is not None:
            new[key] = max(scale(scheduler[key]), 1)
    if scheduler.get('periods') is not None:
        new['periods'] = [max(scale(period), 1) for period in scheduler['periods']]
    if scheduler.get('type') == 'ExponentialLR' and scheduler.get('gamma'):
        new['gamma'] = scheduler['gamma']**(1 / max(scale(1000) / 1000, 1e-3))
    return new
