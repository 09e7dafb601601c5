"""Check the fields of a checkpoint: each is plain data of the expected kind; what would be executed is dropped.

mmengine trusts a checkpoint. It executes ``meta['config']``, updates objects by what stands for their state,
and removes files by the names that it finds. Files that unpack to more than they are, and weights that are not finite,
are refused too.
"""
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

from ..errors import InputError, printable
from ..fields import summary

ANOTHER = 'give another checkpoint, such as the one saved before it'
# Executed as Python by mmengine's Runner.resume and by mmdet's DetInferencer.
EXECUTED = (('meta', 'config'), ('message_hub', 'runtime_info', 'cfg'))
HASH_BYTES = 8
_MAX_TEXT = 2**20  # characters of a config
_MAX_COUNT = 2**31
_MAX_DEPTH = 8
# Tied weights are few: more values than this many times the file's bytes are views of one another.
_MAX_VIEWS = 4

# --- The file ---------------------------------------------------------------------------------------------------------


def require_plain_archive(file: Path, source: str) -> None:
    """Refuse a zip archive that unpacks to more than it is; PyTorch stores its entries uncompressed.

    Args:
        file: The checkpoint; what is no zip archive passes.
        source: What it is called, for the message.

    Raises:
        InputError: If an entry is compressed, or entries share their bytes.
    """
    if not zipfile.is_zipfile(file):
        return
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
        raise InputError(f'{source} cannot be read (truncated or no checkpoint, {type(error).__name__}): '
                         f'{ANOTHER}') from error
    if any(entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size for entry in entries):
        raise InputError(f'{source} holds compressed entries, which may unpack to any size: unpack it with unzip and '
                         'zip it again with zip -0')
    if sum(entry.file_size for entry in entries) > file.stat().st_size:
        raise InputError(f'{source} says that it holds more than its {file.stat().st_size} bytes: {ANOTHER}')


# --- The fields -------------------------------------------------------------------------------------------------------


def check_fields(checkpoint: dict, source: str, size: int) -> dict:
    """Check every field of a checkpoint that is read later, and drop what would be executed.

    Args:
        checkpoint: What was read, changed in place; a bare state dict is one too.
        source: What it is called, for messages.
        size: Bytes of its file: what it holds cannot be more.

    Returns:
        The checkpoint.

    Raises:
        InputError: If a field is of the wrong type or out of range, or a weight is not finite.
    """
    for *path, key in EXECUTED:
        for _, node in _find(checkpoint, path):
            if isinstance(node, dict):
                node.pop(key, None)
    _check_weights(checkpoint, source, size)
    _check(checkpoint, source, _FIELDS)
    scalars = checkpoint.get('message_hub', {}).get('log_scalars', {})
    scalars.update({name: _plain_history(history) for name, history in scalars.items()})
    return checkpoint


def check_training_state(checkpoint: dict, source: str) -> None:
    """Check the fields by which a training goes on.

    Raises:
        InputError: As :func:`check_fields`.
    """
    _check(checkpoint, source, _TRAINING_FIELDS)


def _check(checkpoint: dict, source: str, fields: dict[str, '_Check']) -> None:
    for path, (is_good, words) in fields.items():
        for name, value in _find(checkpoint, path.split('.')):
            if not is_good(value):
                raise InputError(f'{source}: its {printable(name)} is {summary(value)}, not {words}; {ANOTHER}')


def _find(node: Any, path: list, name: str = '') -> Iterator[tuple[str, Any]]:
    """The values at a path, with their names; ``*`` stands for every key."""
    if not path:
        yield name, node
    elif isinstance(node, dict):
        keys = list(node) if path[0] == '*' else [path[0]]
        for key in keys:
            if key in node:
                yield from _find(node[key], path[1:], f'{name}.{key}'.lstrip('.'))


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MAX_COUNT


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _MAX_TEXT


def _is_seed(value: Any) -> bool:
    return value is None or (_is_count(value) or (isinstance(value, int) and 0 <= value < 2**32))


def _is_dict(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(key, str) for key in value)


