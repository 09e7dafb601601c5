"""Settings of a config changed by dotted keys (``--cfg-options``, the rows of a table), each checked first."""
from collections.abc import Callable, Iterator, Mapping
from copy import copy, deepcopy
from typing import Any, NamedTuple

from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from bafenet.arguments import shown, shown_text
from bafenet.errors import InputError, first_line, printable
from bafenet_command import call_of

from ..compat.config_text import require_plain
from ..models.reduced_sky import KEY as SKY_SIDE
from ..models.score_calibration import KEY as CALIBRATION
from .config_paths import Path, is_index, look_up, set_value, without
from .config_rules import find_rule
from .config_values import (
    ROOT_KEYS,
    Changed,
    check_values,
    fit_option,
    iterate_settings,
    settings_of,
    variables_hint,
)
from .option_text import Option, is_key
from .pipeline_steps import is_list_of_steps, step_index
from .registered import class_names, closest, find_type, parameters, refusal_of, taken_before, unknown_arguments
from .splits import fill_splits

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
OPTIONS = '--cfg-options '
_DELETE = '_delete_'


class Change(NamedTuple):
    """One value to set.

    Attributes:
        name: Its key as it was given, for messages.
        option: What was given.
    """

    name: str
    option: Option


def apply_settings(cfg: Config, settings: Mapping[str, Any], source: str) -> None:
    """Set values in a config by dotted keys, as ``--cfg-options`` does, and check the whole of it.

    A part of a key that stands in a list of dicts with a ``type`` is an index or a type's name; None for such a dict
    removes it. A dict is merged into the one that stands there, and replaces it where ``_delete_=True`` is in it.

    Args:
        cfg: The config; changed in place, or not at all.
        settings: Plain Python values by dotted key.
        source: Where they are from, for messages: a file, and the row of it.

    Raises:
        InputError: If a key is no setting, two contradict each other, or a value is of the wrong type or out of range.
    """
    change_config(cfg, as_given(settings, source), f'{printable(source)}: ', cfg.filename or source)
    fill_splits(cfg, source, 'splits' in settings)


def as_given(settings: Mapping[str, Any], source: str) -> dict[str, Option]:
    """What :func:`change_config` takes, from plain values by dotted key; see :func:`apply_settings`.

    Raises:
        InputError: If a key is no dotted key, or a value no plain value.
    """
    given = {}
    for key, value in settings.items():
        if not isinstance(key, str) or not is_key(key):
            raise InputError(f'{printable(source)}: {shown(key)} is no dotted key, as model.backbone.depth')
        try:
            require_plain(value)
        except ValueError as error:
            raise InputError(f'{printable(source)}: {printable(key)} is no plain value: {first_line(error)}') from error
        given[key] = _option(value)
    return given


def _option(value: Any) -> Option:
    return Option(value if isinstance(value, str) else repr(value), value)


def change_config(cfg: Config, given: Mapping[str, Option], start: str, source: str,
                  prepare: Callable[[Config], None] = lambda cfg: None) -> None:
    """Set what is given, and check every value of the config.

    Args:
        cfg: The config; changed in place, or not at all.
        given: By dotted key; see :func:`apply_settings`.
        start: How messages about them start: ``'--cfg-options '``.
        source: The config's file, for messages about the others.
        prepare: Called with the changed config before what its types name is looked up.

    Raises:
        InputError: As :func:`apply_settings`.
    """
    changes = _resolve(cfg, given, start)
    removed = {path for path, change in changes.items() if _removes(cfg, path, change)}
    changed = Config(copy(cfg._cfg_dict))
    before = _set_all(changed, {path: change for path, change in changes.items() if path not in removed}, start)
    prepare(changed)
    plain = changed._cfg_dict.to_dict()
    check_values(settings_of(plain), printable(source), before, start)
    for path, change in changes.items():
        if path not in removed:
            _require_arguments(changed, path, change, start)
    _remove(changed, {path: changes[path].name for path in removed}, start)
    object.__setattr__(cfg, '_cfg_dict', changed._cfg_dict)


# --- Keys -------------------------------------------------------------------------------------------------------------


def _resolve(cfg: Config, given: Mapping[str, Option], start: str) -> dict[Path, Change]:
    """The single values to set, by their paths in the config with numbers for the steps."""
    changes: dict[Path, Change] = {}
    for key, option in given.items():
        path, node, exists = _find(cfg._cfg_dict, key.split('.'), f'{start}{printable(key)}: ')
        for leaf, value in _spread(path, option.value, node if exists else None, f'{start}{printable(key)}'):
            name = '.'.join((key, *leaf[len(path):]))
            one = option._replace(value=value) if leaf == path else _option(value)
            other = changes.get(leaf)
            if other is not None and repr(other.option.value) != repr(value):
                raise InputError(f'{start}{printable(name)}={shown_text(one.text)}: {printable(other.name)}='
                                 f'{shown_text(other.option.text)} is given too; give one of them')
            changes[leaf] = Change(name, one)
    for path, change in changes.items():
        above = next((changes[path[:i]] for i in range(1, len(path)) if path[:i] in changes), None)
        if above is not None:
            raise InputError(f'{start}{printable(change.name)}: {printable(above.name)} is given too, of which it is a '
                             'part; give one of them')
    return changes


