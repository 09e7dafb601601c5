"""Renamed values and configs: old checkpoints, and the commands recorded in them, under today's names."""
import re
from typing import Any

# The end of a dotted key, the old value, the new one.
RENAMED = [('bbox_head.assign', 'dynamic', 'simota')]
# The end of a config's name that is now an option of tools/train.py.
OPTION_NOW = re.compile(r'(\S+)_(trainval|scratch)(_densesirst\.py)')


def new_name(key: str, value: Any) -> str | None:
    """What a setting's value is called now, or None where it was never renamed.

    Args:
        key: Dotted key, as ``model.bbox_head.assign``.
        value: Its value.
    """
    return next((new for end, old, new in RENAMED if value == old and f'.{key}'.endswith(f'.{end}')), None)


def with_new_names(node: Any, key: str = '') -> Any:
    """A plain config (dicts, lists, values) in which every renamed value has its new name."""
    if isinstance(node, dict):
        return {name: with_new_names(item, f'{key}.{name}') for name, item in node.items()}
    if isinstance(node, (list, tuple)):
        return type(node)(with_new_names(item, f'{key}.{index}') for index, item in enumerate(node))
    return new_name(key, node) or node


def command_now(command: str) -> str:
    """A recorded command of ``tools/train.py`` as it has to be given today; the same text where nothing has changed."""
    return OPTION_NOW.sub(r'\1\3 --\2', command)
