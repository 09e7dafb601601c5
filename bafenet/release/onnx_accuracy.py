"""Accuracy of an exported network on a split of a devkit, and frames of a devkit to check and calibrate with."""
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.evaluator import Evaluator

from bafenet.errors import InputError, printable
from bafenet.evaluation.report import ROWS, plain_keys

from ..datasets.parts import common_pipeline, split_settings
from ..devkit import find_split, read_split
from ..devkit.frames import read_frame
from ..devkit.layout import IMAGES
from ..engine.pipeline_steps import without_steps
from ..engine.silent_logging import quiet
from ..models.onnx_network import OnnxNetwork

# What int8 may lose of each metric.
LOSSES = {'mAP_12': 0.005, 'mAP_12_iou75': 0.02, 'recall': 0.01}


def split_files(cfg: Config, loader: str, data_root: str | None = None, split: str | None = None) -> list[Path]:
    """Image files of a split, in its order; none where the devkit is not at hand.

    Args:
        cfg: The config.
        loader: ``'train'`` or ``'test'``, whose dataset is meant.
        data_root: Devkit instead of the config's.
        split: Split instead of the config's, ``'val_v2'``.
    """
    files: list[Path] = []
    parts = list(split_settings(cfg.get(f'{loader}_dataloader')))
    for part in parts if data_root is None or split is None else parts[:1]:
        root = data_root or str(part.get('data_root') or '')
        file = find_split(root, part['ann_file'] if split is None else f'Splits/{split}.txt')
        if Path(root, IMAGES).is_dir() and Path(file).is_file():
            names = read_split(file)
            files += [path for path in (Path(root, IMAGES, f'{name}.png') for name in names) if path.is_file()]
    return files


def spread(files: list[Path], count: int) -> list[Path]:
    """So many of the files, evenly spread."""
    count = min(count, len(files))
    return [files[len(files) * number // count] for number in range(count)]


def read(files: list[Path]) -> Iterator[np.ndarray]:
    """The frames of files, uint8 (H, W, C), C = 1 or 3."""
    for file in files:
        image = read_frame(file).image
        yield image.reshape(*image.shape[:2], -1)


@torch.no_grad()
def accuracy(network: OnnxNetwork, cfg: Config, data_root: str, split: str) -> dict[str, float]:
    """Metrics of a network on a split, as ``tools/test.py`` measures them, by their keys in its table.

    Args:
        network: The network.
        cfg: Its config, with ``test_dataloader`` and ``test_evaluator``.
        data_root: Devkit.
        split: Name of the split, ``'val_v2'``.

    Raises:
        InputError: If there is no such split, or it cannot be read.
    """
    common_pipeline(cfg, 'test')  # refuses several, of which only the first would be measured
    parts = list(split_settings(cfg.test_dataloader))
    if not parts:
        raise InputError('the config has no dataset of a split to test on (test_dataloader.dataset.ann_file)')
    settings: Any = without_steps(parts[0], 'Resize')
    with quiet():
        dataset = DATASETS.build(dict(settings, data_root=data_root, ann_file=f'Splits/{split}.txt'))
        evaluator = Evaluator(cfg.test_evaluator)
        evaluator.dataset_meta = dataset.metainfo
        for index in range(len(dataset)):
            batch = {key: [value] for key, value in dataset[index].items()}
            evaluator.process(data_samples=network.test_step(batch), data_batch=batch)
        metrics = evaluator.evaluate(len(dataset))
    return plain_keys(metrics)


def lost(before: dict[str, float], after: dict[str, float]) -> list[str]:
    """What a network has lost beyond what is allowed, in words.

    Args:
        before: Metrics.
        after: Metrics.
    """
    return [f'{ROWS[key]} {before[key]:.3f} → {after.get(key, 0):.3f}, at most {most} less'
            for key, most in LOSSES.items() if key in before and not after.get(key, 0) >= before[key] - most]


def require_data(files: list[Path], place: str | None) -> list[Path]:
    """The files, or a line that says what is missing.

    Raises:
        InputError: If there are none.
    """
    if not files:
        where = f' in {printable(place)}' if place else ''
        raise InputError(f'--precision int8 is calibrated on training frames, and there are none{where}: give the '
                         'devkit by --data-root')
    return files
