"""Steps of the detectors of configs/baselines on one batch, from random weights, for the tests of them."""
import copy
import resource
import sys

import numpy as np
import torch
from conftest import ROOT
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.structures import InstanceData
from torch import Tensor, nn

from bafenet.engine.options import load_config

FILES = {file.stem.removesuffix('_densesirst'): str(file) for file in sorted(
    (ROOT / 'configs/baselines').glob('*_densesirst.py')) if '_paper' not in file.stem}
# Of a target in pixels; from those of the data to those that the coarsest levels are for.
SIDES = (3, 5, 9, 16, 28, 48, 80, 140, 230, 300, 380, 460)
# What is smaller than its levels: they end with 512 pixels, or 2 of the features would be left.
LARGER = {'ssd512': 512, 'ssd512_tiny_anchors': 512}
RATE, MAX_NORM = 1e-4, 10.0
# Transformers want less: at 1e-4 the loss jumps.
LOWER_RATES = {'retinanet_pvt_t': 3e-5}
# RTMDet's labels, and the weights of its losses, are the IoUs of its own boxes, which random weights leave empty: the
# loss would begin near 0 and grow with them. From the middle of a box to its sides at the start, in strides.
FIRST_DISTANCE = 2.0
# Which of two classes of parts differs between stages of a training (TOOD's first epochs).
FIRST_EPOCH, LATE_EPOCH = 0, 15


def read(name: str, small: bool = False) -> Config:
    """A config whose weights are random, with BatchNorm that learns, as random weights want it.

    Args:
        name: Key of :data:`FILES`.
        small: Fewer regions for what sees each of them by itself.
    """
    cfg = load_config(FILES[name])
    for part in dicts(cfg.model):
        if isinstance(part.get('init_cfg'), dict) and part['init_cfg'].get('type') == 'Pretrained':
            part['init_cfg'] = None
        if 'norm_eval' in part:
            part['norm_eval'] = False
        if 'norm_cfg' in part and part.get('norm_cfg'):
            part['norm_cfg']['requires_grad'] = True
        if small and part.get('type') in ('RandomSampler', 'CombinedSampler') and part.get('num', 0) > 256:
            part['num'] = 32
        if small and part.get('max_per_img', 0) > 100:
            part['max_per_img'] = 100
    return cfg


def dicts(node):
    """A dict and all that are below it."""
    if isinstance(node, dict):
        yield node
    for item in node.values() if isinstance(node, dict) else node if isinstance(node, (list, tuple)) else ():
        yield from dicts(item)


def build(cfg: Config) -> nn.Module:
    """The network with random weights."""
    torch.manual_seed(0)
    network = MODELS.build(copy.deepcopy(cfg.model))
    network.init_weights()
    for layer in getattr(getattr(network, 'bbox_head', None), 'rtm_reg', ()):
        nn.init.constant_(layer.bias, FIRST_DISTANCE)
    return network.train()


def batch(size: int, targets: tuple[bool, ...] = (True, True), seed: int = 0) -> dict:
    """Noise with bright squares; for each image whether it has any."""
    rng = np.random.default_rng(seed)
    images = rng.normal(60, 5, (len(targets), 3, size, size)).astype(np.float32)
    samples = []
    for image, with_targets in zip(images, targets, strict=True):
        sides = np.array([side for side in SIDES if side < 0.95 * size]) if with_targets else np.zeros(0, int)
        corners = np.array([rng.integers(0, size - side, 2) for side in sides]).reshape(-1, 2)
        for (x, y), side in zip(corners[::-1], sides[::-1], strict=True):
            image[:, y:y + side, x:x + side] += 100
        boxes = np.concatenate([corners, corners + sides[:, None]], axis=1)
        sample = DetDataSample(metainfo=dict(
            img_shape=(size, size), ori_shape=(size, size), pad_shape=(size, size), batch_input_shape=(size, size),
            scale_factor=(1.0, 1.0), img_id=0, flip=False))
        sample.gt_instances = InstanceData(
            bboxes=torch.tensor(boxes, dtype=torch.float32), labels=torch.zeros(len(boxes), dtype=torch.int64))
        samples.append(sample)
    return dict(inputs=[torch.tensor(image) for image in images], data_samples=samples)


def losses_of(network: nn.Module, data: dict, epoch: int = FIRST_EPOCH) -> dict[str, Tensor]:
    """All losses of a batch, and their sum as ``loss``."""
    MessageHub.get_current_instance().update_info('epoch', epoch)
    ready = network.data_preprocessor(copy.deepcopy(data), True)
    _, losses = network.parse_losses(network(**ready, mode='loss'))
    return losses


def train(network: nn.Module, data: dict, steps: int, rate: float = RATE) -> tuple[list[float], set[str]]:
    """Losses of so many steps on one batch, and the parameters that never had a gradient other than zero."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate)
    idle = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    losses = []
    torch.manual_seed(0)
    for _ in range(steps):
        optimizer.zero_grad()
        total = losses_of(network, data)['loss']
        total.backward()
        idle -= {name for name, parameter in network.named_parameters()
                 if parameter.grad is not None and parameter.grad.any()}
        nn.utils.clip_grad_norm_(network.parameters(), MAX_NORM, error_if_nonfinite=True)
        optimizer.step()
        losses.append(total.item())
    return losses, idle


def predict(network: nn.Module, data: dict) -> list[DetDataSample]:
    """Predictions for each image of a batch."""
    with torch.no_grad():
        return network.eval().test_step(copy.deepcopy(data))


def peak_memory() -> float:
    """The most memory that this process has held, in GiB."""
    unit = 1 if sys.platform == 'darwin' else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
