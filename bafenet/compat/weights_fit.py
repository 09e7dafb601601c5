"""Whether the weights of a checkpoint fit a network: names and shapes that differ, in words."""
import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from ..errors import InputError, printable

# Parts of a BAFE-Head by which detection is not what it was without them.
_PARTS = 'seg_convs', 'conv_seg', 'refine', 'cls_bottleneck', 'seg_bottleneck', 'exchange'


def refuse_dropped_parts(unknown: Iterable[str], source: str, head: str = 'bbox_head') -> None:
    """Refuse weights of parts of a BAFE-Head that the network lacks: detection goes through them.

    Other weights may be left out where a network is fine-tuned: a class layer of another number of classes, say.

    Args:
        unknown: Names of weights that are not the network's.
        source: What the weights are called, for the message.
        head: Name of the head before its parts; empty where names begin with these.

    Raises:
        InputError: If one is of the sky branch, a refinement, a bottleneck or an exchange.
    """
    start = rf'(?:^|\.){head}\.' if head else '^'
    found = (re.search(rf'{start}({"|".join(_PARTS)})\.', name) for name in unknown)
    dropped = sorted({match[1] for match in found if match})
    if dropped:
        raise InputError(f'{printable(source)} does not fit the network: it has weights of {", ".join(dropped)} of the '
                         'head, and the network has no such part; detection went through it and would find nothing '
                         'without it; leave with_seg, refine, bottleneck and exchange of model.bbox_head as they were '
                         "trained (frames without sky maps cost the sky branch nothing: set the dataset's sky to "
                         "'optional' or 'none')")


def require_fit(expected: Mapping[str, Tensor], weights: Mapping[str, Any], source: str) -> None:
    """Refuse weights of which a name or a shape is not the network's.

    Args:
        expected: The network's ``state_dict()``.
        weights: The checkpoint's; a ``module.`` before a name (from a parallel run) does not count.
        source: What the checkpoint is called, for the message.

    Raises:
        InputError: If a weight is missing, of another shape, or unknown to the network.
    """
    refuse_misfit(misfit(expected, weights), source)


def misfit(expected: Mapping[str, Tensor], weights: Mapping[str, Any]) -> str:
    """In which weights a checkpoint differs from a network, in words; empty for none. See :func:`require_fit`."""
    tensors = {str(name).removeprefix('module.'): value for name, value in weights.items() if isinstance(value, Tensor)}
    shapes = {name: tuple(value.shape) for name, value in tensors.items()}
    other = [name for name, value in expected.items()
             if shapes.get(name) != tuple(value.shape) and not may_be_missing(name)]
    more = without_lent(sorted(shapes.keys() - expected.keys()), tensors, expected)
    kinds = (('missing or of another shape', other), ('unknown to the network', more))
    return ', '.join(f'{len(names)} {kind} ({printable(names[0])}{", …" if len(names) > 1 else ""})'
                     for kind, names in kinds if names)


def may_be_missing(name: str) -> bool:
    """Whether a network works without this weight: those from before PyTorch 1.0 have no batch counters."""
    return name.endswith('num_batches_tracked')


def without_lent(unknown: Iterable[str], weights: Mapping[str, Any], expected: Iterable[str]) -> list[str]:
    """Names of unknown weights without those that the head has by another name.

    While it trains, mmdet's DDQ lends branches of its head to its decoder: a checkpoint has them twice.

    Args:
        unknown: Names of weights that are not the network's.
        weights: Those of the checkpoint, by name.
        expected: Names of the network's.
    """
    of_head = {name.partition('.')[2]: weights.get(name) for name in expected if name.startswith('bbox_head.')}
    return [name for name in unknown if not _is_equal(weights[name], of_head.get(name.partition('.')[2]))]


def _is_equal(value: Any, other: Any) -> bool:
    return isinstance(value, Tensor) and isinstance(other, Tensor) and torch.equal(value, other)


def refuse_misfit(differences: str, source: str) -> None:
    """Refuse weights that differ from a network's, in words; nothing is refused where these are empty."""
    if differences:
        raise InputError(f'checkpoint {printable(source)} does not fit the network of its config, weights: '
                         f'{differences}')
