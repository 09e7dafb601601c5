"""The calibration of scores belongs to weights: a config that says nothing of it takes that of the checkpoint."""
import inspect
from typing import Any

from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.runner import CheckpointLoader

from bafenet_command import call_of

from ..compat.config_text import parse_config
from ..errors import InputError, printable
from ..models.bafe_head import BAFEHead
from ..models.onnx_file import is_onnx, read_onnx
from ..models.score_calibration import KEY, fault_of, require_calibration
from ..models.small_target_head import SmallTargetHead
from ..reading import read_json
from .config_paths import set_value, setting

_PATH = ('model', 'test_cfg', KEY)


def has_calibrating_head(cfg: Any) -> bool:
    """Whether the network of a config, or of its plain values, has a head that calibrates its scores."""
    return _has_head(cfg, SmallTargetHead)


def has_sky_head(cfg: Any) -> bool:
    """Whether the network of a config, or of its plain values, has a head that can segment the sky."""
    return _has_head(cfg, BAFEHead)


def _has_head(cfg: Any, kind: type) -> bool:
    name = setting(cfg, 'model', 'bbox_head', 'type')
    head = MODELS.module_dict.get(name) if isinstance(name, str) else name  # nothing is imported
    return inspect.isclass(head) and issubclass(head, kind)


def carry_calibration(cfg: Config, file: str, checkpoint: dict | None = None) -> bool:
    """Set a config's ``model.test_cfg.calibration`` to that of the weights, unless it has one or says False.

    Args:
        cfg: The config; changed in place.
        file: The weights: a checkpoint or an ONNX file.
        checkpoint: The content of a checkpoint that is read already.

    Returns:
        Whether it was set.

    Raises:
        InputError: If the weights cannot be read, or theirs is no calibration.
    """
    if not isinstance(setting(cfg, 'model', 'test_cfg'), dict) or setting(cfg, *_PATH) is not None \
            or not has_calibrating_head(cfg):
        return False
    calibration = setting(_config_in(file, checkpoint), *_PATH)
    require_calibration(calibration, f'{printable(file)}: its config: model.test_cfg')
    if not calibration:
        return False
    set_value(cfg, _PATH, calibration)
    return True


def put_calibration(cfg: Config, file: str) -> None:
    """Set a config's ``model.test_cfg.calibration`` to what ``tools/analysis/calibrate.py --out`` wrote.

    Args:
        cfg: The config; changed in place.
        file: The JSON file.

    Raises:
        InputError: If the file cannot be read or holds no calibration, or the network has no head that calibrates.
    """
    what, remedy = f'what {call_of("calibrate")} --out writes', 'give such a file'
    content = read_json(file, what, remedy)
    calibration = content.get(KEY) if isinstance(content, dict) else None
    fault = fault_of(calibration) if calibration else f'it has no {KEY}'
    if fault:
        raise InputError(f'{printable(file)}: not {what} ({printable(fault)}); {remedy}')
    if not has_calibrating_head(cfg) or not isinstance(setting(cfg, 'model', 'test_cfg'), dict):
        raise InputError(f'{printable(file)}: the network of this checkpoint has no head that calibrates its scores: '
                         'leave it out')
    set_value(cfg, _PATH, calibration)


def _config_in(file: str, checkpoint: dict | None) -> Any:
    """The config that stands in weights; nothing where there is none that can be read as data."""
    source = f'checkpoint {printable(file)}'
    if is_onnx(file):
        return read_onnx(file).config(source)
    content = checkpoint or CheckpointLoader.load_checkpoint(file, map_location='cpu', logger='silent')
    text = setting(content, 'meta', 'cfg')
    try:
        return parse_config(text, source) if isinstance(text, str) else {}
    except InputError:
        return {}  # of a config that is more than values the weights alone are taken
