"""Types and ranges of a config's values, and what they must be together, before anything is built from them."""
import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import mmdet.registry
from mmdet.models.backbones import ResNet
from mmengine.runner import Runner

from bafenet.arguments import shown
from bafenet.errors import InputError, printable
from bafenet.renamed import new_name

from ..models.reduced_sky import KEY as SKY_SIDE
from ..models.score_calibration import KEY as CALIBRATION
from .carried_calibration import has_calibrating_head, has_sky_head
from .config_kinds import Allowed, is_number, is_whole
from .config_rules import find_rule
from .option_text import Option
from .registered import (
    MAX_DEPTH,
    class_names,
    close_types,
    defaults,
    find_type,
    is_of_mmdet,
    parameters,
    refusal_of,
    unknown_arguments,
)

# Read by the tools and by mmengine, beside the runner's own arguments.
ROOT_KEYS = frozenset(('splits', 'runner_type', 'custom_imports', 'auto_scale_lr', 'find_unused_parameters'))
# Of each loader, loop and evaluator mmengine demands all or none.
_TOGETHER = [('train_dataloader', 'train_cfg', 'optim_wrapper'),
             ('val_dataloader', 'val_cfg', 'val_evaluator'),
             ('test_dataloader', 'test_cfg', 'test_evaluator')]
# Where a type is looked up, by the part of the key above it; elsewhere any registry may know it.
_REGISTRIES = dict(
    model='MODELS', backbone='MODELS', neck='MODELS', bbox_head='MODELS', exchange='MODELS', adapter='MODELS',
    data_preprocessor='MODELS', loss_cls='MODELS', loss_bbox='MODELS', loss_seg='MODELS', loss_sides='MODELS',
    loss_centerness='MODELS', loss_mask='MODELS', loss_frame='MODELS', norm_cfg='MODELS',
    dataset='DATASETS', datasets='DATASETS', sampler='DATA_SAMPLERS', pipeline='TRANSFORMS',
    val_evaluator='METRICS', test_evaluator='METRICS', default_hooks='HOOKS', custom_hooks='HOOKS',
    optim_wrapper='OPTIM_WRAPPERS', optimizer='OPTIMIZERS', param_scheduler='PARAM_SCHEDULERS', train_cfg='LOOPS',
    val_cfg='LOOPS', test_cfg='LOOPS', visualizer='VISUALIZERS', vis_backends='VISBACKENDS',
    log_processor='LOG_PROCESSORS', init_cfg='WEIGHT_INITIALIZERS')
# Types that are no names in a registry.
_OWN_TYPES = ('optim_wrapper.clip_grad.type', '.nms.type', '.adapt_cfg.type', '_trans.type')
_KINDS: tuple[tuple[Any, str], ...] = (
    (bool, 'True or False'), (int, 'a whole number'), (float, 'a number'), (str, 'text'), (dict, 'a dict of settings'),
    ((list, tuple), 'a list'))
# Names, which may look like numbers or lists.
_TEXTS = ('data_root', 'ann_file', 'work_dir', 'load_from', 'checkpoint', 'library', 'file', 'out_dir', 'test_out_dir',
          'splits')


class Setting(NamedTuple):
    """One value of a config.

    Attributes:
        key: Its dotted key.
        value: The value; dicts and lists are settings themselves, and so are their parts.
        target: The class or function that the ``type`` beside it names, or None.
    """

    key: str
    value: Any
    target: Any


class Changed(NamedTuple):
    """What an option has changed.

    Attributes:
        name: Its key as it was given.
        before: What stood in the file, or None.
    """

    name: str
    before: Any


