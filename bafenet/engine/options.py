"""Loading a config: read, changed by ``--cfg-options``, and checked before anything is built from it."""
import difflib
import importlib
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import mmdet.registry
from mmengine.config import Config
from mmengine.logging import print_log

from bafenet.arguments import shown
from bafenet.errors import InputError, first_line, printable

from ..compat.config_text import parse_config
from .config_changes import LOADERS, OPTIONS, apply_settings, as_given, change_config
from .config_paths import setting
from .config_values import iterate_settings
from .option_text import as_option, parse_options, split_options
from .registered import parameters, require_known_types
from .splits import fill_splits

__all__ = ['apply_settings', 'as_option', 'find_config', 'load_config', 'parameters', 'parse_config', 'parse_options',
           'require_head', 'require_known_types', 'require_settings']

_ROOT = Path(__file__).resolve().parents[1]
# In a wheel the configs are inside the package, in a checkout beside it.
PACKAGED_CONFIGS = _ROOT / 'configs' if (_ROOT / 'configs').is_dir() else _ROOT.parent / 'configs'
MAX_FILE = 2**20  # bytes
WORKERS_ALONE = ('persistent_workers', 'prefetch_factor')  # settings of a loader that has workers
Settings = Mapping[str, Any] | Callable[[Config], Mapping[str, Any]]


def load_config(path: str, options: list[str] | None = None, needs: Sequence[str] = ('model', ),
                settings: Iterable[tuple[str, Settings]] = (), splits: str | None = None) -> Config:
    """Read a config, change settings in it, and check every value that a run or a tool reads.

    Data loaders without workers lose the two settings that ask for some, and ``{splits}`` in each ``ann_file`` becomes
    the config's ``splits``.

    Args:
        path: Config file; ``configs/…`` is also looked for in the installed package.
        options: ``KEY=VALUE`` options as given on the command line; they come last.
        needs: Dotted keys of the settings that must be there.
        settings: What comes before the options, in this order: where it is from, for messages, and plain values by
            dotted key, or what makes these of the config as it then is; see :func:`apply_settings`.
        splits: The config's ``splits``: ``'v2'``, or ``'rec'`` for those that share no recording.

    Raises:
        InputError: If there is no such config, it cannot be read, a key names no setting, or a value is of the wrong
            type, out of range, or names what no registry knows.
    """
    file = find_config(path)
    cfg = _read(file)
    _import_modules(cfg, file)
    given = split_options(options or [])
    if splits is not None:
        settings = [*settings, ('--splits', {'splits': splits})]
    if splits is not None and 'splits' in given and given['splits'].verbatim != splits:
        raise InputError(f'--splits {printable(splits)}: splits={printable(given["splits"].text)} is given too; give '
                         'one of them')
    keys = set(given)
    for source, values in settings:
        before = as_given(values(cfg) if callable(values) else values, source)
        change_config(cfg, before, f'{printable(source)}: ', file)
        keys |= set(before)

    def prepare(changed: Config) -> None:
        if any(key.split('.')[0] == 'custom_imports' for key in given):
            _import_modules(changed, '--cfg-options')

    change_config(cfg, given, OPTIONS, file, prepare)
    fill_splits(cfg, file, 'splits' in keys)
    require_settings(cfg, file, *needs)
    _drop_unused_workers(cfg)
    _warn_of_unused_size(cfg._cfg_dict.to_dict(), file)
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
        if setting(cfg, *key.split('.')) is None:
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
    known = {file.name: str(Path('configs', file.relative_to(folder))) for folder in folders
             for file in folder.rglob('*.py') if '_base_' not in file.parts}
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


# --- What is looked at, once all is set -------------------------------------------------------------------------------


def _drop_unused_workers(cfg: Config) -> None:
    for loader in filter(None, map(cfg._cfg_dict.get, LOADERS)):
        if loader.get('num_workers', 0) == 0:
            for name in WORKERS_ALONE:
                loader.pop(name, None)


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