def _is_plain(value: Any, depth: int = 0) -> bool:
    """Whether a value is of numbers, text and containers of these alone, neither deep nor cyclic."""
    if depth > _MAX_DEPTH:
        return False
    if isinstance(value, dict):
        return all(isinstance(key, (str, int)) and _is_plain(item, depth + 1) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return all(_is_plain(item, depth + 1) for item in value)
    if isinstance(value, torch.Tensor):
        return _is_plain_tensor(value) and value.numel() <= _MAX_TEXT
    return value is None or isinstance(value, (bool, int, float, str, np.generic, np.ndarray))


def _is_plain_dict(value: Any) -> bool:
    return _is_dict(value) and _is_plain(value)


def _is_history(value: Any) -> bool:
    """Whether a ``HistoryBuffer`` is one: values and counts as arrays of numbers, equally long."""
    if not isinstance(value, HistoryBuffer):
        return False
    arrays = [vars(value).get(name) for name in ('_log_history', '_count_history')]
    return (all(isinstance(array, np.ndarray) and array.ndim == 1 and array.dtype.kind in 'biuf' for array in arrays)
            and len(arrays[0]) == len(arrays[1]) and _is_count(vars(value).get('max_length')))


def _plain_history(history: HistoryBuffer) -> HistoryBuffer:
    """A history with nothing of the file's but its numbers."""
    return HistoryBuffer(*history.data, max_length=history.max_length)


def _is_classes(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value)


def _is_images(value: Any) -> bool:
    """Whether a value is what :class:`~bafenet.engine.run_checks.TrainingImagesHook` writes."""
    if not isinstance(value, dict):
        return False
    names: Any = value.get('names')
    hashes = value.get('sha256')
    return (_is_classes(names) and isinstance(hashes, torch.Tensor) and _is_plain_tensor(hashes)
            and hashes.dtype == torch.uint8 and hashes.shape == (len(names), HASH_BYTES))


def _is_optimizer(value: Any) -> bool:
    """Whether a value is the state of an optimizer; whether it is that of ours is seen when it is resumed."""
    if not isinstance(value, dict):
        return False
    if 'param_groups' not in value:  # of several optimizers
        return _is_dict(value) and all(isinstance(part, dict) and _is_optimizer(part) and 'param_groups' in part
                                       for part in value.values())
    groups, state = value['param_groups'], value.get('state')
    return (isinstance(groups, list) and all(_is_dict(group) and isinstance(group.get('params'), list)
                                             for group in groups) and isinstance(state, dict)
            and all(isinstance(entry, dict) for entry in state.values()))


def _is_schedulers(value: Any) -> bool:
    lists = value.values() if isinstance(value, dict) else [value]
    return all(isinstance(states, list) and all(_is_dict(state) for state in states) for states in lists)


_Check = tuple[Callable[[Any], bool], str]
_COUNT: _Check = _is_count, 'a whole number from 0'
_TEXT: _Check = _is_text, f'text of at most {_MAX_TEXT} characters'
_DICT: _Check = _is_dict, 'a dict with names as keys'
_FIELDS: dict[str, _Check] = {
    'meta': _DICT,
    'meta.epoch': _COUNT,
    'meta.iter': _COUNT,
    'meta.seed': (_is_seed, 'a whole number from 0 to 2**32 - 1'),
    'meta.cfg': _TEXT,
    'meta.experiment_name': _TEXT,
    'meta.time': _TEXT,
    'meta.mmengine_version': _TEXT,
    'meta.dataset_meta': (lambda value: value is None or _is_plain_dict(value), 'a dict of plain values'),
    'meta.dataset_meta.classes': (_is_classes, 'a list of names'),
    'meta.dataset_meta.CLASSES': (_is_classes, 'a list of names'),
    'meta.provenance': (_is_plain_dict, 'a dict of plain values'),
    'meta.training_images': (_is_images, f'names and {HASH_BYTES} bytes of SHA-256 for each'),
    'meta.schedule': _DICT,
    'meta.schedule.*': _COUNT,
    'message_hub': _DICT,
    'message_hub.log_scalars': _DICT,
    'message_hub.log_scalars.*': (_is_history, 'a history of numbers'),
    'message_hub.runtime_info': _DICT,
    'message_hub.runtime_info.*': (_is_plain, 'a plain value'),
    'message_hub.resumed_keys': _DICT,
    'message_hub.resumed_keys.*': (lambda value: isinstance(value, bool), 'True or False'),
}
_TRAINING_FIELDS: dict[str, _Check] = {
    'optimizer': (_is_optimizer, 'the state of an optimizer'),
    'param_schedulers': (_is_schedulers, 'a list of states of schedulers'),
}

# --- The weights ------------------------------------------------------------------------------------------------------


def _check_weights(checkpoint: dict, source: str, size: int) -> None:
    """Check that weights are plain finite tensors that the file has room for."""
    total = 0
    for part in ('state_dict', 'ema_state_dict'):
        weights: Any = checkpoint.get(part)
        if part == 'state_dict' and part not in checkpoint:
            weights = {name: value for name, value in checkpoint.items() if isinstance(value, torch.Tensor)}
        if weights is None and part not in checkpoint:
            continue
        if not _is_dict(weights):
            raise InputError(f'{source}: its {part} is {summary(weights)}, not a dict of weights by name; {ANOTHER}')
        for name, value in weights.items():
            if not isinstance(value, torch.Tensor) or not _is_plain_tensor(value):
                raise InputError(f'{source}: its {part} has {printable(name)}, which is no plain tensor; {ANOTHER}')
            total += value.numel() * value.element_size()
            if total > _MAX_VIEWS * size:
                raise InputError(f'{source}: its weights take more than the {size} bytes of the file; {ANOTHER}')
            # Networks have float32, in which float64 may be infinite.
            if value.is_floating_point() and not torch.isfinite(value.float()).all():
                raise InputError(f'{source} cannot hold a trained network, its weights are not finite '
                                 f'({printable(name)}): the training had diverged; {ANOTHER}')
        # Versions of the modules' formats.
        metadata = getattr(weights, '_metadata', None)
        if metadata is not None and not (_is_dict(metadata) and all(map(_is_dict, metadata.values()))):
            del weights._metadata


def _is_plain_tensor(value: torch.Tensor) -> bool:
    """Whether a tensor is dense and of real numbers, and has as many values in memory as it says."""
    return (type(value) in (torch.Tensor, torch.nn.Parameter) and value.layout == torch.strided
            and not value.is_quantized and not value.is_complex() and value.device.type != 'meta'
            and value.numel() * value.element_size() <= value.untyped_storage().nbytes())


def is_finite(state_dict: dict[str, torch.Tensor]) -> bool:
    """Whether all floating point weights are finite."""
    return all(bool(torch.isfinite(value).all()) for value in state_dict.values()
               if isinstance(value, torch.Tensor) and value.is_floating_point())
