"""What the result of a run depends on: settings and data, as plain values that can be kept and compared."""
import json
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import Config

from bafenet.datasets.parts import part_settings

from .data import describe_data

NOTHING = 'nothing, not even null'
TRAINING_LOADERS, TEST_LOADERS = ('train_dataloader', 'val_dataloader'), ('test_dataloader', )
LOADERS = TRAINING_LOADERS + TEST_LOADERS
# Of a run that measures a classical method (method_run.py).
METHOD = 'method'
# What of a config decides about the result; beside it the checkpoint hook, which picks the epoch.
TEST_KEYS = (*TEST_LOADERS, 'test_cfg', 'test_evaluator')
RESULT_KEYS = ('model', 'data_preprocessor', *LOADERS, 'train_cfg', 'val_cfg', 'test_cfg', 'optim_wrapper',
               'param_scheduler', 'auto_scale_lr', 'val_evaluator', 'test_evaluator', 'custom_hooks', 'load_from',
               'randomness')


def result_settings(cfg: Config, tests: Mapping[str, Config] | None = None) -> dict:
    """What the result of a config depends on: its settings, but not where its data lie or how many load them.

    Args:
        cfg: The config.
        tests: Configs of several tests, by name, instead of the config's own test.

    Returns:
        ``config`` and ``data`` (for each loader its split, the number of images, and the hash of names and truth), as
        plain JSON values; with ``tests`` these two of each by its name, and of the config without its own test. Of a
        classical method these of its test alone.
    """
    if METHOD in cfg:
        return _settings_of(cfg, (METHOD, *TEST_KEYS), TEST_LOADERS)
    if not tests:
        return _settings_of(cfg, RESULT_KEYS, LOADERS)
    trained = _settings_of(cfg, [key for key in RESULT_KEYS if key not in TEST_KEYS], TRAINING_LOADERS)
    return {**trained, 'tests': {name: _settings_of(test, TEST_KEYS, TEST_LOADERS) for name, test in tests.items()}}


def _settings_of(cfg: Config, keys: Sequence[str], loaders: Sequence[str]) -> dict:
    values = cfg.to_dict()
    config = {key: values[key] for key in keys if values.get(key) is not None}
    if loaders != TEST_LOADERS:
        config['checkpoint'] = values.get('default_hooks', {}).get('checkpoint')
    data = {}
    for name in loaders:
        described = []
        for part in part_settings(config[name]['dataset']):
            described.append(describe_data(part.settings))
            del part.settings['data_root']
            part.settings['ann_file'] = described[-1]['ann_file']
        data[name] = described[0] if len(described) == 1 else described
        for key in ('num_workers', 'persistent_workers', 'prefetch_factor', 'pin_memory'):
            config[name].pop(key, None)
    return json.loads(json.dumps(dict(config=config, data=data), sort_keys=True, default=repr))


def difference(stored: Any, asked: Any, path: str = '') -> str:
    """The first place at which two settings differ."""
    if isinstance(stored, dict) and isinstance(asked, dict):
        pairs = {key: (stored.get(key, NOTHING), asked.get(key, NOTHING)) for key in sorted({*stored, *asked})}
        changed = next(key for key, pair in pairs.items() if pair[0] != pair[1])
        return difference(*pairs[changed], f'{path}.{changed}'.lstrip('.'))
    if isinstance(stored, list) and isinstance(asked, list) and len(stored) == len(asked):
        index = next(index for index, pair in enumerate(zip(stored, asked, strict=True)) if pair[0] != pair[1])
        return difference(stored[index], asked[index], f'{path}.{index}')
    there, here = (json.dumps(value) if len(json.dumps(value)) < 80 else 'something else' for value in (stored, asked))
    return f'{path}: {there} there, {here} asked for'
