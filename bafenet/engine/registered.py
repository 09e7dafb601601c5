"""Registered classes and functions that a config's ``type`` can name, and the arguments that they take."""
import difflib
import inspect
from collections.abc import Collection
from itertools import chain
from typing import Any

import mmcv.ops
import mmdet.registry
from mmengine.hooks import Hook
from mmengine.optim import BaseOptimWrapper, _ParamScheduler
from mmengine.registry import Registry

from bafenet.arguments import shown
from bafenet.compat.registered_types import FUNCTIONS, MAX_DEPTH, registries, require_known_types  # noqa: F401
from bafenet.errors import InputError, first_line

_TAKEN_BEFORE = (
    (Hook, ('priority', )),
    (BaseOptimWrapper, ('paramwise_cfg', 'constructor')),
    (_ParamScheduler, ('convert_to_iter_based', )))


def registered_names() -> frozenset:
    """Every name that a ``type`` may have, whatever it is the type of."""
    return FUNCTIONS.union(*(registry.module_dict for registry in registries()))


def find_type(name: Any) -> Any:
    """The class or function that a config's ``type`` names, or None.

    Args:
        name: Its name in a registry or in ``mmcv.ops``, its dotted path, which is imported, or itself.

    Raises:
        InputError: If what it names cannot be imported.
    """
    if not isinstance(name, str):
        return name
    for registry in registries():
        if name in registry.module_dict:
            return registry.module_dict[name]
    if '.' not in name:
        return getattr(mmcv.ops, name, None) if name in FUNCTIONS else None
    of_mmdet = [item for item in vars(mmdet.registry).values() if isinstance(item, Registry)]
    try:
        return next((item for registry in of_mmdet if (item := registry.get(name)) is not None), None)
    except (Exception, SystemExit) as error:
        reason = f'{type(error).__name__}: {first_line(error)}'
        raise InputError(f'type {shown(name)} cannot be imported: {reason}') from error


def close_types(name: str, known: Collection[str] | None = None) -> str:
    """A hint for a name that no registry (or none of the ``known``) holds: those that are close, or nothing."""
    close = difflib.get_close_matches(name, known if known is not None else registered_names(), n=3)
    return f'; close: {", ".join(close)}' if close else ''


def class_names(target: Any) -> tuple[str, ...]:
    """Names of a class and of its parents, nearest first."""
    return tuple(cls.__name__ for cls in target.__mro__) if inspect.isclass(target) else ()


def parameters(target: Any) -> frozenset:
    """Names that a function or the constructors of a class take, through ``**kwargs`` to the parent classes."""
    return frozenset(item.name for item in _signature(target)[0])


def taken_before(target: Any) -> frozenset:
    """Names of the settings beside a class's ``type`` that mmengine takes before it calls the constructor."""
    return frozenset(chain.from_iterable(names for parent, names in _TAKEN_BEFORE
                                         if inspect.isclass(target) and issubclass(target, parent)))


def refused(target: Any, names: Collection[str]) -> frozenset:
    """Those of some names that a function or the constructors of a class do not take."""
    found, is_open = _signature(target)
    return frozenset() if is_open else frozenset(names) - {item.name for item in found}


def defaults(target: Any, name: str) -> list[Any]:
    """The default values of a parameter, the nearest constructor's first."""
    return [item.default for item in _signature(target)[0] if item.name == name and item.default is not item.empty]


def _signature(target: Any) -> tuple[list[inspect.Parameter], bool]:
    """Parameters, the nearest constructor's first, and whether any other name is taken too."""
    found: list[inspect.Parameter] = []
    if target is None:
        return found, True
    for constructor in ([vars(cls)['__init__'] for cls in target.__mro__ if '__init__' in vars(cls)]
                        if inspect.isclass(target) else [target]):
        try:
            items = inspect.signature(constructor).parameters.values()
        except (TypeError, ValueError):
            break
        found += [item for item in items
                  if item.kind in (item.POSITIONAL_OR_KEYWORD, item.KEYWORD_ONLY) and item.name != 'self']
        if not any(item.kind is item.VAR_KEYWORD for item in items):
            return found, False
    return found, True


def closest(name: str, known: Any) -> str | None:
    """The closest of the known names, if one is close."""
    return next(iter(difflib.get_close_matches(name, list(map(str, known)), n=1)), None)
