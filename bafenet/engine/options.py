"""Configs and ``--cfg-options``: read, merged and checked before anything is built from them."""
import difflib
import importlib
import logging
import os
from collections.abc import Sequence
from copy import copy, deepcopy
from pathlib import Path
from typing import Any

import mmdet.registry
from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from bafenet.arguments import shown
from bafenet.errors import InputError, first_line, printable

from ..compat.config_text import parse_config
from .config_values import check_values, fit_option, iterate_settings, variables_hint
from .option_text import parse_options, split_options
from .registered import closest, find_type, parameters, refused, require_known_types

__all__ = ['check_option', 'find_config', 'load_config', 'parameters', 'parse_config', 'parse_options', 'require_head',
           'require_known_types', 'require_settings']

_ROOT = Path(__file__).resolve().parents[1]
# In a wheel the configs are inside the package, in a checkout beside it.
PACKAGED_CONFIGS = _ROOT / 'configs' if (_ROOT / 'configs').is_dir() else _ROOT.parent / 'configs'
# Read by the tools and by mmengine, beside the runner's own arguments.
ROOT_KEYS = frozenset(('runner_type', 'custom_imports', 'auto_scale_lr', 'find_unused_parameters'))
# What mmengine takes out before it calls the constructor.
_POPPED = {'type', '_scope_', 'paramwise_cfg', 'constructor', 'convert_to_iter_based', 'priority'}
MAX_FILE = 2**20  # bytes
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def load_config(path: str, options: list[str] | None = None, needs: Sequence[str] = ('model', )) -> Config:
    """Read a config, apply ``KEY=VALUE`` options to it, and check every value that a run or a tool reads.

    Data loaders without workers lose the two settings that ask for some.

    Args:
        path: Config file; ``configs/…`` is also looked for in the installed package.
        options: Options as given on the command line.
        needs: Dotted keys of the settings that must be there.

    Raises:
        InputError: If there is no such config, it cannot be read, an option names no setting, or a value is of the
            wrong type, out of range, or names what no registry knows.
    """
    file = find_config(path)
    cfg = _read(file)
    _import_modules(cfg, file)
    given = split_options(options or [])
    before = _apply(cfg, given)
    if any(key.split('.')[0] == 'custom_imports' for key in given):
        _import_modules(cfg, '--cfg-options')
    plain = cfg._cfg_dict.to_dict()
    check_values(_settings(plain), printable(file), before)
    for key in given:
        _require_arguments_of(cfg, key)
    require_settings(cfg, file, *needs)
    _drop_unused_workers(cfg)
    _warn_of_unused_size(plain, file)
    return cfg


def require_settings(cfg: Config, source: str, *keys: str) -> None:
    """Refuse a config that lacks a part, or has it switched off by None.

    Args:
        cfg: The config.
        source: Its file.
        *keys: Dotted keys.

    Raises:
        InputError: If one is absent.
    """
    for key in keys:
        node: Any = cfg._cfg_dict
        for part in key.split('.'):
            node = node.get(part) if isinstance(node, dict) else None
        if node is None:
            raise InputError(f'{printable(source)}: the config has no {key}, which is needed here; add it, or start '
                             'from one of configs/ by _base_')


# --- Reading ----------------------------------------------------------------------------------------------------------


def find_config(path: str) -> str:
    """The config's file: as named, or in the installed package.

    Raises:
        InputError: If neither exists, or it is no file; names that are close are given.
    """
    if os.path.isfile(path):
        return path
    if os.path.exists(path):
        raise InputError(f'{printable(path)}: a folder or no ordinary file; give a config file, as '
                         'configs/demo/bafenet_r18_demo.py')
    parts = Path(path).parts
    packaged = PACKAGED_CONFIGS.joinpath(*parts[parts.index('configs') + 1:] if 'configs' in parts else parts)
    if os.path.isfile(packaged):
        return str(packaged)
    folders = [folder for folder in (Path('configs'), PACKAGED_CONFIGS) if folder.is_dir()]
    known = {file.name: str(file) for folder in folders for file in folder.rglob('*.py') if '_base_' not in file.parts}
    close = difflib.get_close_matches(Path(path).name, known, n=3)
    hint = f'; close: {", ".join(known[name] for name in close)}' if close else ''
    raise InputError(f'{printable(path)}: no such config{hint}')