def _find(node: Any, parts: list[str], start: str) -> tuple[Path, Any, bool]:
    """A key's path with numbers for the steps that it names, what stands there, and whether anything does."""
    path: Path = ()
    for depth, part in enumerate(parts):
        if is_list_of_steps(node) and not is_index(part, len(node)):
            part = str(step_index(node, part, '.'.join(parts[:depth]), start))
        if isinstance(node, (list, tuple)) and is_index(part, len(node)):
            node = node[int(part)]
        elif isinstance(node, dict) and part in node:
            node = node[part]
        else:
            return (*path, *parts[depth:]), None, False
        path = (*path, part)
    return path, node, True


def _spread(path: Path, value: Any, old: Any, start: str) -> Iterator[tuple[Path, Any]]:
    """The values that a dict is merged from, each with its path; anything else, or a dict that replaces, as it is."""
    if not isinstance(value, dict):
        yield path, _without_deletes(value, start)
        return
    items = {name: item for name, item in value.items() if name != _DELETE}
    in_list = is_list_of_steps(old) and 'type' not in items
    if _deletes(value, start) or not (isinstance(old, dict) or in_list):
        yield path, _without_deletes(items, start)
        return
    for name, item in items.items():
        _require_name(name, start)
        found, node, exists = _find(old, [name], f'{start}: ')
        yield from _spread(path + found, item, node if exists else None, start)


def _deletes(value: dict, start: str) -> bool:
    deletes = value.get(_DELETE, False)
    if not isinstance(deletes, bool):
        raise InputError(f'{start}: {_DELETE}={shown(deletes)} must be True or False')
    return deletes


def _without_deletes(value: Any, start: str) -> Any:
    """A value that replaces, without the marks that say so."""
    if isinstance(value, dict):
        _deletes(value, start)
        for name in value:
            _require_name(name, start)
        return {name: _without_deletes(item, start) for name, item in value.items() if name != _DELETE}
    if isinstance(value, (list, tuple)):
        return type(value)(_without_deletes(item, start) for item in value)
    return value


def _require_name(name: Any, start: str) -> None:
    if not isinstance(name, str) or (name.startswith('_') and name != _DELETE):
        raise InputError(f'{start}: {shown(name)} is no setting; write a config of your own')


def _removes(cfg: Config, path: Path, change: Change) -> bool:
    parent, exists, _ = look_up(cfg._cfg_dict, path)
    return change.option.value is None and exists and is_list_of_steps(parent)


def _remove(cfg: Config, removed: Mapping[Path, str], start: str) -> None:
    """Take steps out of their lists; each list must still be what it may be."""
    # From the last one on, so that the numbers of the others, and of the steps within them, hold until then.
    for path in sorted(removed, key=_in_order, reverse=True):
        steps = without(look_up(cfg._cfg_dict, path)[0], int(path[-1]))
        set_value(cfg, path[:-1], steps)
        parent, key = look_up(cfg._cfg_dict, path[:-1])[0], '.'.join(path[:-1])
        rule = find_rule(key, class_names(find_type(parent['type']) if 'type' in parent else None))
        if rule is not None and not rule.test(steps):
            raise InputError(f'{start}{printable(removed[path])}=None leaves {printable(key)}={shown(steps)}, which '
                             f'must be {rule.words}')


def _in_order(path: Path) -> list[tuple[int, str]]:
    """A key by which paths are sorted as they stand in a config."""
    return [(int(part) if part.isdigit() else -1, part) for part in path]


# --- Values -----------------------------------------------------------------------------------------------------------


def _set_all(cfg: Config, changes: dict[Path, Change], start: str) -> dict[str, Changed]:
    """Set values in a config, and return by key what it was given as, and what stood there before."""
    # What an option adds may be described by the type that another option sets.
    typed = Config(deepcopy(cfg._cfg_dict.to_dict()))
    for path in sorted((path for path in changes if path[-1] == 'type'), key=len):
        _require_setting(typed, path, changes[path].name, start)
        set_value(typed, path, changes[path].option.value)
    before = {}
    for path, change in changes.items():
        _require_setting(typed, path, change.name, start)
        parent, exists, old = look_up(typed._cfg_dict, path)
        target = find_type(parent['type']) if isinstance(parent, dict) and parent.get('type') is not None else None
        if is_list_of_steps(parent) and isinstance(change.option.value, dict) and 'type' not in change.option.value:
            raise InputError(f'{start}{printable(change.name)}={shown(change.option.value)} has no type, which each '
                             'entry of this list needs')
        value = fit_option('.'.join(path), change.name, change.option, old, target, exists, start)
        set_value(cfg, path, ConfigDict(value=deepcopy(value)).value)
        before['.'.join(path)] = Changed(change.name, old)
    return before