def iterate_settings(node: Any, source: str, key: str = '', target: Any = None, depth: int = 0) -> Iterator[Setting]:
    """All settings below a node of a config, a parent before its parts.

    Args:
        node: Plain dict, list or value.
        source: The config's file, for the message.
        key: Dotted key of the node.
        target: See :class:`Setting`.
        depth: Levels above the node.

    Raises:
        InputError: If it is nested deeper than any config.
    """
    if depth > MAX_DEPTH:
        raise InputError(f'{source}: {shown(key)} is nested deeper than {MAX_DEPTH} levels')
    if key:
        yield Setting(key, node, target)
    if isinstance(node, dict):
        items = list(node.items())
        own = 'type' in node and not any(f'{key}.type'.endswith(name) for name in _OWN_TYPES)
        target = find_type(node['type']) if own and _is_type(node['type']) else None
    elif isinstance(node, (list, tuple)) and any(isinstance(item, (dict, list, tuple)) for item in node):
        items, target = list(enumerate(node)), None
    else:
        return
    for name, item in items:
        yield from iterate_settings(item, source, f'{key}.{name}' if key else str(name), target, depth + 1)


def settings_of(plain: dict) -> dict:
    """What a run or a tool reads of a config; the rest are variables of its file."""
    known = parameters(Runner) | ROOT_KEYS | {'input_size'}
    return {key: value for key, value in plain.items() if key in known}


def check_values(cfg: dict, source: str, options: Mapping[str, Changed], start: str) -> None:
    """Refuse the first setting whose value is of the wrong type, out of range, or does not fit the others.

    Args:
        cfg: The config, of plain values; only what a run or a tool reads, no variables.
        source: Its file.
        options: What options have changed, by key.
        start: How messages about these start.

    Raises:
        InputError: In one line that names the setting, what it may be, and how to set it.
    """
    def where(key: str, value: Any) -> str:
        name = _given_name(key, options)
        return f'{f"{source}: " if name is None else start}{printable(name or key)}={shown(value)}'

    for setting in iterate_settings(cfg, source):
        key, value, target = setting
        if key.rsplit('.', 1)[-1] == 'type' and not any(key.endswith(name) for name in _OWN_TYPES):
            _check_type(setting, where(key, value))
            continue
        if isinstance(value, dict) and _is_type(value.get('type')):
            _check_arguments(key, value, source, options)
        rule = find_rule(key, class_names(target))
        if rule is not None and not rule.test(value):
            if new := new_name(key, value):
                raise InputError(f'{where(key, value)} is called {new!r} now; write that')
            raise InputError(f'{where(key, value)} must be {rule.words}{_remedy(key, rule, options)}')
    _check_together(cfg, where)


def _given_name(key: str, options: Mapping[str, Changed]) -> str | None:
    """A key as it was given, if an option has set it or what it is in."""
    above = next((option for option in options if option == key or key.startswith(f'{option}.')), None)
    return None if above is None else options[above].name + key[len(above):]


def _remedy(key: str, rule: Allowed, options: Mapping[str, Changed]) -> str:
    """How to set a value: the settings below it, or an example."""
    name = printable(_given_name(key, options) or key)
    if isinstance(rule.example, dict):
        return f'; set what is in it, as {name}.NAME=VALUE'
    if key not in options:
        return f'; set it in the config, or by --cfg-options {name}=VALUE'
    before = options[key].before
    example = before if is_plain(before) and rule.test(before) else rule.example
    return f', as in {name}={printable(example).replace(" ", "")}' if is_plain(example) else ''


def is_plain(value: Any) -> bool:
    """Whether an option can give a value: text, a number, or a short list of such."""
    if isinstance(value, (list, tuple)):
        return 0 < len(value) < 9 and all(map(is_plain, value))
    return isinstance(value, (str, int, float)) and len(str(value)) < 40


def _is_type(name: Any) -> bool:
    return isinstance(name, str) or callable(name)


def _check_type(setting: Setting, start: str) -> None:
    key, name, target = setting
    if not _is_type(name):
        raise InputError(f'{start} must be the name of a registered class')
    if target is None:
        raise InputError(f'{start} is not known{close_types(str(name))}; correct the name, or name the module that '
                         'registers it in custom_imports')
    parts = [part for part in key.split('.')[:-1] if not part.isdigit()]
    # A hook may bear the name of another part, and two-stage detectors have samplers.
    place = parts[0] if parts[0] == 'default_hooks' else parts[-1]
    elsewhere = parts[0] == 'model' and place in ('sampler', 'dataset')
    registry = None if elsewhere else getattr(mmdet.registry, _REGISTRIES.get(place, ''), None)
    if registry is not None and isinstance(name, str) and '.' not in name and registry.get(name) is None:
        close = close_types(name, registry.module_dict)
        raise InputError(f'{start} is none of the {registry.name}s that are registered{close}; correct the name')


