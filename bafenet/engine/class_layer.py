"""Class layer of a detector fitted to other classes, where a training starts from the weights of another one."""
import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from bafenet.errors import printable

# FCOS and its kind call it conv_cls, the others of mmdet after themselves: retina_cls, atss_cls.
_LAYER = re.compile(r'(?:module\.)?bbox_head\.(?:\w+_)?cls\.(?:weight|bias)|(?:module\.)?bbox_head\.conv_cls\.\w+')


def fit_class_layer(checkpoint: dict, classes: Sequence[str]) -> tuple[dict, str | None]:
    """A checkpoint's weights for a head of other classes.

    A layer of as many classes stays as it is where none of the names is known (``Target`` to ``drone``). Else the
    weights of a class go with its name, and a class that is new begins with the mean of the old ones: it finds what
    any of them did.

    Args:
        checkpoint: A checkpoint, or a bare state dict; it is not changed.
        classes: Names of the classes that the head is to tell apart, c of them.

    Returns:
        The checkpoint, with another class layer where the classes differ, and a sentence that says what was done to
        it; None where the classes are the same, or nothing is known of a class layer.
    """
    weights = checkpoint.get('state_dict', checkpoint)
    layers = class_layers(weights)
    before = classes_of(checkpoint, weights, layers)
    if not before or not layers or list(before) == list(classes):
        return checkpoint, None
    was, now = (printable(', '.join(names)) for names in (before, classes))
    if len(before) == len(classes) and not set(before) & set(classes):
        return checkpoint, f'class layer kept: {now} instead of {was}'
    fitted = {name: _fit(weights[name], before, classes) for name in layers}
    kept = [name for name in classes if name in before]
    line = (f'class layer renewed for {now} (before: {was}): '
            + (f'{printable(", ".join(kept))} with the weights of before, the others from their mean' if kept
               else 'each class begins with the mean of those of before'))
    changed = type(weights)(weights)
    if hasattr(weights, '_metadata'):
        changed._metadata = weights._metadata
    changed.update(fitted)
    return (dict(checkpoint, state_dict=changed) if 'state_dict' in checkpoint else changed), line


def class_layers(weights: Mapping[str, Any]) -> list[str]:
    """Names of the weights of which each row belongs to one class."""
    return [name for name, value in weights.items() if _LAYER.fullmatch(str(name)) and isinstance(value, Tensor)]


def classes_of(checkpoint: Mapping[str, Any], weights: Mapping[str, Any], layers: Sequence[str]) -> list[str]:
    """The classes that a checkpoint was trained on; names of its own where it does not say, by the size of a layer."""
    meta = checkpoint.get('meta')
    found = meta.get('dataset_meta') if isinstance(meta, dict) else None
    named = {str(key).lower(): value for key, value in (found or {}).items()}.get('classes')
    if isinstance(named, (list, tuple)) and named:
        return list(map(str, named))
    bias = next((weights[name] for name in layers if weights[name].ndim == 1), None)
    return [f'class {number}' for number in range(len(bias))] if bias is not None else []


def _fit(layer: Tensor, before: Sequence[str], classes: Sequence[str]) -> Tensor:
    """A layer's rows (a·b, …), of a anchors and b classes, as (a·c, …); a layer of other rows as it is."""
    if len(layer) % len(before):
        return layer
    rows = layer.reshape(-1, len(before), *layer.shape[1:])
    mean = rows.mean(dim=1)
    fitted = torch.stack([rows[:, before.index(name)] if name in before else mean for name in classes], dim=1)
    return fitted.reshape(-1, *layer.shape[1:])
