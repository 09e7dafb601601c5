"""Fine-tuning (``--from``): a short schedule at a lower rate from the weights of a network of the same kind."""
import math
from typing import Any

from mmengine.config import Config

from bafenet.datasets.parts import loader_parts
from bafenet.errors import InputError, printable

from ..compat.config_text import parse_config
from ..compat.weights_fit import misfit
from ..models.onnx_file import is_onnx
from .checkpoint_hook import AtomicCheckpointHook
from .checkpoints import load_from_local
from .class_layer import fit_class_layer
from .config_paths import setting
from .devkit_data import dataset_classes
from .network import outline_of
from .run_checks import differences
from .schedule import epochs_of, epochs_settings, warm_up
from .start_average import StartAverage

# A quarter of the rate from scratch: measured, see docs/training.md.
RATE = 0.25
# Of the weights to begin with, in what is kept: measured, see docs/training.md.
START_SHARE = 0.4
# Enough to learn, few enough for minutes on two CPU cores.
ITERATIONS, FEWEST_EPOCHS, MOST_EPOCHS = 400, 3, 60
VALIDATIONS = 10
_WARM_UP = 50
_PICKED_BY = 'densesirst/mAP_12'
_SHOWN = 6
# What of a model differs with the data, or does not concern its weights.
_OTHER_DATA = {'num_classes', 'init_cfg', 'test_cfg', 'train_cfg'}


def fine_tune_settings(cfg: Config, weights: str, iterations: int, epochs: int | None = None) -> dict[str, Any]:
    """What of a config changes so that it fine-tunes.

    A quarter of its learning rate, a warm-up of at most 50 iterations and a tenth of all, and one cosine; the windows
    of ``BalancedCrop`` and all else that depends on the epoch follow (:func:`epochs_settings`). About 10 validations,
    of which the best is kept, the latest of equally good ones;
    the weights as they are, validated before the first epoch, count as epoch 0.

    Args:
        cfg: The config.
        weights: Checkpoint to begin with.
        iterations: Of an epoch.
        epochs: How many; None for about 400 iterations, from 3 to 60 epochs.

    Raises:
        InputError: If the config trains by iterations.
    """
    epochs_of(cfg, '--from')
    if epochs is None:
        epochs = min(max(round(ITERATIONS / iterations), FEWEST_EPOCHS), MOST_EPOCHS)
    without = Config(dict(cfg._cfg_dict.to_dict(), param_scheduler=None))
    settings = epochs_settings(without, epochs, iterations)
    end = warm_up(iterations * epochs, _WARM_UP)
    start = [dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=end)] if end else []
    settings['param_scheduler'] = [*start, dict(type='CosineAnnealingLR', begin=0, end=epochs, T_max=epochs,
                                                eta_min_ratio=0.01, by_epoch=True, convert_to_iter_based=True)]
    settings['load_from'] = weights
    hooks = [hook for hook in cfg.get('custom_hooks') or () if hook.get('type') != 'EMAHook']
    if len(hooks) == len(cfg.get('custom_hooks') or ()):
        settings['custom_hooks'] = [*map(dict, hooks), dict(type='EMAHook', ema_type=StartAverage.__name__,
                                                            start_share=START_SHARE)]
    settings['train_cfg.val_interval'] = math.ceil(epochs / VALIDATIONS)
    rate = setting(cfg, 'optim_wrapper', 'optimizer', 'lr')
    if rate is not None:
        settings['optim_wrapper.optimizer.lr'] = rate * RATE
    if setting(cfg, 'model', 'backbone', 'init_cfg') is not None:
        settings['model.backbone.init_cfg'] = None  # no download of what would be written over
    return settings | _picking(cfg)


def _picking(cfg: Config) -> dict[str, Any]:
    """How the best epoch is picked."""
    hook = setting(cfg, 'default_hooks', 'checkpoint')
    if not hook or not cfg.get('val_dataloader'):
        return {}
    picked: dict[str, Any] = {} if hook.get('save_best') else {'save_best': _PICKED_BY, 'rule': 'greater'}
    if hook.get('type') == AtomicCheckpointHook.__name__:
        picked |= {'later_of_equals': True, 'validate_start': True}
    return {f'default_hooks.checkpoint.{key}': value for key, value in picked.items()}


def require_same_network(cfg: Config, config: str, weights: str) -> list[str]:
    """Demand that the weights to fine-tune are those of the config's network, but for its class layer.

    Args:
        cfg: The config, all settings in it.
        config: Its file, for messages.
        weights: Checkpoint file, or the name of weights that come with the package.

    Returns:
        Lines: settings of the model that differ from those that the weights were trained with, and no weight shows.

    Raises:
        InputError: If a weight is missing, of another shape, or unknown to the network; or the file is no checkpoint.
    """
    if is_onnx(weights):
        raise InputError(f'--from {printable(weights)}: an ONNX file cannot be trained; give the checkpoint that it '
                         'was made of')
    checkpoint = load_from_local(weights, map_location='cpu')
    # All parts of a dataset have the same: require_one_metainfo.
    parts = loader_parts(cfg, 'train')
    classes = dataset_classes(parts[0].settings) if parts else ()
    fitted = fit_class_layer(checkpoint, classes)[0] if classes else checkpoint
    try:
        network = outline_of(cfg, fitted, config)
        differs = '' if network is None else misfit(network.state_dict(), fitted.get('state_dict', fitted))
    except InputError as error:
        differs = str(error)
    if differs:
        raise InputError(f'--from {printable(weights)}: its weights are not those of the network of '
                         f'{printable(config)}: {differs}; give the config that they were trained with')
    return _differences(cfg, checkpoint, weights)


def _differences(cfg: Config, checkpoint: dict, weights: str) -> list[str]:
    text = checkpoint.get('meta', {}).get('cfg') if isinstance(checkpoint.get('meta'), dict) else None
    if text is None:
        return []
    there = parse_config(text, f'checkpoint {printable(weights)}').to_dict().get('model')
    found = list(differences(there, cfg._cfg_dict.to_dict().get('model'), 'model', _OTHER_DATA))
    return [f'warning: the weights were trained with other settings: {printable("; ".join(found[:_SHOWN]))}'
            + (f' and {len(found) - _SHOWN} more' if len(found) > _SHOWN else '')] if found else []
