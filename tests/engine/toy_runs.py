"""A network of a few weights, its data and its runs, for the tests of the engine."""
from pathlib import Path

import numpy as np
import torch
from mmdet.registry import DATASETS, METRICS, MODELS
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel, BaseModule
from torch import nn
from torch.utils.data import Dataset

import bafenet  # noqa: F401
from bafenet.engine.runner import DetectionRunner


@DATASETS.register_module()
class ToyDataset(Dataset):
    """Points of four numbers with a linear target."""

    def __init__(self, length: int = 6) -> None:
        rng = np.random.default_rng(0)
        self._points = rng.normal(size=(length, 4)).astype(np.float32)
        self._targets = self._points @ np.array([[1], [-2], [3], [0.5]], np.float32)

    def __len__(self) -> int:
        return len(self._points)

    def __getitem__(self, index: int) -> dict:
        return {'points': torch.from_numpy(self._points[index]), 'target': torch.from_numpy(self._targets[index])}


@MODELS.register_module()
class ToyBackbone(BaseModule):
    """One layer, with or without a normalisation."""

    def __init__(self, width: int = 3, norm: bool = True, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.linear = nn.Linear(4, width)
        self.norm = nn.BatchNorm1d(width) if norm else nn.Identity()

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        return self.norm(self.linear(points))


@MODELS.register_module()
class ToyModel(BaseModel):
    """Backbone and head."""

    def __init__(self, backbone: dict) -> None:
        super().__init__()
        self.backbone = MODELS.build(backbone)
        self.head = nn.Linear(self.backbone.linear.out_features, 1)

    def forward(self, points: torch.Tensor, target: torch.Tensor, mode: str = 'tensor') -> object:
        output = self.head(self.backbone(points).relu())
        if mode == 'loss':
            return {'loss': (output - target).square().mean()}
        return [{'error': error.item()} for error in (output - target).abs()]


@METRICS.register_module()
class ToyMetric(BaseMetric):
    """Mean absolute error and number of samples, or what a script says for each validation."""

    default_prefix = 'toy'

    def __init__(self, script: list[dict[str, float]] | None = None) -> None:
        super().__init__()
        self._script = iter(script) if script else None

    def process(self, data_batch: dict, data_samples: list) -> None:
        self.results += [sample['error'] for sample in data_samples]

    def compute_metrics(self, results: list) -> dict:
        return next(self._script) if self._script else {'error': sum(results) / len(results), 'samples': len(results)}


def toy_config(work_dir: object, epochs: int = 2, **overrides: object) -> dict:
    """Config of a run of three iterations an epoch; ``overrides`` replace its top-level keys."""
    loader = {
        'batch_size': 2,
        'num_workers': 0,
        'dataset': {'type': 'ToyDataset'},
        'collate_fn': {'type': 'default_collate'},
    }
    config = {
        'model': {'type': 'ToyModel', 'backbone': {'type': 'ToyBackbone'}},
        'work_dir': str(work_dir),
        'train_dataloader': {**loader, 'sampler': {'type': 'DefaultSampler', 'shuffle': True}},
        'train_cfg': {'by_epoch': True, 'max_epochs': epochs},
        'optim_wrapper': {'optimizer': {'type': 'AdamW', 'lr': 0.01}},
        'test_dataloader': {**loader, 'sampler': {'type': 'DefaultSampler', 'shuffle': False}},
        'test_cfg': {},
        'test_evaluator': {'type': 'ToyMetric'},
        'default_hooks': {
            'runtime_info': {'type': 'EffectiveLRHook'},
            'logger': {'type': 'LoggerHook', 'interval': 1},
            'checkpoint': {'type': 'AtomicCheckpointHook', 'interval': 1},
        },
        'randomness': {'seed': 0},
        'default_scope': 'mmdet',
    }
    config.update(overrides)
    return config


def toy_runner(work_dir: object, **overrides: object) -> DetectionRunner:
    """Build the runner of :func:`toy_config`."""
    return DetectionRunner.from_cfg(toy_config(work_dir, **overrides))


def validation(script: list[dict[str, float]] | None = None) -> dict:
    """Overrides by which a run also validates after each epoch."""
    config = toy_config('')
    return {
        'val_dataloader': config['test_dataloader'],
        'val_cfg': {},
        'val_evaluator': {'type': 'ToyMetric', 'script': script},
    }


def checkpoint_hook(**kwargs) -> dict:
    """Overrides that set the checkpoint hook of a run."""
    return {'default_hooks': {'checkpoint': {'type': 'AtomicCheckpointHook', 'interval': 1, **kwargs}}}


def checkpoints_in(folder: Path) -> set[str]:
    """Names of the checkpoints in a folder."""
    return {file.name for file in folder.glob('*.pth')}
