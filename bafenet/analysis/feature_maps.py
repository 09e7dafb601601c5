"""Feature maps of named layers of several networks on the same frames, before and after the exchange (paper Fig. 7)."""
import copy
import difflib
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from scipy.spatial.distance import cdist
from torch import Tensor, nn

from bafenet.arguments import require_number
from bafenet.datasets.parts import loader_parts, move_parts
from bafenet.errors import InputError, printable

from ..devkit.frames import read_frame
from ..devkit.layout import SPLITS
from ..engine.checkpoints import find_checkpoint, load_from_local
from ..engine.frame_pipeline import build_pipeline
from ..engine.network import build_network, trained_config
from ..engine.options import require_known_types
from ..engine.silent_logging import quiet
from ..visualization.drawing import as_rgb
from ..visualization.feature_map_figure import FeatureMap, Row, figure
from ..visualization.run_styles import require_labels, require_picture_name, save_figure
from .benchmark import require_device

FRIENDLY = ('cls_before', 'cls_after', 'seg_before', 'seg_after')
EXCHANGED = ('cls_exchanged', 'seg_exchanged')
# Over the channels (C, h, w) of an activation: what a map shows, and how it is made.
REDUCTIONS: dict[str, tuple[str, Callable[[Tensor], Tensor]]] = {
    'mean': ('mean of |activation| over the channels', lambda x: x.abs().mean(0)),
    'max': ('largest |activation| of the channels', lambda x: x.abs().amax(0)),
    'norm': ('Euclidean norm of the activations over the channels', lambda x: x.norm(dim=0)),
}
NO_SKY, NO_EXCHANGE = 'no sky branch', 'no exchange'
_SHOWN = 30  # names in a message
Window = tuple[float, float, float, float]


class Network(NamedTuple):
    """A trained network, its config, and the pipeline that makes its input of a frame."""

    model: Any
    cfg: Config
    pipeline: Any


class FrameOf(NamedTuple):
    """A frame: its name, its pixels (uint8, grey or BGR) and its true boxes (n, 4)."""

    name: str
    image: np.ndarray
    boxes: np.ndarray


def report(checkpoints: Sequence[str],
           frames: Sequence[str],
           out: str,
           layers: Sequence[str] = FRIENDLY,
           labels: Sequence[str] | None = None,
           level: int = 0,
           reduce: str = 'mean',
           zoom: int = 0,
           scale: str = 'picture',
           percentile: float = 100,
           split: str | None = None,
           data_root: str | None = None,
           device: str = 'cpu') -> None:
    """Draw the maps of all checkpoints on all frames into one picture.

    Args:
        checkpoints: Files, work dirs whose best one is meant, or shipped names.
        frames: Names of images of a split, or paths of images.
        out: Picture, ``.png``, ``.svg`` or ``.pdf``.
        layers: Those of ``FRIENDLY`` and ``EXCHANGED``, or paths of modules, as ``bbox_head.cls_convs.0``.
        labels: Names of the checkpoints; those of their files by default.
        level: Feature level, 0 is the finest: of a module that each level passes, the call that counts.
        reduce: A key of ``REDUCTIONS``.
        zoom: Side in pixels of the part of each frame that is shown, around its densest cluster; 0 for the whole.
        scale: ``'picture'`` or ``'layer'``; see :func:`~bafenet.visualization.feature_map_figure.figure`.
        percentile: Likewise.
        split: Stem of the split file that frames are named in, as ``'val_v2'``; None for the test split of the first
            checkpoint's config.
        data_root: Folder of the devkit, instead of that config's.
        device: ``'cpu'`` or ``'cuda'``.

    Raises:
        InputError: If a checkpoint, a frame or a layer does not exist, or the picture cannot be written.
    """
    require_picture_name(out)
    require_device(device)
    require_number('--percentile', percentile, 0, 100, above=True)
    labels = require_labels(labels, checkpoints)
    networks = {label: load_network(name, device) for label, name in zip(labels, checkpoints, strict=True)}
    first = next(iter(networks.values()))
    shown = find_frames(frames, first.cfg, split, data_root)
    rows = [Row(label, frame.name, as_rgb(frame.image), frame.boxes,
                feature_maps(network, frame.image, layers, level, reduce), window(frame, zoom))
            for frame in shown for label, network in networks.items()]
    save_figure(figure(rows, REDUCTIONS[reduce][0], scale, percentile), out, dpi=130)


