"""Configs and ``--cfg-options``, with a wrong key refused and not silently created."""
import ast
import difflib
import inspect
import os
from functools import cache
from pathlib import Path
from typing import Any, List, Optional

import mmcv.ops
import mmdet.registry
import mmengine.registry
from mmengine.config import Config, ConfigDict, DictAction
from mmengine.registry import Registry
from mmengine.runner import Runner

from bafenet.errors import InputError, first_line

_ROOT = Path(__file__).resolve().parents[1]
# In a wheel the configs are inside the package, in a checkout beside it.
PACKAGED_CONFIGS = _ROOT / 'configs' if (_ROOT / 'configs').is_dir() else _ROOT.parent / 'configs'
# Read by the tools and by mmengine, beside the runner's own arguments.
ROOT_KEYS = frozenset(('runner_type', 'custom_imports', 'auto_scale_lr', 'input_size', 'find_unused_parameters'))


def load_config(path: str, options: Optional[List[str]] = None) -> Config:
    """Read a config and apply ``KEY=VALUE`` options to it.

    Args:
        path: Config file; ``configs/…`` is also looked for in the installed package.
        options: Options as given on the command line.

    Raises:
        InputError: If there is no such config, it cannot be read, or an option names no setting.
    """
    file = find_config(path)
    try:
        cfg = Config.fromfile(file)
    except Exception as error:
        raise InputError(f'{file}: the config cannot be read: {type(error).__name__}: {first_line(error)}') from error
    values = parse_options(options or [])
    # What an option adds may be described by the type that another option sets.
    types = {key: value for key, value in values.items() if key.rsplit('.', 1)[-1] == 'type'}
    merged = Config(cfg._cfg_dict.to_dict())
    _merge(merged, types)
    for key in values:
        check_option(merged, key)
    _merge(cfg, values)
    return cfg


def parse_config(text: str, source: str) -> Config:
    """Read the text of a config, such as a checkpoint holds, without executing it.

    Args:
        text: Assignments of literals and of ``dict(key=literal)`` calls, as ``Config.pretty_text`` writes them.
        source: What it is the text of, for the message.

    Raises:
        InputError: If there is anything else in it.
    """
    try:
        values = {}
        for statement in _PlainDicts().visit(ast.parse(text)).body:
            target, = statement.targets
            values[target.id] = ast.literal_eval(statement.value)
    except (SyntaxError, ValueError, AttributeError, TypeError, RecursionError, MemoryError) as error:
        raise InputError(f'{source}: its config is more than plain values ({type(error).__name__}: '
                         f'{first_line(error)}); nothing in it was executed') from error
    return Config(values)


