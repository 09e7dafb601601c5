"""A trained network with its config, loaded by the name of shipped weights, a checkpoint file or a work dir."""
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.runner import CheckpointLoader
from torch import nn

from ..compat.config_text import parse_config
from ..engine.checkpoints import find_checkpoint
from ..engine.network import build_network
from ..errors import InputError, first_line, printable


class Detector(NamedTuple):
    """A trained network.

    Attributes:
        model: The network in eval mode, on its device. It has ``cfg`` and ``dataset_meta``, as mmdet's
            ``inference_detector`` wants.
        cfg: The config that it was trained with.
    """

    model: nn.Module
    cfg: Config


def load(name_or_file: str | Path, device: str | torch.device = 'cpu') -> Detector:
    """Load a trained network, ``bafenet.load('bafenet_hr_tiny')``.

    Args:
        name_or_file: Name of weights that come with the package, a checkpoint that training or
            ``tools/export.py`` wrote, its ``https://`` address, or a work dir, whose best checkpoint is meant.
        device: Where the network goes, such as ``'cuda:0'``.

    Raises:
        InputError: If there is no such checkpoint or device, or the checkpoint cannot be read, holds no config, or does
            not fit it.
    """
    place = _device(device)
    file = find_checkpoint(str(name_or_file))
    checkpoint = CheckpointLoader.load_checkpoint(file, map_location='cpu', logger='silent')
    source = f'checkpoint {printable(file)}'
    meta = checkpoint.get('meta', {})
    if 'cfg' not in meta:
        raise InputError(f'{source} holds no config: give one that training wrote, as epoch_N.pth')
    cfg = parse_config(meta['cfg'], source)
    model: Any = build_network(cfg, checkpoint, file).to(place)
    model.cfg = cfg
    model.dataset_meta = {key.lower(): value for key, value in (meta.get('dataset_meta') or {}).items()}
    return Detector(model, cfg)


def _device(device: str | torch.device) -> torch.device:
    """The device, once something has been put there."""
    try:
        place = torch.device(device)
        torch.empty(1, device=place)
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        raise InputError(f'device {printable(device)} cannot be used ({first_line(error)}): give \'cpu\', or '
                         '\'cuda\' where there is a GPU') from error
    return place