def _read(file: str) -> Config:
    name = printable(file)
    if Path(file).suffix != '.py':
        raise InputError(f'{name}: a config is a Python file and ends in .py, as those in configs/')
    if os.path.getsize(file) > MAX_FILE:
        raise InputError(f'{name}: larger than {MAX_FILE >> 20} MiB, which no config is; give a config file')
    try:
        cfg = Config.fromfile(file, import_custom_modules=False)
    except RecursionError as error:
        raise InputError(f'{name}: the config cannot be read: RecursionError: its _base_ files name one another, or it '
                         'calls or holds itself without end') from error
    except (Exception, SystemExit) as error:
        raise InputError(f'{name}: the config cannot be read: {type(error).__name__}: {first_line(error)}') from error
    if not cfg._cfg_dict:
        raise InputError(f'{name}: the config is empty; start from one of configs/ by _base_')
    return cfg


def _import_modules(cfg: Config, source: str) -> None:
    """Import what ``custom_imports`` names, which mmengine does for what stands in the file alone."""
    settings = cfg._cfg_dict.get('custom_imports')
    if settings is None:
        return
    names = settings.get('imports', []) if isinstance(settings, dict) else None
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) and name for name in names):
        raise InputError(f'{printable(source)}: custom_imports={shown(settings)} must be '
                         "dict(imports=['MODULE', …], allow_failed_imports=False)")
    for name in names:
        try:
            importlib.import_module(name)
        except (Exception, SystemExit) as error:
            line = (f'{printable(source)}: custom_imports.imports names {shown(name)}, which cannot be imported: '
                    f'{type(error).__name__}: {first_line(error)}')
            if not (isinstance(error, ImportError) and settings.get('allow_failed_imports') is True):
                raise InputError(f'{line}; install it, or put its folder into PYTHONPATH') from error
            print_log(line, 'current', logging.WARNING)


# --- Options ----------------------------------------------------------------------------------------------------------


def _apply(cfg: Config, given: dict[str, tuple[str, Any]]) -> dict[str, Any]:
    """Set options in a config, and return what stood there before by key, None where nothing did."""
    # What an option adds may be described by the type that another option sets.
    typed = Config(deepcopy(cfg._cfg_dict.to_dict()))
    types = [key for key in given if key.rsplit('.', 1)[-1] == 'type']
    for key in sorted(types, key=len):
        check_option(typed, key)
        _set(typed, key, given[key][1])
    values, before = {}, {}
    for key, (text, value) in given.items():
        check_option(typed, key)
        parent, exists, old = _look_up(typed._cfg_dict, key.split('.'))
        target = find_type(parent['type']) if isinstance(parent, dict) and parent.get('type') is not None else None
        values[key], before[key] = fit_option(key, text, value, old, target, exists), old
    for key, value in values.items():
        _set(cfg, key, value)
    return before


def _require_arguments_of(cfg: Config, key: str) -> None:
    """Refuse a type that does not take the settings that stand beside it; an option cannot remove them."""
    parts = key.split('.')
    node, _, name = _look_up(cfg._cfg_dict, parts)
    if parts[-1] != 'type' or parts[-2] in ('nms', 'clip_grad'):
        return
    unknown = sorted(refused(find_type(name), set(node) - _POPPED))
    if unknown:
        raise InputError(f'--cfg-options {printable(key)}={shown(name)}: it takes no {printable(", ".join(unknown))}, '
                         f'which the config sets beside it; write a config of your own with _delete_=True there')


def _look_up(node: Any, parts: list[str]) -> tuple[Any, bool, Any]:
    """The node that a key's last part is in (None where it is not there yet), whether it is there, and its value."""
    for depth, part in enumerate(parts):
        parent, key = node, int(part) if isinstance(node, (list, tuple)) else part
        if isinstance(node, dict) and key not in node:
            return (node if depth == len(parts) - 1 else None), False, None
        node = node[key]
    return parent, True, node


def _set(cfg: Config, key: str, value: Any) -> None:
    object.__setattr__(cfg, '_cfg_dict', _replaced(cfg._cfg_dict, key.split('.'), value))


def _replaced(node: Any, parts: list[str], value: Any) -> Any:
    """A copy of a node with one value in it replaced; the node may stand elsewhere in the config too."""
    if not parts:
        return value
    first, rest = parts[0], parts[1:]
    if isinstance(node, (list, tuple)):
        items = list(node)
        items[int(first)] = _replaced(items[int(first)], rest, value)
        return type(node)(items)
    node = copy(node) if isinstance(node, dict) else ConfigDict()
    node[first] = _replaced(node.get(first), rest, value)
    return node


