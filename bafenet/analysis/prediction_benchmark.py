"""Benchmark of predictions: whole frames of a test split through a network, one by one."""
from collections.abc import Iterator
from itertools import islice

import numpy as np
import torch
from mmdet.models.detectors import BaseDetector
from mmdet.registry import DATASETS, MODELS

from bafenet.datasets import SeededVisits
from bafenet.datasets.parts import move_parts
from bafenet.devkit import image_size
from bafenet.errors import InputError

from ..engine.checkpoints import load_from_local
from ..engine.network import build_network
from ..engine.options import load_config
from ..engine.silent_logging import quiet
from .benchmark import machine_of, require_device, summary, time_each

WARMUP = 2


def benchmark_predict(config: str,
                      checkpoint: str | None = None,
                      shape: tuple[int, int] = (512, 640),
                      images: int = 30,
                      data_root: str | None = None,
                      device: str = 'cpu') -> dict:
    """Time predictions at batch 1, from the decoded image to boxes after NMS and, where there is one, the sky map.

    Args:
        config: Config file; the frames are of its test split.
        checkpoint: Weights, a file or a shipped name; untrained ones where it is None, which find other numbers of
            boxes and so take other times.
        shape: Height and width of the frames that are taken.
        images: How many of them, at most.
        data_root: Devkit, instead of the config's.
        device: ``'cpu'`` or ``'cuda'``.

    Returns:
        ``machine``; ``predict`` as :func:`~bafenet.analysis.benchmark.summary` gives it; ``images a second``, by the
        median; ``boxes an image``.

    Raises:
        InputError: If there is no such device or no such frame, or a file cannot be read.
    """
    require_device(device)
    cfg = load_config(config, needs=['model', 'test_dataloader.dataset'])
    if data_root:
        move_parts(cfg, 'test', data_root, '--data-root')
    frames = list(islice(_frames(cfg.test_dataloader.dataset, shape), images))
    if not frames:
        raise InputError(f'{config}: its test split has no image of {shape[0]}x{shape[1]} (height x width); '
                         'give a size that it has by --shape H W')
    network: BaseDetector
    with quiet():
        if checkpoint:
            network = build_network(cfg, load_from_local(checkpoint, map_location='cpu'), checkpoint)
        else:
            network = MODELS.build(cfg.model)
            network.init_weights()
        network.eval().to(device).to(memory_format=torch.channels_last)
    boxes = []

    def predict(run: int) -> None:
        with torch.no_grad():
            sample, = network.test_step(frames[run % len(frames)])
        if device != 'cpu':
            torch.cuda.synchronize()
        boxes.append(len(sample.pred_instances))

    times = summary(time_each({'predict': predict}, len(frames), WARMUP)['predict'])
    return {
        'machine': machine_of(device),
        'predict': times,
        'images a second': 1000 / times['median_ms'],
        'boxes an image': float(np.mean(boxes[WARMUP:])),
    }


def _frames(settings: dict, shape: tuple[int, int]) -> Iterator[dict]:
    """The split's images of a size, each as a data loader gives a batch of one."""
    dataset = DATASETS.build(SeededVisits.around(settings))
    for index in range(len(dataset)):
        if image_size(dataset.get_data_info(index)['img_path'])[::-1] == tuple(shape):
            yield {key: [value] for key, value in dataset[index].items()}