def load_network(name: str, device: str = 'cpu') -> Network:
    """A network by the name of shipped weights, a checkpoint file, or a work dir whose best one is meant.

    Raises:
        InputError: If there is none, or it holds no config that it fits.
    """
    file = find_checkpoint(name)
    checkpoint = load_from_local(file, map_location='cpu')
    cfg = trained_config(checkpoint, file)
    with quiet():
        model = build_network(cfg, checkpoint, file).to(device)
    return Network(model, cfg, build_pipeline(cfg))


# --- Frames -----------------------------------------------------------------------------------------------------------


def find_frames(frames: Sequence[str], cfg: Config, split: str | None = None,
                data_root: str | None = None) -> list[FrameOf]:
    """Frames by their names in a split, with their boxes, or by paths, without; see :func:`report`.

    Raises:
        InputError: If there is no such frame; names that are close are given.
    """
    by_name = _split(cfg, split, data_root) if not all(Path(frame).is_file() for frame in frames) else {}
    found = []
    for frame in frames:
        if Path(frame).is_file():
            found.append(FrameOf(Path(frame).name, read_frame(frame).image, np.zeros((0, 4))))
        elif frame in by_name:
            info = by_name[frame]
            boxes = np.array([item['bbox'] for item in info.get('instances', ())], float).reshape(-1, 4)
            found.append(FrameOf(frame, read_frame(info['img_path']).image, boxes))
        else:
            raise InputError(f'--frames {printable(frame)}: no such file, and no image of the split; '
                             f'{_known(frame, list(by_name))}')
    return found


def _split(cfg: Config, split: str | None, data_root: str | None) -> dict[str, dict]:
    """The annotations of a split's images by name."""
    cfg = copy.deepcopy(cfg)
    parts = loader_parts(cfg, 'test')
    if not parts:
        raise InputError('the config of the first checkpoint has no test_dataloader: give paths of images')
    if data_root is not None:
        move_parts(cfg, 'test', data_root, '--data-root')
    if split is not None and len(parts) > 1:
        raise InputError(f'--split {printable(split)}: the test data are {len(parts)} datasets; give paths of images')
    found: dict[str, dict] = {}
    for part in parts:
        require_known_types(part.settings, 'the config of the first checkpoint')
        dataset = DATASETS.build({**part.settings, 'pipeline': [], 'test_mode': True, 'serialize_data': False,
                                  **({'ann_file': f'{SPLITS}/{split}.txt'} if split is not None else {})})
        for info in map(dataset.get_data_info, range(len(dataset))):
            found.setdefault(str(info['img_id']), info)
    return found


def _known(wanted: str, names: Sequence[str]) -> str:
    """What there is, the names that are close first."""
    close = difflib.get_close_matches(wanted, names, n=5, cutoff=0.4)
    shown = list(map(printable, close or names[:_SHOWN]))
    return f'{"close" if close else "there are"}: {", ".join(shown)}{"" if len(names) <= len(shown) else ", …"}'


def window(frame: FrameOf, zoom: int = 0) -> Window:
    """The part of a frame that is shown: all, or a square around the target with the most others near it.

    Args:
        frame: The frame.
        zoom: Side of the square in pixels; 0 for the whole frame.
    """
    height, width = frame.image.shape[:2]
    if not zoom:
        return 0, 0, width, height
    size = np.minimum(zoom, [width, height])
    centre = np.array([width, height]) / 2
    if len(frame.boxes):
        centres = (frame.boxes[:, :2] + frame.boxes[:, 2:]) / 2
        near = cdist(centres, centres, 'chebyshev') < zoom / 2
        centre = centres[near[near.sum(axis=1).argmax()]].mean(axis=0)
    x, y = np.clip(np.floor(centre - size / 2), 0, [width, height] - size)
    return float(x), float(y), float(x + size[0]), float(y + size[1])


# --- Maps -------------------------------------------------------------------------------------------------------------


@torch.no_grad()
def feature_maps(network: Network, image: np.ndarray, layers: Sequence[str], level: int = 0,
                 reduce: str = 'mean') -> dict[str, FeatureMap | str]:
    """Maps of layers for one frame.

    Args:
        network: The network.
        image: uint8 (H, W) grey or (H, W, 3) BGR.
        layers: See :func:`report`.
        level: Likewise.
        reduce: Likewise.

    Returns:
        By layer, its map, or why the network has none.

    Raises:
        InputError: If the network has no such layer, or the layer gives no maps (N, C, h, w) at this level.
    """
    packed = network.pipeline(dict(img=image))
    batch = network.model.data_preprocessor(pseudo_collate([packed]), False)
    captured: dict[str, list[Tensor]] = {layer: [] for layer in layers}
    with ExitStack() as hooks:
        absent = {layer: reason for layer in layers
                  if (reason := _watch(network.model, layer, captured[layer], hooks)) is not None}
        network.model(batch['inputs'], batch['data_samples'], mode='tensor')
    scale = batch['data_samples'][0].metainfo.get('scale_factor', (1.0, 1.0))
    function = REDUCTIONS[reduce][1]
    found: dict[str, FeatureMap | str] = {}
    for layer in layers:
        if layer in absent:
            found[layer] = absent[layer]
            continue
        activation = _at_level(captured[layer], layer, level)
        strides = _strides(batch['inputs'].shape[-2:], activation.shape[-2:])
        found[layer] = FeatureMap(function(activation[0].float()).cpu().numpy(),
                                  (strides[0] / float(scale[1]), strides[1] / float(scale[0])))
    return found