def _check_arguments(key: str, value: dict, source: str, options: Mapping[str, Changed]) -> None:
    """Refuse settings of the config that the class beside them does not take, but for those of mmdet's own parts."""
    parts = key.split('.')
    # What an option sets is looked at where options are, and said in their words.
    if f'{key}.type' in options or _given_name(key, options) is not None \
            or parts[0] == 'model' and is_of_mmdet(find_type(value['type'])):
        return
    if unknown := unknown_arguments(parts, value):
        raise InputError(f'{source}: {printable(key)}: {refusal_of(value["type"], unknown)}')


# --- Several values together ------------------------------------------------------------------------------------------


def _check_together(cfg: dict, start: Callable[[str, Any], str]) -> None:
    for names in _TOGETHER:
        absent = [name for name in names if name in cfg and cfg[name] is None]
        present = [name for name in names if cfg.get(name) is not None]
        if absent and present:
            raise InputError(f'{start(absent[0], None)} needs {" and ".join(f"{name}=None" for name in present)} too: '
                             f'{", ".join(names)} are given together or not at all')
    for key, scheduler in _schedulers(cfg):
        begin, end = scheduler.get('begin', 0), scheduler.get('end', math.inf)
        if begin >= end:
            raise InputError(f'{start(f"{key}.begin", begin)} must be below {key}.end={end}')
    wrapper = cfg.get('optim_wrapper') or {}
    decayed = [key for key in wrapper.get('paramwise_cfg') or () if key.endswith('decay_mult')]
    if decayed and wrapper.get('optimizer') and wrapper['optimizer'].get('weight_decay') is None:
        raise InputError(f'{start(f"optim_wrapper.paramwise_cfg.{decayed[0]}", wrapper["paramwise_cfg"][decayed[0]])} '
                         'needs optim_wrapper.optimizer.weight_decay; set it, to 0 for none')
    model = cfg.get('model') or {}
    if model and 'type' not in model and any(cfg.get(names[0]) for names in _TOGETHER):
        raise InputError(f'{start("model", model)} has no type; set model.type, as BAFENet')
    calibration = (model.get('test_cfg') or {}).get(CALIBRATION)
    if calibration and not has_calibrating_head(cfg):
        raise InputError(f'{start(f"model.test_cfg.{CALIBRATION}", calibration)} is for heads that calibrate their '
                         'scores, as BAFEHead; leave it out, or set model.bbox_head.type')
    side = (model.get('test_cfg') or {}).get(SKY_SIDE)
    if side and not has_sky_head(cfg):
        raise InputError(f'{start(f"model.test_cfg.{SKY_SIDE}", side)} is for heads that segment the sky, as BAFEHead; '
                         'set it to None, or set model.bbox_head.type')
    if model.get('backbone') is not None:
        _check_resnet('model.backbone', model['backbone'], start)
    preprocessor = model.get('data_preprocessor') or {}
    if (preprocessor.get('mean') is None) != (preprocessor.get('std') is None):
        raise InputError(f'{start("model.data_preprocessor.mean", preprocessor.get("mean"))} goes with '
                         f'model.data_preprocessor.std={shown(preprocessor.get("std"))}; give both or neither')
    if preprocessor.get('bgr_to_rgb') and preprocessor.get('rgb_to_bgr'):
        raise InputError(f'{start("model.data_preprocessor.bgr_to_rgb", True)} and rgb_to_bgr=True exclude each other')


def _schedulers(cfg: dict) -> list[tuple[str, dict]]:
    node = cfg.get('param_scheduler') or []
    return [('param_scheduler', node)] if isinstance(node, dict) else [
        (f'param_scheduler.{i}', item) for i, item in enumerate(node)]


