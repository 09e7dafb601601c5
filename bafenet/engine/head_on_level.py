"""Heads of mmdet's one-stage detectors on one of our networks: ``head_on_level``, for configs.

So that heads are compared with like and like, and not with their backbones, necks and levels. Configs import it after
``_base_``, which has the network::

    from bafenet.engine.head_on_level import head_on_level
    model = head_on_level('mmdet::gfl/gfl_r50_fpn_1x_coco.py', _base_.model)
"""
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from ..arguments import require_number, shown
from ..errors import InputError
from .detector_model import detector_model, plain
from .registered import find_type, parameters

_ALL_SIZES = ((-1, 1e8), )


def head_on_level(source: str, network: Mapping[str, Any], anchor: float = 4, **changes: Any) -> dict:
    """Put the head of a one-stage detector on the backbone and neck of another network, at its one level.

    The head keeps its assignment, losses, coding of boxes, thresholds and NMS. Its width, number of convolutions,
    normalisation and stride become those of the network's own head, it learns targets of all sizes there, and its
    anchors, if it has some, become ``anchor`` pixels long. At most 100 boxes an image are kept.

    Args:
        source: As of :func:`~bafenet.engine.detector_model.detector_model`: the config of a detector with one head.
        network: The model of a config: ``data_preprocessor``, ``backbone``, ``neck``, and a ``bbox_head`` with one
            stride.
        anchor: Side of the (smallest) anchors, in pixels, above 0; most of DenseSIRST's targets are 3 or 4 px long.
        **changes: Merged into the model at last, as a config is into its base.

    Returns:
        The model: plain dicts, lists and values, with ``_delete_``, so that it replaces the network's.

    Raises:
        InputError: If the config has no such head, or the network not one level.
    """
    require_number('head_on_level: anchor', anchor, 0, above=True, unit='pixels')
    ours = network.get('bbox_head') or {}
    if len(ours.get('strides') or ()) != 1:
        raise InputError(f'head_on_level: the network needs a bbox_head of one stride, as [2], not '
                         f'{shown(ours.get("strides"))}')
    model = detector_model(source, dict(data_preprocessor=network['data_preprocessor']), ours.get('num_classes', 1))
    head = model.get('bbox_head')
    if not isinstance(head, dict) or 'rpn_head' in model or 'roi_head' in model:
        raise InputError(f'{shown(source)}: it is no one-stage detector with one bbox_head')
    _fit_head(head, ours, anchor)
    necks = model.get('neck')
    # What stands behind a feature pyramid belongs to the head, as DyHead.
    behind = [dict(neck, in_channels=ours['in_channels'], out_channels=ours['in_channels'])
              for neck in (necks[1:] if isinstance(necks, list) else ())]
    model.update(backbone=plain(network['backbone']), neck=plain(network['neck']))
    if behind:
        model['neck'] = [model['neck'], *behind]
    cfg = Config(dict(model=model))
    cfg.merge_from_dict(dict(model=changes))
    return dict(cfg.model.to_dict(), _delete_=True)


def _fit_head(head: dict, ours: Mapping[str, Any], anchor: float) -> None:
    """Give a head the width, depth, normalisation, stride and anchors of one level."""
    stride, convs = ours['strides'][0], ours['stacked_convs']
    taken = parameters(find_type(head['type'])) | set(head)
    # None and 0 convolutions are a head's own: they stand elsewhere, as in DyHead.
    depth = {name: convs for name in ('stacked_convs', 'num_cls_convs', 'num_reg_convs') if head.get(name, convs)}
    fitted = dict(
        depth, in_channels=ours['in_channels'], out_channels=ours['feat_channels'],
        feat_channels=ours['feat_channels'], norm_cfg=plain(ours['norm_cfg']), strides=[stride],
        featmap_strides=[stride], regress_ranges=_ALL_SIZES)
    for name, value in fitted.items():
        if name not in taken:
            continue
        # One a level, in SSD and YOLOv3.
        listed = isinstance(head.get(name), (list, tuple)) and isinstance(value, int)
        head[name] = [value] if listed else value
    if 'anchor_generator' in head:
        head['anchor_generator'] = _one_level(head['anchor_generator'], stride, anchor)


def _one_level(anchors: dict, stride: int, side: float) -> dict:
    """Settings of a generator of anchors or points for one level, its smallest anchors ``side`` pixels long."""
    fitted = dict(anchors, strides=[stride])
    if anchors['type'] == 'SSDAnchorGenerator':
        fitted.update(basesize_ratio_range=None, min_sizes=[side], max_sizes=[2 * side], ratios=anchors['ratios'][:1])
    elif anchors['type'] == 'YOLOAnchorGenerator':
        fitted.update(base_sizes=[[(scale * side, scale * side) for scale in (1, 2, 4)]])
    elif anchors.get('octave_base_scale') is not None:
        fitted.update(octave_base_scale=side / stride)
    elif anchors.get('scales') is not None:
        fitted.update(scales=[scale / min(anchors['scales']) * side / stride for scale in anchors['scales']])
    return fitted