class _PlainDicts(ast.NodeTransformer):
    """Turns ``dict(a=1)`` into ``{'a': 1}``, which is a literal."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        node = self.generic_visit(node)
        if getattr(node.func, 'id', None) != 'dict' or node.args or any(item.arg is None for item in node.keywords):
            return node
        return ast.Dict([ast.Constant(item.arg) for item in node.keywords], [item.value for item in node.keywords])


def find_config(path: str) -> str:
    """The config's file: as named, or in the installed package.

    Raises:
        InputError: If neither exists; names that are close are given.
    """
    if os.path.isfile(path):
        return path
    parts = Path(path).parts
    packaged = PACKAGED_CONFIGS.joinpath(*parts[parts.index('configs') + 1:] if 'configs' in parts else parts)
    if packaged.is_file():
        return str(packaged)
    folders = [folder for folder in (Path('configs'), PACKAGED_CONFIGS) if folder.is_dir()]
    known = {file.name: str(file) for folder in folders for file in folder.rglob('*.py') if '_base_' not in file.parts}
    close = difflib.get_close_matches(Path(path).name, known, n=3)
    hint = f'; close: {", ".join(known[name] for name in close)}' if close else ''
    raise InputError(f'{path}: no such config{hint}')


def parse_options(options: List[str]) -> dict:
    """``KEY=VALUE`` strings as a dict; values are numbers, booleans, None, lists, tuples or strings.

    Raises:
        InputError: If an option is not of this form.
    """
    values = {}
    for option in options:
        key, separator, text = option.partition('=')
        if not key or not separator:
            raise InputError(f'--cfg-options {option}: must be KEY=VALUE')
        try:
            values[key] = DictAction._parse_iterable(text)
        except AssertionError as error:
            raise InputError(f'--cfg-options {option}: {error}') from error
    return values


def _merge(cfg: Config, values: dict) -> None:
    try:
        cfg.merge_from_dict(values)
    except (KeyError, TypeError, AssertionError, IndexError) as error:
        raise InputError(f'--cfg-options {" ".join(values)}: {first_line(error)}') from error


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
        if depth == 0 and part in node and part not in _accepted(node, root=True):
            raise InputError(f'--cfg-options {key}: {part} is a variable of the config file, and what was made of it '
                             'stays as it is; name the setting, as train_dataloader.dataset.pipeline.2.prob')
        if isinstance(node, (list, tuple)) and part.isdigit() and int(part) < len(node):
            node = node[int(part)]
        elif isinstance(node, dict) and part in node:
            node = node[part]
        elif isinstance(node, dict) and part in (accepted := _accepted(node, root=depth == 0)):
            # The constructor takes it; what is below is its own business.
            return
        else:
            names = list(node) + sorted(accepted) if isinstance(node, dict) else []
            close = difflib.get_close_matches(part, names, n=1)
            prefix = '.'.join(parts[:depth])
            hint = f'; did you mean {".".join(filter(None, (prefix, close[0])))}?' if close else ''
            raise InputError(f'--cfg-options {key}: {prefix or "the config"} has no {part!r}{hint}')


def _accepted(node: ConfigDict, root: bool) -> frozenset:
    """Names that may be added to a node of a config."""
    if root:
        return parameters(Runner) | ROOT_KEYS
    return parameters(find_type(node['type'])) if 'type' in node else frozenset()


def require_known_types(node: Any, source: str) -> None:
    """Refuse a part of a config that names what no registry holds, before anything is built from it.

    The registries would import and call any dotted name.

    Args:
        node: Part of a config, of plain values.
        source: Where it is from, for the message.

    Raises:
        InputError: If a ``type`` is none of the registered ones, or a ``_scope_`` is given.
    """
    if isinstance(node, (list, tuple)):
        for item in node:
            require_known_types(item, source)
    if not isinstance(node, dict):
        return
    known = _known_types()
    if '_scope_' in node or ('type' in node and node['type'] not in known):
        name = node.get('_scope_', node.get('type'))
        raise InputError(f'{source}: its config names {name!r}, which is no part of a network; nothing was executed')
    for item in node.values():
        require_known_types(item, source)


@cache
def _known_types() -> frozenset:
    registries = [item for module in (mmengine.registry, mmdet.registry) for item in vars(module).values()
                  if isinstance(item, Registry)]
    for registry in registries:
        registry.import_from_location()
    # Functions that mmcv finds by name.
    return frozenset(('nms', 'soft_nms')).union(*(registry.module_dict for registry in registries))


def find_type(name: Any) -> Any:
    """The class or function that a config's ``type`` names, or None."""
    if not isinstance(name, str):
        return name
    registries = [item for item in vars(mmdet.registry).values() if isinstance(item, Registry)]
    found = (registry.get(name) for registry in registries)
    return next((item for item in found if item is not None), getattr(mmcv.ops, name, None))


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


def parameters(target: Any) -> frozenset:
    """Names that a function or the constructors of a class take, through ``**kwargs`` to the parent classes."""
    if target is None:
        return frozenset()
    names = set()
    for constructor in ([vars(cls)['__init__'] for cls in target.__mro__ if '__init__' in vars(cls)]
                        if inspect.isclass(target) else [target]):
        try:
            items = inspect.signature(constructor).parameters.values()
        except ValueError:
            break
        names |= {item.name for item in items if item.kind in (item.POSITIONAL_OR_KEYWORD, item.KEYWORD_ONLY)}
        if not any(item.kind is item.VAR_KEYWORD for item in items):
            break
    return frozenset(names - {'self'})