def _require_arguments(cfg: Config, path: Path, change: Change, start: str) -> None:
    """Refuse a type that does not take the settings beside it, whether these are new or stood there."""
    parent, _, value = look_up(cfg._cfg_dict, path)
    if path[-1] == 'type':
        _require_accepted(path[:-1], parent, f'{start}{printable(change.name)}={shown(value)}', True)
    if not isinstance(value, (dict, list, tuple)):
        return
    for key, item, target in iterate_settings(ConfigDict(value=value).to_dict()['value'], 'the value', change.name):
        if isinstance(item, dict) and 'type' in item:
            _require_accepted(tuple(key.split('.')), item, f'{start}{printable(key)}', False)
        elif target is not None and not isinstance(item, (dict, list, tuple)):
            fit_option(key, key, _option(item), None, target, False, start)


def _require_accepted(path: Path, node: dict, start: str, stood_there: bool) -> None:
    unknown = unknown_arguments(path, node)
    if unknown and stood_there:
        raise InputError(f'{start}: it takes no {printable(", ".join(unknown))}, which the config sets beside it; give '
                         f"{printable('.'.join(path))}={{'{_DELETE}': True, 'type': …}} with all that it needs")
    if unknown:
        raise InputError(f'{start}: {refusal_of(node["type"], unknown)}')


# --- What is a setting ------------------------------------------------------------------------------------------------


def _require_setting(cfg: Config, path: Path, name: str, start: str) -> None:
    """Refuse a key that is no setting.

    A key is one if it exists, or if the constructor of the ``type`` beside it takes it. A variable of the config file
    is none: its value is in the settings already.
    """
    node: Any = cfg._cfg_dict
    for depth, part in enumerate(path):
        prefix = '.'.join(path[:depth])
        accepted: frozenset = frozenset()
        if part.startswith('_'):
            raise InputError(f'{start}{printable(name)}: {shown(part)} is no setting; write a config of your own')
        if depth == 0 and part in node and part not in _accepted(node, prefix):
            _refuse_variable(node.to_dict(), f'{start}{printable(name)}', part)
        if isinstance(node, (list, tuple)) and is_index(part, len(node)):
            node = node[int(part)]
        elif isinstance(node, dict) and part in node:
            node = node[part]
        elif isinstance(node, dict) and part in (accepted := _accepted(node, prefix)):
            # The constructor takes it; what is below is its own business.
            return
        else:
            close = closest(part, list(node) + sorted(accepted)) if isinstance(node, dict) else None
            hint = f'; did you mean {printable(".".join(filter(None, (prefix, close))))}?' if close else ''
            owner = shown_text(prefix, 200) or 'the config'
            if isinstance(node, dict) and isinstance(node.get('type'), str):
                owner += f' ({shown_text(node["type"])})'
                if not close and accepted:
                    hint = f'; it takes {", ".join(sorted(accepted)[:20])}{", …" * (len(accepted) > 20)}'
            if isinstance(node, (list, tuple)):
                hint = f'; it has {len(node)} entries, the first one is {printable(prefix)}.0'
            raise InputError(f'{start}{shown_text(name, 200)}: {owner} has no '
                             f'{shown(part)}{hint}')


def _refuse_variable(node: dict, start: str, name: str) -> None:
    settings = {key: value for key, value in settings_of(node).items() if key != name}
    hint = variables_hint(settings, node[name]) or 'the setting, as train_dataloader.dataset.pipeline.BAGCopyPaste.prob'
    if name in ('max_epochs', 'late_epoch'):
        hint += f', or {call_of("train")} --epochs N, which the whole schedule follows'
    if name == 'input_size':
        hint += f'; for the cost at another size give {call_of("complexity")} --shape HEIGHT WIDTH'
    raise InputError(f'{start}: {printable(name)} is a variable of the config file, and what was made of it stays as '
                     f'it is; set {hint}')


def _accepted(node: Any, key: str) -> frozenset:
    """Names that may be added to a node of a config."""
    if not key:
        return parameters(Runner) | ROOT_KEYS
    if key in LOADERS:
        return parameters(DataLoader)
    if key == 'model.test_cfg':
        return frozenset((CALIBRATION, SKY_SIDE))  # those that may be left out of a config
    target = find_type(node['type']) if 'type' in node else None
    return frozenset() if target is None else parameters(target) | taken_before(target)
