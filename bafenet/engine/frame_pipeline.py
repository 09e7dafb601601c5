"""The test pipeline of a config for a user's own frames: loading from memory, resizing, packing; no annotations."""
from typing import Any

from mmcv.transforms import Compose
from mmdet.registry import TRANSFORMS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from ..datasets.parts import common_pipeline
from ..errors import InputError, one_line
from .config_paths import numbers_in
from .options import require_known_types

MAX_NUMBER = 2**14  # no side that a step resizes to is longer


def resizes(cfg: Config) -> bool:
    """Whether the test pipeline of a config changes the size of its images."""
    return any('Resize' in str(step['type']) for step in _steps(cfg))


def build_pipeline(cfg: Config, resize: bool = True) -> Compose:
    """The test pipeline of a config for samples that hold a frame as ``img``.

    Steps that load annotations go, and another loader of images becomes ours, in three channels.

    Args:
        cfg: The config.
        resize: False leaves resizing to the network.

    Raises:
        InputError: If there is none, or it cannot be built.
    """
    init_default_scope('mmdet')
    left_out = ('Annotations', ) if resize else ('Annotations', 'Resize')
    steps = [_loader(step) for step in _steps(cfg) if not any(name in str(step['type']) for name in left_out)]
    if not steps or getattr(TRANSFORMS.get(steps[0]['type']), 'takes_arrays', False) is not True:
        steps.insert(0, dict(type='LoadInfraredImage', color_type='color'))
    try:
        return Compose([TRANSFORMS.build(dict(step)) for step in steps])
    except Exception as error:  # a crafted config can provoke any error
        raise InputError(f'no test pipeline can be built from the config ({one_line(error)})') from error


def _steps(cfg: Config) -> list[Any]:
    try:
        steps = common_pipeline(cfg, 'test')
        require_known_types(steps, 'the test pipeline of the config')
        if not steps or not all(isinstance(step, dict) and isinstance(step['type'], str) for step in steps):
            raise KeyError('type')
        _require_small_numbers(steps)
    except InputError:
        raise
    except Exception as error:
        raise InputError('the config has no test pipeline (test_dataloader.dataset.pipeline); give a checkpoint that '
                         'training wrote') from error
    return steps


def _require_small_numbers(steps: list[Any]) -> None:
    """Refuse steps that would make a frame fill the memory."""
    # Grey levels and MiB are no sides.
    for number in numbers_in(steps, ('value_range', 'cache_mb')):
        if not abs(number) <= MAX_NUMBER:
            raise InputError(f'the test pipeline of the config has the number {number:.3g}, which no step needs')


def _loader(step: dict) -> dict:
    return dict(type='LoadInfraredImage', color_type='color') if step['type'].endswith('LoadImageFromFile') else step
