"""The model of any mmdet 3.x config under one of our protocols: ``detector_model``, for configs.

Configs import it after ``_base_``, which is the protocol::

    from bafenet.engine.detector_model import detector_model
    model = detector_model('mmdet::gfl/gfl_r50_fpn_1x_coco.py', _base_.protocol_model)
"""
import difflib
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import mmdet
from mmengine.config import Config

from ..arguments import require_flags, require_whole, shown
from ..errors import InputError, first_line
from .options import find_config

MMDET = 'mmdet::'
# What tables compare is recall over at most so many boxes an image.
MAX_BOXES = 100
# A backbone's weights from ImageNet: their BatchNorm statistics stay, all else learns.
RESNET = dict(frozen_stages=-1, norm_cfg=dict(type='BN', requires_grad=False), norm_eval=True)
STATISTICS = ('mean', 'std', 'bgr_to_rgb', 'rgb_to_bgr')


def detector_model(source: str, protocol: Mapping[str, Any], num_classes: int = 1, own_statistics: bool = False,
                   **changes: Any) -> dict:
    """Take the model of a config, of mmdet or of ours, and put it under a protocol.

    Its classes become ``num_classes``, its images are normalised as the protocol says and padded as it itself needs, a
    ResNet starts from torchvision's weights with BatchNorm frozen and all stages learning, BatchNorm across processes
    (``SyncBN``, which CPUs lack) becomes that of one, and at most 100 boxes an image are kept. Data, schedule,
    optimizer and hooks of the config are not read.

    Args:
        source: ``mmdet::FOLDER/FILE.py``, a config in the installed mmdet, or the path of a config file.
        protocol: The protocol's ``protocol_model``: ``data_preprocessor``, and ``backbone`` for a ResNet.
        num_classes: Number of classes, at least 1.
        own_statistics: Keep the config's means and deviations of images: for a backbone whose weights were learnt with
            others than torchvision's.
        **changes: Merged into the model at last, as a config is into its base (``_delete_`` replaces a dict).

    Returns:
        The model: plain dicts, lists and values.

    Raises:
        InputError: If there is no such config, or it has no model.
    """
    require_whole('detector_model', num_classes=num_classes)
    require_flags('detector_model', own_statistics=own_statistics)
    model = _model_of(source)
    for part in _dicts(model):
        if 'num_classes' in part:
            part['num_classes'] = num_classes
        if part.get('type') == 'SyncBN':
            part['type'] = 'BN'
        if isinstance(part.get('max_per_img'), int) and 'score_thr' in part:
            part['max_per_img'] = min(part['max_per_img'], MAX_BOXES)
        if isinstance(weights := part.get('init_cfg'), dict) and 'checkpoint' in weights:
            weights.setdefault('type', 'Pretrained')  # which PVTv2's own configs leave out
    model['data_preprocessor'] = _preprocessor(model.get('data_preprocessor') or {}, protocol, own_statistics)
    backbone = model.get('backbone') or {}
    if backbone.get('type') == 'ResNet':
        weights = dict(type='Pretrained', checkpoint=f'torchvision://resnet{backbone["depth"]}')
        backbone.update(deepcopy(RESNET), **plain(protocol.get('backbone', {})), init_cfg=weights)
    cfg = Config(dict(model=model))
    cfg.merge_from_dict(dict(model=changes))
    return cfg.model.to_dict()


def _model_of(source: str) -> dict:
    """The model of a config, as plain values."""
    file = str(_of_mmdet(source)) if source.startswith(MMDET) else find_config(source)
    try:
        model = Config.fromfile(file).to_dict().get('model')
    except Exception as error:  # a config is Python, and may raise anything
        raise InputError(f'{shown(source)}: cannot be read ({type(error).__name__}: {first_line(error)})') from error
    if not isinstance(model, dict):
        raise InputError(f'{shown(source)}: it has no model; give the config of a detector')
    return model


def _of_mmdet(source: str) -> Path:
    """The file of ``mmdet::FOLDER/FILE.py`` in the installed mmdet."""
    folder = Path(mmdet.__file__).parent / '.mim' / 'configs'
    file = folder / source.removeprefix(MMDET)
    if not file.is_file():
        known = [f'{MMDET}{one.relative_to(folder).as_posix()}' for one in folder.rglob('*.py')]
        close = difflib.get_close_matches(source, known, n=2)
        hint = f'; did you mean {" or ".join(close)}?' if close else ''
        raise InputError(f'{shown(source)}: the installed mmdet {mmdet.__version__} has no such config{hint}')
    return file


def _preprocessor(own: Mapping[str, Any], protocol: Mapping[str, Any], own_statistics: bool) -> dict:
    """The protocol's preprocessor with the padding, and if so wanted the statistics, of the config's own."""
    padding = max(own.get('pad_size_divisor', 1), protocol['data_preprocessor'].get('pad_size_divisor', 1))
    kept = {key: own[key] for key in STATISTICS if key in own} if own_statistics else {}
    base = {key: value for key, value in plain(protocol['data_preprocessor']).items()
            if not (own_statistics and key in STATISTICS)}
    return {**base, **kept, 'pad_size_divisor': padding}


def _dicts(node: Any) -> Iterator[dict]:
    """A dict and all that are below it."""
    if isinstance(node, dict):
        yield node
    for item in node.values() if isinstance(node, dict) else node if isinstance(node, (list, tuple)) else ():
        yield from _dicts(item)


def plain(settings: Any) -> dict:
    """A copy of settings without mmengine's own kind of dict."""
    return settings.to_dict() if hasattr(settings, 'to_dict') else dict(settings)
