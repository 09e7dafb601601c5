"""Checks of a run: settings that differ from the checkpoint's, boxes off their masks, losses and weights not finite.

None of these would stop a run, and each would make its numbers wrong.
"""
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner

from bafenet_command import call_of

from ..arguments import shown
from ..compat.checkpoint_fields import is_finite
from ..datasets.parts import image_infos
from ..devkit import read_mask
from ..devkit.box_matching import extents, match_boxes
from ..errors import InputError, printable
from .options import parse_config
from .registered import defaults, find_type

_SHOWN = 12  # differences in one line
_FEW_TARGETS = 20  # to validate on
# What of these settings says where data lie, how they are loaded or what is trained, and nothing about results.
_PLACES = {'data_root', 'ann_file', 'data_prefix', 'indices', 'init_cfg', 'cache_mb', 'lazy_init', 'norm_eval',
           'requires_grad', 'frozen_stages', 'sky', 'seg_map_suffix', 'target_mask_suffix'}
_LOADING = {'data_root', 'data_prefix', 'num_workers', 'persistent_workers', 'prefetch_factor', 'pin_memory',
            'cache_mb', 'lazy_init', 'init_cfg'}


@HOOKS.register_module()
class FiniteHook(Hook):
    """Ends a training whose loss is NaN or infinite, and never writes weights that are.

    mmengine would train on, and replace the good checkpoints by bad ones.

    Raises:
        InputError: With the images of the batch.
    """

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                         outputs: dict | None = None) -> None:
        """Look at the losses of a step."""
        losses = {name: value for name, value in (outputs or {}).items() if name.startswith('loss')}
        bad = [name for name, value in losses.items() if not _is_finite(value)]
        if bad:
            when = f'epoch {runner.epoch + 1}, iteration {runner.iter + 1}'
            raise InputError(f'{", ".join(bad)} not finite in {when}, on the images {batch_names(data_batch)}: the '
                             'training ends, its checkpoints stay; resume the last one with a smaller learning rate '
                             '(optim_wrapper.optimizer.lr) or clipped gradients (optim_wrapper.clip_grad), or look at '
                             'these images')

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Look at the weights before they are written."""
        if not all(is_finite(checkpoint.get(part, {})) for part in ('state_dict', 'ema_state_dict')):
            raise InputError(f'the weights are not finite after {runner.iter} iterations: they are not written, the '
                             'checkpoints before stay; resume the last one with a smaller learning rate '
                             '(optim_wrapper.optimizer.lr)')


def _is_finite(value: Any) -> bool:
    return bool(torch.isfinite(value).all()) if isinstance(value, torch.Tensor) else math.isfinite(value)


def batch_names(data_batch: Any) -> str:
    """Names of the images of a batch, as a loader gives it."""
    samples = data_batch.get('data_samples', ()) if isinstance(data_batch, dict) else ()
    names = [Path(sample.img_path).name for sample in samples if 'img_path' in getattr(sample, 'metainfo', {})]
    return printable(', '.join(names)) or '(without names)'


@HOOKS.register_module()
class SettingsHook(Hook):
    """Warns, in one line, of settings that are unlike those of the checkpoint that is tested or resumed.

    When testing: model, dataset, test pipeline and evaluator, without paths and splits. When resuming: model, training
    data, optimizer, schedule and custom hooks, of which an average of the weights is one.
    """

    def __init__(self) -> None:
        self._cfg: str | None = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Note the checkpoint's config."""
        self._cfg = checkpoint.get('meta', {}).get('cfg')

    def before_test(self, runner: Runner) -> None:
        """Compare what decides about the outcome of a test."""
        keys = ('model', 'test_dataloader.dataset', 'test_evaluator')
        classes = getattr(runner.test_dataloader.dataset, 'metainfo', {}).get('classes') or ()
        # The name of an only class decides about nothing; the order of several does.
        self._compare(runner, 'tested', keys, _PLACES | ({'metainfo'} if len(classes) == 1 else set()))

    def before_train(self, runner: Runner) -> None:
        """Compare what decides about the outcome of a training that is resumed."""
        if runner._resume:
            keys = ('model', 'train_dataloader', 'optim_wrapper', 'param_scheduler', 'auto_scale_lr', 'randomness',
                    'custom_hooks')
            self._compare(runner, 'resumed', keys, _LOADING)

    def _compare(self, runner: Runner, done: str, keys: Sequence[str], ignored: set) -> None:
        if not self._cfg:
            return
        try:
            there = parse_config(self._cfg, 'the config of the checkpoint').to_dict()
        except InputError as error:
            runner.logger.warning(f'The settings of the checkpoint cannot be compared: {error}')
            return
        here = runner.cfg.to_dict()
        found = [difference for key in keys
                 for difference in differences(_part(there, key), _part(here, key), key, ignored)]
        if found:
            more = f' and {len(found) - _SHOWN} more' if len(found) > _SHOWN else ''
            runner.logger.warning(f'The network is {done} with other settings than it was trained with: '
                                  f'{printable("; ".join(found[:_SHOWN]))}{more}')


def _part(values: Any, path: str) -> Any:
    for key in path.split('.'):
        values = values.get(key) if isinstance(values, dict) else None
    return values