def _check_resnet(key: str, backbone: dict, start: Callable[[str, Any], str]) -> None:
    """The assertions of mmdet's ResNet."""
    target = find_type(backbone['type'])
    if not (inspect.isclass(target) and issubclass(target, ResNet)):
        return
    depths = sorted(item for item in getattr(target, 'arch_settings', ()) if is_whole(item))
    depth, stages = backbone.get('depth'), backbone.get('num_stages', 4)
    if depths and not (is_whole(depth) and depth in depths):
        raise InputError(f'{start(f"{key}.depth", depth)} must be one of {", ".join(map(str, depths))}')
    for name in ('strides', 'dilations'):
        values = backbone.get(name, (1, ) * 4)
        if len(values) != stages and name in backbone:
            raise InputError(f'{start(f"{key}.{name}", values)} must have one value for each of the '
                             f'{key}.num_stages={stages}')
        if len(values) != stages:
            raise InputError(f'{start(f"{key}.num_stages", stages)} needs as many {name}, and there are {len(values)}; '
                             f'set {key}.{name} too')
    out_indices = backbone.get('out_indices', (0, ))
    if max(out_indices) >= stages:
        raise InputError(f'{start(f"{key}.out_indices", out_indices)} must lie below {key}.num_stages={stages}')


# --- An option against what stands there ------------------------------------------------------------------------------


def fit_option(key: str, name: str, option: Option, old: Any, target: Any, exists: bool, start: str) -> Any:
    """What an option sets, if it is of the kind of what stands there, or of the constructor's default.

    Args:
        key: Dotted key.
        name: The key as it was given.
        option: What is given for it.
        old: What stands there.
        target: What the ``type`` beside it names, or None.
        exists: Whether anything stands there.
        start: How messages start, before the name.

    Returns:
        The option's value, or its text where a path was read as a number or a list.

    Raises:
        InputError: If it is of another kind.
    """
    last, value = key.rsplit('.', 1)[-1], option.value
    if last in _TEXTS and value is not None and not (isinstance(value, list) and isinstance(old, list)):
        value = value if option.verbatim is None else option.verbatim
    if last == 'type' or find_rule(key, class_names(target)) is not None:
        return value
    known, start = defaults(target, last), f'{start}{printable(name)}={shown(option.text)}'
    if value is None:
        if old is None and exists or None in known:
            return value
        raise InputError(f'{start}: None is no value of it{_as_in(name, old, exists)}')
    examples = [item for item in ([old] if exists else []) + known if item is not None]
    if not examples or any(_alike(value, item) for item in examples):
        return value
    raise InputError(f'{start} must be {_kind(examples[0])}{_as_in(name, examples[0], True)}')


def _as_in(name: str, old: Any, exists: bool) -> str:
    return f', as in {printable(name)}={shown(old)}' if exists and old is not None else ''


def _kind(value: Any) -> str:
    return next((words for kind, words in _KINDS if isinstance(value, kind)), f'a {type(value).__name__}')


def _alike(value: Any, old: Any, within: bool = False) -> bool:
    """Whether a value is of the kind of another; whole numbers do for numbers, and in lists numbers for them."""
    if isinstance(old, dict):
        return isinstance(value, dict)
    if isinstance(old, (bool, str)) or isinstance(value, bool):
        return isinstance(value, type(old)) or isinstance(old, str) and isinstance(value, str)
    if isinstance(old, int) and not within:
        return is_whole(value)
    if isinstance(old, (int, float)):
        return is_number(value)
    if isinstance(old, (list, tuple)):
        return isinstance(value, (list, tuple)) and (not old or all(
            any(_alike(item, other, within=True) for other in old) for item in value))
    return True


def variables_hint(cfg: dict, value: Any, limit: int = 6) -> str | None:
    """The settings that have a variable's value, which it was probably made for; None if there are none."""
    found = [key for key, item, _ in iterate_settings(cfg, "the config")
             if type(item) is type(value) and item == value and not isinstance(item, (bool, type(None)))]
    return printable(', '.join(found[:limit])) + (', …' if len(found) > limit else '') if found else None