def _watch(model: nn.Module, layer: str, into: list[Tensor], hooks: ExitStack) -> str | None:
    """Collect what a layer gives at each call; where the network has no such part, say which."""
    if layer not in (*FRIENDLY, *EXCHANGED):
        module = dict(model.named_modules()).get(layer) if layer else None
        if module is None:
            raise InputError(f'--layers {printable(layer)}: no such layer; {_known(layer, _layer_names(model))}')
        hooks.callback(module.register_forward_hook(lambda _, inputs, output: into.append(_tensor(output))).remove)
        return None
    head: Any = getattr(model, 'bbox_head', None)
    if head is None:
        modules = [name for name, part in model.named_modules()
                   if name.count('.') == 2 and not isinstance(part, (nn.ModuleList, nn.ModuleDict))]
        raise InputError(f'--layers {layer}: a layer of a detection head, and {type(model).__name__} has none; name '
                         f'modules, as {printable(", ".join(modules[:_SHOWN]))}')
    task, place = layer.split('_')
    predictor = getattr(head, f'conv_{task}', None)
    exchange = getattr(head, 'exchange', None)
    if predictor is None:
        if task == 'seg':
            return NO_SKY
        raise InputError(f'--layers {layer}: the head of {type(model).__name__} has no conv_cls; name a module: '
                         f'{_known(layer, _layer_names(model))}')
    index = 0 if task == 'cls' else 1
    if exchange is None:
        if place == 'exchanged':
            return NO_EXCHANGE
        # What the predictor sees is then what the tower gives.
        hooks.callback(predictor.register_forward_pre_hook(lambda _, inputs: into.append(inputs[0])).remove)
    elif place == 'before':
        hooks.callback(exchange.register_forward_pre_hook(lambda _, inputs: into.append(inputs[index].clone())).remove)
    elif place == 'after':
        hooks.callback(exchange.register_forward_hook(lambda _, inputs, output: into.append(output[index])).remove)
    else:
        hooks.callback(exchange.register_forward_hook(
            lambda _, inputs, output: into.append(exchanged_part(inputs[index], output[index]))).remove)
    return None


def exchanged_part(before: Tensor, after: Tensor) -> Tensor:
    """The channels (1, C, h, w) that an exchange has replaced, of what it gives; those that it has not are left out.

    An exchange of columns replaces part of every channel: then the columns that stayed are 0.
    """
    changed = before != after
    return after.where(changed.any(dim=2, keepdim=True), 0)[:, changed.any(dim=3).any(dim=2)[0]]


def _layer_names(model: nn.Module) -> list[str]:
    """Friendly names, then the modules, those of the head first."""
    names = [name for name, _ in model.named_modules() if name]
    return [*FRIENDLY, *EXCHANGED, *sorted(names, key=lambda name: not name.startswith('bbox_head'))]


def _tensor(output: Any) -> Tensor:
    """What a module gives, if it is one tensor; else an empty one."""
    # A copy: what follows may write into it.
    return output.clone() if isinstance(output, Tensor) else torch.zeros(0)


def _at_level(calls: Sequence[Tensor], layer: str, level: int) -> Tensor:
    if level >= len(calls):
        raise InputError(f'--level {level}: {printable(layer)} is passed {len(calls)} times, so that there are the '
                         f'levels 0 to {len(calls) - 1}' if calls else
                         f'--layers {printable(layer)}: nothing passes this layer in a prediction; name another')
    one = calls[level]
    if one.ndim != 4:
        raise InputError(f'--layers {printable(layer)}: it gives no feature maps (N, C, H, W); name a layer in it')
    return one


def _strides(inputs: Sequence[int], size: Sequence[int]) -> tuple[float, float]:
    """Pixels of the network's input that a cell covers, down and across: powers of two, whatever was padded."""
    down, across = (2.0**round(np.log2(max(whole, 1) / max(part, 1)))
                    for whole, part in zip(inputs, size, strict=True))
    return down, across