def differences(there: Any, here: Any, path: str, ignored: set) -> Iterator[str]:
    """The places at which two settings differ, as ``path: value there, value here``.

    Args:
        there: Plain values.
        here: Plain values.
        path: Where they stand.
        ignored: Keys that are left out, wherever they stand.
    """
    if isinstance(there, dict) and isinstance(here, dict):
        # A setting that one of them leaves to its default may be said in the other.
        same_type = here.get('type') if here.get('type') == there.get('type') else None
        for key in dict.fromkeys([*there, *here]):
            if key not in ignored:
                old, new = (values[key] if key in values else _default(same_type, key) for values in (there, here))
                yield from differences(old, new, f'{path}.{key}', ignored)
    elif isinstance(there, (list, tuple)) and isinstance(here, (list, tuple)) and len(there) == len(here):
        for index, (old, new) in enumerate(zip(there, here, strict=True)):
            yield from differences(old, new, f'{path}.{index}', ignored)
    elif there != here:
        yield f'{path}: {shown(there, 80)} in the checkpoint, {shown(here, 80)} here'


def _default(type_name: Any, key: str) -> Any:
    """The default of an argument of a registered class; None where it has none."""
    found = defaults(find_type(type_name), key) if isinstance(type_name, str) else []
    return found[0] if found else None


@HOOKS.register_module()
class AnnotationsHook(Hook):
    """Warns of boxes beside their targets and of a validation that tells little; refuses labels unknown to the head.

    Boxes of a sample are compared, once, with the components of the target masks, where there are any, as
    tools/dataset/check.py does with all of them.

    Args:
        samples: How many images are looked at, spread evenly over the training set.

    Raises:
        InputError: If the dataset has another number of classes than the head.
    """

    def __init__(self, samples: int = 16) -> None:
        self.samples = samples

    def before_train(self, runner: Runner) -> None:
        """Look at the training set and, where an epoch is picked by it, at the validation set."""
        _require_classes(runner, runner.train_dataloader.dataset)
        if runner.val_loop is not None:
            for line in validation_faults(runner.val_dataloader.dataset):
                runner.logger.warning(line)
        infos = [info for info in image_infos(runner.train_dataloader.dataset)
                 if info.get('instances') and Path(info.get('target_mask_path') or '').is_file()]
        shifts = Counter(shift for index in range(min(self.samples, len(infos)))
                         for shift in box_shifts(infos[len(infos) * index // self.samples]))
        total = sum(shifts.values())
        shift, count = next(iter(shifts.most_common(1)), ((0., ) * 4, 0))
        if any(shift) and 2 * count > total:
            runner.logger.warning(
                f'{count} of {total} boxes of a sample of {min(self.samples, len(infos))} training images differ by '
                f'({", ".join(f"{number:+g}" for number in shift)}) from the extents of their target masks: see '
                f'box_origin of the dataset, and {call_of("check")}')

    def before_test(self, runner: Runner) -> None:
        """Look at the classes of the test set."""
        _require_classes(runner, runner.test_dataloader.dataset)


def validation_faults(dataset: Any) -> list[str]:
    """What makes figures of a validation set say little: few targets in all, or none of a class; a line each."""
    classes = (getattr(dataset, 'metainfo', None) or {}).get('classes') or ()
    infos = list(image_infos(dataset))
    labels = [instance['bbox_label'] for info in infos for instance in info.get('instances', ())
              if not instance.get('ignore_flag')]
    lines = []
    if 0 < len(labels) < _FEW_TARGETS:
        lines.append(f'the validation has {len(labels)} targets in {len(infos)} frames: one is '
                     f'{100 / len(labels):.0f} % of the recall, so which epoch is the best is mostly chance; label '
                     'more frames to validate on, or train on all by --trainval and take the last epoch')
    absent = [name for label, name in enumerate(classes) if label not in set(labels)]
    if labels and absent:
        lines.append(f'the validation has no target of {printable(", ".join(absent))}: no epoch is picked for it')
    return lines


def _require_classes(runner: Runner, dataset: Any) -> None:
    head = getattr(getattr(runner.model, 'module', runner.model), 'bbox_head', None)
    classes = getattr(dataset, 'metainfo', {}).get('classes')
    if classes is not None and head is not None and len(classes) != getattr(head, 'num_classes', len(classes)):
        raise InputError(f'the dataset has the classes {printable(", ".join(classes))} and the head '
                         f'{head.num_classes}: set model.bbox_head.num_classes={len(classes)}, or metainfo.classes of '
                         'the datasets')


def box_shifts(info: dict) -> list[tuple[float, ...]]:
    """Box minus component of the target mask, corner by corner, for each box of an image that belongs to one."""
    try:
        mask = read_mask(info['target_mask_path'], (info['height'], info['width']))
    except InputError:
        return []  # training needs no masks; tools/dataset/check.py reports them
    components = extents(cv2.connectedComponents((mask > 0).view(np.uint8), connectivity=8)[1])
    boxes = np.array([instance['bbox'] for instance in info['instances']], float).reshape(-1, 4)
    pairs = match_boxes(boxes, components)
    return list(map(tuple, (boxes[pairs[:, 0]] - components[pairs[:, 1]]).tolist()))
