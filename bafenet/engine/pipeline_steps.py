"""Steps of a pipeline by their type instead of their number, as those of any list of dicts with a ``type``.

For configs, which import it after ``_base_``::

    from bafenet.engine.pipeline_steps import change_step
    train_pipeline = change_step(_base_.train_pipeline, 'Resize', scale=(192, 192))
"""
import difflib
from collections.abc import Callable, Sequence
from typing import Any

from bafenet.arguments import shown
from bafenet.errors import InputError, printable

from .config_paths import without


def is_list_of_steps(node: Any) -> bool:
    """Whether a part of a config is a list of dicts that all have a ``type``."""
    return isinstance(node, (list, tuple)) and len(node) > 0 and all(
        isinstance(item, dict) and 'type' in item for item in node)


def step_name(step: dict) -> str:
    """The name of a step's type, without the module or the scope before it."""
    kind = step['type']
    return getattr(kind, '__name__', str(kind)).rsplit('.', 1)[-1]


def step_index(steps: Sequence[dict], name: str, key: str = '', start: str = '') -> int:
    """The place of the one step of a type.

    Args:
        steps: Dicts that have a ``type`` each.
        name: The type's name.
        key: Dotted key of the list, for the message.
        start: How the message starts.

    Raises:
        InputError: If there is no step of this type, or more than one; it names those that there are.
    """
    names = [step_name(step) for step in steps]
    found = [index for index, known in enumerate(names) if known == name]
    if len(found) == 1:
        return found[0]
    start = f'{start}{printable(key) or "the pipeline"} has'
    if found:
        listed = ', '.join(f'{key}.{index}' if key else str(index) for index in found)
        raise InputError(f'{start} {len(found)} entries of type {printable(name)}: {printable(listed)}; give the '
                         'number instead')
    close = difflib.get_close_matches(name, names, n=1)
    hint = f'; did you mean {printable(close[0])}?' if close else ''
    listed = ', '.join(f'{index} {known}' for index, known in enumerate(names))
    raise InputError(f'{start} no {shown(name)}; it has {len(names)} entries, by type or number: {printable(listed)}'
                     f'{hint}')


def change_step(steps: Sequence[dict], name: str, **settings: Any) -> list[dict]:
    """The steps with some settings of one of them changed; the given ones stay as they are.

    Raises:
        InputError: As :func:`step_index`.
    """
    index = step_index(steps, name)
    return [*steps[:index], type(steps[index])({**steps[index], **settings}), *steps[index + 1:]]


def remove_step(steps: Sequence[dict], name: str) -> list[dict]:
    """The steps without the one of a type.

    Raises:
        InputError: As :func:`step_index`.
    """
    return without(list(steps), step_index(steps, name))


def without_steps(settings: Any, name: str) -> Any:
    """Settings without the steps of a type in any pipeline below them; a copy."""
    return _each_step(settings, name, lambda step: [])


def insert_steps(settings: Any, before: str, *steps: dict) -> Any:
    """Settings with steps put before each one of a type, in every pipeline below them; a copy."""
    return _each_step(settings, before, lambda step: [*steps, step])


def change_steps(settings: Any, name: str, **changes: Any) -> Any:
    """Settings with some of those of each step of a type changed, in every pipeline below them; a copy."""
    return _each_step(settings, name, lambda step: [type(step)({**step, **changes})])


def _each_step(settings: Any, name: str, change: Callable[[dict], list[dict]]) -> Any:
    """A copy of settings in whose lists ``change`` says what stands for each step of a type."""
    if isinstance(settings, dict):
        return type(settings)({key: _each_step(value, name, change) for key, value in settings.items()})
    if isinstance(settings, (list, tuple)):
        items = [_each_step(item, name, change) for item in settings]
        return type(settings)(new for item in items for new in (
            change(item) if is_list_of_steps([item]) and step_name(item) == name else [item]))
    return settings
