"""Settings of a config by their paths of keys: looked up, replaced, removed."""
from collections.abc import Collection, Iterator
from copy import copy
from typing import Any

from mmengine.config import Config, ConfigDict

Path = tuple[str, ...]  # of keys, and of list indices as text


def setting(cfg: Config, *path: str) -> Any:
    """The value at a path of keys, and of list indices as text; None where the config has no such setting."""
    value: Any = cfg
    for key in path:
        if isinstance(value, (list, tuple)):
            value = value[int(key)] if is_index(key, len(value)) else None
        else:
            value = value.get(key) if isinstance(value, (Config, dict)) else None
    return value


def is_index(part: str, length: int) -> bool:
    """Whether a part of a path is an index of a list of some length."""
    return part.isascii() and part.isdigit() and len(part) < 7 and str(int(part)) == part and int(part) < length


def look_up(node: Any, path: Path) -> tuple[Any, bool, Any]:
    """The node that a path's last part is in (None where it is not there yet), whether it is there, and its value."""
    parent = node
    for depth, part in enumerate(path):
        parent = node
        is_there = (is_index(part, len(node)) if isinstance(node, (list, tuple))
                    else isinstance(node, dict) and part in node)
        if not is_there:
            return (node if depth == len(path) - 1 else None), False, None
        node = node[int(part) if isinstance(node, (list, tuple)) else part]
    return parent, True, node


def set_value(cfg: Config, path: Path, value: Any) -> None:
    """Set one value; where the config holds the same object twice (a base's pipeline), the other one stays as it is."""
    object.__setattr__(cfg, '_cfg_dict', replaced(cfg._cfg_dict, path, value))


def replaced(node: Any, path: Path, value: Any) -> Any:
    """A copy of a node with one value in it replaced; the config may hold the node elsewhere too."""
    if not path:
        return value
    first, rest = path[0], path[1:]
    if isinstance(node, (list, tuple)):
        items = list(node)
        items[int(first)] = replaced(items[int(first)], rest, value)
        return type(node)(items)
    node = copy(node) if isinstance(node, dict) else ConfigDict()
    node[first] = replaced(node.get(first), rest, value)
    return node


def without(steps: Any, index: int) -> Any:
    """A list or tuple without one item."""
    return type(steps)([*steps[:index], *steps[index + 1:]])


def numbers_in(value: Any, apart_from: Collection[str] = ()) -> Iterator[int | float]:
    """The numbers in a part of a config, but for those below some keys."""
    if isinstance(value, dict):
        value = [item for key, item in value.items() if key not in apart_from]
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from numbers_in(item, apart_from)
    elif isinstance(value, (int, float)):
        yield value
