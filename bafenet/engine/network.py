"""A network from the config and weights of a checkpoint: nothing is built that the weights do not fill."""
import copy
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor, nn
from torch.nn.modules import module as torch_module

from ..compat.config_text import parse_config
from ..compat.weights_fit import refuse_misfit, require_fit
from ..errors import InputError, first_line, printable
from .checkpoints import load_weights
from .config_paths import numbers_in
from .options import require_known_types

# No width, depth or stride of a network is larger; a loop of more turns would not end.
MAX_INTEGER = 2**20


def trained_config(checkpoint: dict, file: str, remedy: str = '') -> Config:
    """The config that training has put into a checkpoint, read as data.

    Args:
        checkpoint: The checkpoint.
        file: Its name, for messages.
        remedy: What else may be done where it holds none; ends that sentence.

    Raises:
        InputError: If it holds none, or one that is more than plain values.
    """
    source, meta = f'checkpoint {printable(file)}', checkpoint.get('meta', {})
    if 'cfg' not in meta:
        raise InputError(f'{source} holds no config: give one that training wrote, as epoch_N.pth{remedy}')
    return parse_config(meta['cfg'], source)


def build_network(cfg: Config, checkpoint: dict, source: str) -> nn.Module:
    """The config's network with a checkpoint's weights, to predict.

    Names and shapes are first compared on PyTorch's ``meta`` device, which has no memory: a config may ask for a
    network of any size.

    Args:
        cfg: Config with ``model``.
        checkpoint: A checkpoint, or a bare state dict.
        source: The checkpoint's name, for messages.

    Raises:
        InputError: If the config names what is no part of a network, no network can be built from it, or the weights do
            not fit.
    """
    init_default_scope('mmdet')
    require_known_types(cfg.get('model'), source)
    if not isinstance(cfg.get('model'), dict):
        raise InputError(f'{printable(source)}: its config has no model')
    _require_small_integers(cfg.model, source)
    weights = checkpoint.get('state_dict', checkpoint)
    outline = _build(cfg, weights, source, 'meta')
    if outline is not None:
        require_fit(outline.state_dict(), weights, source)
    network = _build(cfg, weights, source, 'cpu')
    assert network is not None  # only the outline may be
    report = load_weights(network, checkpoint)
    refuse_misfit('' if report.fits else report.describe(examples=1), source)
    return network.eval()


def outline_of(cfg: Config, checkpoint: dict, source: str) -> nn.Module | None:
    """The config's network without memory, on PyTorch's ``meta`` device, to compare names and shapes with.

    Args:
        cfg: Config with ``model``.
        checkpoint: A checkpoint, or a bare state dict, than whose weights it may not be much larger.
        source: The checkpoint's name, for messages.

    Returns:
        The network; None where a part of it cannot be built so.

    Raises:
        InputError: As :func:`build_network`.
    """
    init_default_scope('mmdet')
    return _build(cfg, checkpoint.get('state_dict', checkpoint), source, 'meta')


def _build(cfg: Config, weights: Mapping[str, Any], source: str, device: str) -> nn.Module | None:
    """Build the network on a device; None where a part of it cannot be built without memory."""
    try:
        with torch.device(device), _no_larger_than(weights):
            # mmdet writes into the config that it builds from.
            return MODELS.build(copy.deepcopy(cfg.model))
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # a crafted config can provoke any error
        if device == 'meta' and (isinstance(error, NotImplementedError) or 'meta' in str(error).lower()):
            return None
        kind = '' if isinstance(error, InputError) else f'{type(error).__name__}: '
        raise InputError(f'{printable(source)}: no network can be built from its config ({kind}{first_line(error)})'
                         ) from error


@contextmanager
def _no_larger_than(weights: Mapping[str, Any]) -> Iterator[None]:
    """Stop the building of a network that has more parts, or more numbers in them, than there are weights.

    Some parts are built and replaced; so twice as many are allowed.
    """
    tensors = [value for value in weights.values() if isinstance(value, Tensor)]
    left = dict(parts=20 * len(tensors) + 1000, numbers=2 * sum(map(Tensor.numel, tensors)) + MAX_INTEGER)

    def count(module: nn.Module, name: str, part: Any) -> None:
        left['parts'] -= 1
        if isinstance(part, Tensor) and part.device.type != 'meta':
            left['numbers'] -= part.numel()
        if min(left.values()) < 0:
            raise InputError('the network of the config is larger than the weights of the checkpoint; give the config '
                             'that it was trained with')

    with ExitStack() as stack:
        for register in (torch_module.register_module_module_registration_hook,
                         torch_module.register_module_parameter_registration_hook,
                         torch_module.register_module_buffer_registration_hook):
            stack.callback(register(count).remove)
        yield


def _require_small_integers(value: Any, source: str) -> None:
    for number in numbers_in(value):
        if isinstance(number, int) and abs(number) > MAX_INTEGER:
            raise InputError(f'{printable(source)}: its config has the number {number:.3g}, which no network has')
