"""Whether the weights of a checkpoint fit a network: names and shapes that differ, in words."""
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ..errors import InputError, printable


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
    shapes = {str(name).removeprefix('module.'): tuple(value.shape) for name, value in weights.items()
              if isinstance(value, Tensor)}
    # Weights from before PyTorch 1.0 have no batch counters, and none are needed.
    other = [name for name, value in expected.items()
             if shapes.get(name) != tuple(value.shape) and not name.endswith('num_batches_tracked')]
    more = sorted(shapes.keys() - expected.keys())
    kinds = (('missing or of another shape', other), ('unknown to the network', more))
    return ', '.join(f'{len(names)} {kind} ({printable(names[0])}{", …" if len(names) > 1 else ""})'
                     for kind, names in kinds if names)


def refuse_misfit(differences: str, source: str) -> None:
    """Refuse weights that differ from a network's, in words; nothing is refused where these are empty."""
    if differences:
        raise InputError(f'checkpoint {printable(source)} does not fit the network of its config, weights: '
                         f'{differences}')