def check_option(cfg: Config, key: str) -> None:
    """Refuse a key that is no setting.

    A key is one if it exists, or if the constructor of the ``type`` beside it takes it. A variable of the config file
    is none: its value is in the settings already.

    Args:
        cfg: The config.
        key: Dotted path, list indices as numbers.

    Raises:
        InputError: If it is none.
    """
    node: Any = cfg._cfg_dict
    parts = key.split('.')
    for depth, part in enumerate(parts):
        prefix, accepted = '.'.join(parts[:depth]), frozenset()
        if part.startswith('_'):
            raise InputError(f'--cfg-options {printable(key)}: {shown(part)} is no setting; write a config of your own')
        if depth == 0 and part in node and part not in _accepted(node, prefix):
            _refuse_variable(node.to_dict(), key, part)
        if isinstance(node, (list, tuple)) and _is_index(part, len(node)):
            node = node[int(part)]
        elif isinstance(node, dict) and part in node:
            node = node[part]
        elif isinstance(node, dict) and part in (accepted := _accepted(node, prefix)):
            # The constructor takes it; what is below is its own business.
            return
        else:
            close = closest(part, list(node) + sorted(accepted)) if isinstance(node, dict) else None
            hint = f'; did you mean {printable(".".join(filter(None, (prefix, close))))}?' if close else ''
            if isinstance(node, (list, tuple)):
                hint = f'; it has {len(node)} entries, the first one is {printable(prefix)}.0'
            raise InputError(f'--cfg-options {shown(key)[1:-1]}: {printable(prefix) or "the config"} has no '
                             f'{shown(part)}{hint}')


def _is_index(part: str, length: int) -> bool:
    return part.isascii() and part.isdigit() and len(part) < 7 and str(int(part)) == part and int(part) < length


def _refuse_variable(node: dict, key: str, name: str) -> None:
    settings = {key: value for key, value in _settings(node).items() if key != name}
    hint = variables_hint(settings, node[name]) or 'the setting, as train_dataloader.dataset.pipeline.2.prob'
    if name == 'input_size':
        hint += '; for the cost at another size give tools/analysis/complexity.py --shape HEIGHT WIDTH'
    raise InputError(f'--cfg-options {printable(key)}: {printable(name)} is a variable of the config file, and what '
                     f'was made of it stays as it is; set {hint}')


def _accepted(node: ConfigDict, key: str) -> frozenset:
    """Names that may be added to a node of a config."""
    if not key:
        return parameters(Runner) | ROOT_KEYS
    if key in LOADERS:
        return parameters(DataLoader)
    return parameters(find_type(node['type'])) if 'type' in node else frozenset()


# --- What is checked --------------------------------------------------------------------------------------------------


def _settings(plain: dict) -> dict:
    """What a run or a tool reads of a config; the rest are variables."""
    known = parameters(Runner) | ROOT_KEYS | {'input_size'}
    return {key: value for key, value in plain.items() if key in known}


def _drop_unused_workers(cfg: Config) -> None:
    for loader in filter(None, map(cfg._cfg_dict.get, LOADERS)):
        if loader.get('num_workers', 0) == 0:
            loader.pop('persistent_workers', None)
            loader.pop('prefetch_factor', None)


def _warn_of_unused_size(plain: dict, file: str) -> None:
    """Say so where a config's ``input_size``, by which costs are counted, is no size that it resizes to."""
    size = plain.get('input_size')
    scales = {key: tuple(value) for name in LOADERS for key, value, _ in iterate_settings(plain.get(name), file, name)
              if key.endswith('.scale') and isinstance(value, (list, tuple))}
    if size is not None and scales and tuple(size) not in scales.values():
        print_log(f'{printable(file)}: input_size={tuple(size)} changes nothing that the network sees: '
                  f'{", ".join(f"{key}={value}" for key, value in scales.items())}; set these, or input_size as they '
                  'are', 'current', logging.WARNING)


def require_head(cfg: Config, source: str, kind: type, reason: str) -> None:
    """Refuse a config whose head is of another kind than a tool can use.

    Args:
        cfg: The config.
        source: Its file.
        kind: Class of the head, or a parent of it.
        reason: What the tool knows or does, for the message.

    Raises:
        InputError: If ``model.bbox_head`` is another, or absent.
    """
    head = cfg.model.get('bbox_head', {}).get('type', 'absent')
    if not issubclass(mmdet.registry.MODELS.get(head) or object, kind):
        raise InputError(f'{source}: model.bbox_head is {head}; {reason}')
