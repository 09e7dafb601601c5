"""mmdet's ``inference_detector`` and ``DetInferencer`` on infrared frames: files and arrays, boxes and sky map.

Both expect mmcv's image loader at the start of a test pipeline and put others in its place: theirs cut 16 bits to 8 and
leave out what our networks need. Where a pipeline has a loader that takes arrays itself (``takes_arrays``), it stays.
Weights that do not fit a network of ours are refused. Everything else, other networks included, is mmdet's.
"""
import copy
import os
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import cv2
import mmengine
import numpy as np
from mmcv.transforms import Compose
from mmdet.registry import TRANSFORMS
from mmdet.utils import get_test_pipeline_cfg
from mmengine.config import Config
from mmengine.runner import CheckpointLoader
from torch import nn

from ..fileio import write_bytes
from .weights_fit import require_fit


def install() -> None:
    """Adapt both, the first time it is called."""
    # Not before the operators are there, which all of mmdet's models need.
    from mmdet import apis
    from mmdet.apis import DetInferencer, inference
    for owner, name, around in ((inference, 'get_test_pipeline_cfg', _keep_loader),
                                (inference, 'load_checkpoint', _load_checkpoint),
                                (inference, 'init_detector', _init_detector),
                                (DetInferencer, '_load_weights_to_model', _load_weights),
                                (DetInferencer, '_init_pipeline', _init_pipeline),
                                (DetInferencer, '_inputs_to_list', _inputs_to_list),
                                (DetInferencer, 'visualize', _visualize),
                                (DetInferencer, 'pred2dict', _pred2dict)):
        _wrap(owner, name, around)
    apis.init_detector = inference.init_detector


def _wrap(owner: Any, name: str, around: Callable) -> None:
    """Replace a function by ``around(function, *arguments)``, once."""
    original = getattr(owner, name)
    if hasattr(original, '__wrapped__'):
        return

    @wraps(original)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return around(original, *args, **kwargs)

    setattr(owner, name, wrapped)


def _takes_arrays(step: Any) -> bool:
    """Whether a step of a pipeline, built or not, loads files and arrays alike."""
    kind = step.get('type') if isinstance(step, dict) else step
    kind = TRANSFORMS.get(kind) if isinstance(kind, str) else kind  # a class in configs of mmengine's new style
    return getattr(kind, 'takes_arrays', False)


def _load_checkpoint(original: Callable, model: nn.Module, filename: str | Path, *args: Any, **kwargs: Any) -> dict:
    """What ``init_detector`` loads weights by."""
    _require_fit(model, CheckpointLoader.load_checkpoint(str(filename), 'cpu', logger='silent'), str(filename))
    return original(model, str(filename), *args, **kwargs)


def _load_weights(original: Callable, inferencer: Any, model: nn.Module, checkpoint: dict | None, cfg: Any) -> None:
    if checkpoint is not None:
        _require_fit(model, checkpoint, 'weights')
    original(inferencer, model, checkpoint, _with_lazy_parts(cfg))


def _init_detector(original: Callable, config: Any, *args: Any, **kwargs: Any) -> nn.Module:
    config = Config.fromfile(config) if isinstance(config, (str, Path)) else config
    return original(_with_lazy_parts(config), *args, **kwargs)


def _with_lazy_parts(cfg: Any) -> Any:
    """A config whose test data need not be at hand: mmdet asks the dataset for its colours, and the wrapper alone."""
    settings = cfg.get('test_dataloader') if isinstance(cfg, (Config, dict)) else None
    dataset = settings.get('dataset') if isinstance(settings, dict) else None
    if not isinstance(dataset, dict) or not {'dataset', 'datasets'} & dataset.keys():
        return cfg
    cfg = copy.deepcopy(cfg)
    waiting = [cfg['test_dataloader']['dataset']]
    while waiting:
        part = waiting.pop()
        part['lazy_init'] = True
        inner = [part[key] for key in ('dataset', 'datasets') if key in part]
        waiting += [item for value in inner for item in (value if isinstance(value, list) else [value])]
    return cfg


def _require_fit(model: nn.Module, checkpoint: dict, source: str) -> None:
    """Refuse what mmdet would load in part, where the network or the checkpoint is of this package.

    Raises:
        InputError: If a weight is missing, of another shape, or unknown to the network.
    """
    own = any(type(part).__module__.startswith('bafenet.') for part in model.modules())
    # By its name: the datasets are above.
    if own or 'DenseSIRSTDataset' in checkpoint.get('meta', {}).get('cfg', ''):
        require_fit(model.state_dict(), checkpoint.get('state_dict', checkpoint), source)


def _keep_loader(original: Callable, cfg: Any) -> Any:
    """The steps of a test pipeline; its loader is built, so that ``inference_detector`` cannot replace it."""
    steps = original(cfg)
    return [TRANSFORMS.build(steps[0]), *steps[1:]] if _takes_arrays(steps[0]) else steps


def _init_pipeline(original: Callable, inferencer: Any, cfg: Any) -> Any:
    try:
        steps = get_test_pipeline_cfg(cfg)  # through ConcatDataset and other wrappers too
    except RuntimeError:
        steps = ()
    if any(map(_takes_arrays, steps)):
        return Compose([_as_results, *steps])
    return original(inferencer, cfg)


def _as_results(frame: Any) -> dict:
    """What a pipeline begins with: the path of a frame, or the frame itself."""
    return frame if isinstance(frame, dict) else {'img_path' if isinstance(frame, str) else 'img': frame}


def _inputs_to_list(original: Callable, inferencer: Any, inputs: Any) -> list:
    frames = original(inferencer, str(inputs) if isinstance(inputs, os.PathLike) else inputs)
    return [str(frame) if isinstance(frame, os.PathLike) else frame for frame in frames]


def _visualize(original: Callable, inferencer: Any, inputs: Sequence, *args: Any, **kwargs: Any) -> Any:
    if _is_adapted(inferencer):
        inputs = [_as_rgb(frame) if isinstance(frame, np.ndarray) else frame for frame in inputs]
    return original(inferencer, inputs, *args, **kwargs)


def _pred2dict(original: Callable, inferencer: Any, data_sample: Any, pred_out_dir: str = '') -> dict:
    """Mmdet's dict with the sky map: uint8 (H, W) as ``sem_seg``, or where files are written ``sem_seg_path``."""
    number = inferencer.num_predicted_imgs
    result = original(inferencer, data_sample, pred_out_dir)
    if 'pred_sem_seg' not in data_sample or not _is_adapted(inferencer):
        return result
    sky = data_sample.pred_sem_seg.sem_seg[0].cpu().numpy().astype(np.uint8)
    if not pred_out_dir:
        return {**result, 'sem_seg': sky}
    stem = Path(data_sample.img_path).stem if 'img_path' in data_sample else str(number)
    file = Path(pred_out_dir, 'preds', f'{stem}_sem_seg.png')
    write_bytes(file, cv2.imencode('.png', sky)[1].tobytes())
    result['sem_seg_path'] = str(file)
    mmengine.dump(result, str(file.with_name(f'{stem}.json')))
    return result


def _is_adapted(inferencer: Any) -> bool:
    return any(map(_takes_arrays, getattr(inferencer.pipeline, 'transforms', ())))


def _as_rgb(frame: np.ndarray) -> np.ndarray:
    """A frame, grey (H, W) or (H, W, 1) or BGR (H, W, 3), for a visualizer: (H, W, 3), RGB."""
    if frame.ndim == 3 and frame.shape[2] == 3:
        return frame[..., ::-1]
    return np.repeat(frame.reshape(*frame.shape[:2], 1), 3, axis=2)
