"""Training on train and val together (``--trainval``), and from random weights (``--scratch``), for any config."""
import os
from typing import Any

from mmengine.config import Config

from bafenet.arguments import shown
from bafenet.datasets.parts import loader_parts
from bafenet.errors import InputError

from .config_paths import setting


def trainval_settings(cfg: Config) -> dict[str, Any]:
    """What of a config changes so that it trains on train and val together, validates on nothing and picks nothing.

    Frames that a dataset holds out of its list are trained on too. Else the split ``train_NAME`` becomes
    ``trainval_NAME`` of the same folder, which may be the config's own already.

    Raises:
        InputError: If its training set is not read from a split file of such a name, and holds nothing out.
    """
    parts = loader_parts(cfg, 'train')
    if not parts or not all('ann_file' in part.settings for part in parts):
        raise InputError('--trainval: train_dataloader.dataset has no ann_file that it could change; write a config '
                         'that trains on both splits')
    settings: dict[str, Any] = {}
    for part in parts:
        if part.settings.get('holdout'):
            settings[f'{part.key}.holdout'] = 0
            continue
        folder, split = os.path.split(str(part.settings['ann_file']))
        if not split.startswith(('train_', 'trainval_')):
            raise InputError(f'--trainval: {part.key}.ann_file={shown(part.settings["ann_file"])} is no train_NAME '
                             'beside which a trainval_NAME could be; rename it, or write a config that trains on both '
                             'splits')
        if split.startswith('trainval_') and not cfg.get('val_dataloader'):
            raise InputError('--trainval: this config trains on both splits and validates on nothing already; leave '
                             '--trainval out')
        settings[f'{part.key}.ann_file'] = os.path.join(folder, f'trainval_{split.partition("_")[2]}')
    return settings | unvalidated_settings(cfg)


def unvalidated_settings(cfg: Config) -> dict[str, Any]:
    """What of a config changes so that it validates on nothing and picks no epoch."""
    settings: dict[str, Any] = {'val_dataloader': None, 'val_cfg': None, 'val_evaluator': None}
    if setting(cfg, 'default_hooks', 'checkpoint'):
        settings |= {'default_hooks.checkpoint.save_best': None, 'default_hooks.checkpoint.rule': None}
    return settings


def scratch_settings(cfg: Config) -> dict[str, Any]:
    """What of a config changes so that its backbone starts from random weights, and trains its BatchNorm.

    Raises:
        InputError: If its backbone does not start from pretrained ones.
    """
    if setting(cfg, 'model', 'backbone', 'init_cfg', 'type') != 'Pretrained':
        raise InputError('--scratch: model.backbone of this config starts from no pretrained weights; leave --scratch '
                         'out')
    return {
        'model.backbone.init_cfg': None,
        # Statistics that are frozen are good for nothing but the weights that they came with.
        'model.backbone.norm_cfg.requires_grad': True,
        'model.backbone.norm_eval': False,
    }
