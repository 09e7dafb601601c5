"""The ``type`` names that a config from elsewhere may have: what mmengine's and mmdet's registries hold."""
from collections.abc import Iterator
from typing import Any

import mmdet.registry
import mmengine.registry
from mmengine.registry import Registry

from ..arguments import shown
from ..errors import InputError

MAX_DEPTH = 40  # dicts and lists in one another; a config has ten
# Parts of mmdet that evaluate a text of their config, or download by a name in it.
_FOREIGN = frozenset(('tracking', 'trackers', 'tracking_heads', 'mot', 'vis', 'reid', 'language_models'))
# What mmcv and mmdet find by name in mmcv.ops.
FUNCTIONS = frozenset(('nms', 'soft_nms', 'RoIAlign', 'RoIPool', 'SimpleRoIAlign', 'DeformRoIPoolPack',
                       'ModulatedDeformRoIPoolPack'))
# What mmdet compares with its own words: Cascade RPN's ``adapt_cfg``, FPG's ``same_up_trans`` and others.
WORDS = frozenset(('dilation', 'offset', 'conv', 'interpolation_conv', 'last_conv'))


class UnknownTypeError(InputError):
    """A config names what is registered nowhere, perhaps a user's own part whose module was not imported."""


def require_known_types(node: Any, source: str) -> None:
    """Refuse a part of a config that names what no registry holds, before anything is built from it.

    The registries would import and call any dotted name. Trackers and language models are refused too.

    Args:
        node: Part of a config, of plain values.
        source: Where it is from, for the message.

    Raises:
        UnknownTypeError: If a ``type`` is not registered, or a ``_scope_`` is given.
        InputError: If it is nested too deep.
    """
    known, seen, nodes = _known_types(), set(), [(node, 0)]
    while nodes:
        node, depth = nodes.pop()
        if not isinstance(node, (dict, list, tuple)) or id(node) in seen:
            continue
        seen.add(id(node))
        if depth > MAX_DEPTH:
            raise InputError(f'{source}: its config is nested deeper than {MAX_DEPTH} levels; nothing was executed')
        if isinstance(node, dict):
            name = node.get('_scope_', node.get('type'))
            if '_scope_' in node or ('type' in node and not (isinstance(name, str) and name in known)):
                raise UnknownTypeError(f'{source}: its config names {shown(name)}, which is no part of a network; '
                                       'nothing was executed. If it is your own, import the module that registers it '
                                       'first')
        nodes += [(item, depth + 1) for item in (node.values() if isinstance(node, dict) else node)]


def _known_types() -> frozenset:
    return (FUNCTIONS | WORDS).union(
        name for registry in registries() for name, item in registry.module_dict.items()
        if not _FOREIGN.intersection(getattr(item, '__module__', '').split('.')))


def registries() -> Iterator[Registry]:
    """All registries of mmengine and those below them: mmdet's, and a user's own."""
    waiting = [item for module in (mmengine.registry, mmdet.registry) for item in vars(module).values()
               if isinstance(item, Registry)]
    seen = set()
    while waiting:
        registry = waiting.pop()
        if id(registry) not in seen:
            seen.add(id(registry))
            registry.import_from_location()
            waiting += registry.children.values()
            yield registry
