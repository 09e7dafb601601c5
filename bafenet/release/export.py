"""Export the weights of a training checkpoint: float16, without the optimizer, with config and provenance."""
import hashlib
import io
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmdet.models.detectors import BaseDetector
from mmdet.structures import DetDataSample
from mmengine.config import Config
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.utils._pytree import tree_leaves

from bafenet.datasets.parts import loader_parts
from bafenet.errors import InputError, printable
from bafenet.fields import require_list, require_text, require_whole
from bafenet.fileio import require_writable_file, write_bytes

from ..engine.carried_calibration import put_calibration
from ..engine.checkpoints import find_checkpoint, load_from_local
from ..engine.network import build_network, trained_config
from ..engine.training_images import KEY as TRAINING_IMAGES

# Where a user has the dataset (data/README.md), wherever it was on the machine that trained.
DATA_ROOT = 'data/SIRSTdevkit'
# Settings of one run, and not of the network and its training.
_RUN_KEYS = ('work_dir', 'load_from', 'resume', 'launcher', 'experiment_name', 'local_rank')
# Of the largest output: about ten times what half precision does to a healthy network.
_MAX_DIFFERENCE = 0.02


def export(checkpoint: str,
           out: str,
           command: str,
           commit: str,
           seed: int | None = None,
           hardware: str | None = None,
           force: bool = False,
           score_map: str | None = None) -> dict:
    """Write the network's weights in float16, bit by bit the same file each time.

    The file holds ``state_dict`` (integer buffers as they are) and ``meta``: ``cfg``, the resolved config as text,
    ``dataset_meta``, ``training_images`` and ``provenance`` (``command``, ``commit``, ``seed``, ``epochs``,
    ``hardware``). It needs nothing but PyTorch to load with ``weights_only=True``; loaded into a network, the weights
    are float32 again.

    Args:
        checkpoint: Training checkpoint, or the work dir whose best one is meant.
        out: File to write, ``NAME.pth``.
        command: The command that trained it.
        commit: The commit of the code that trained it.
        seed: Seed of the training; by default the one in the checkpoint.
        hardware: What it was trained on, and for how long, in a few words.
        force: Overwrite ``out``.
        score_map: What ``tools/analysis/calibrate.py --out`` wrote; its map goes into the config, so that whatever
            uses the file has calibrated scores.

    Returns:
        ``file``, ``bytes``, ``sha256``, ``parameters``, ``max_difference`` (of any output of the network in float16
        from float32) and ``relative_difference`` (the same over the largest value of that output).

    Raises:
        InputError: If the checkpoint cannot be read, has no config, does not fit it, has a weight that float16 cannot
            hold, or predicts otherwise in float16; if ``out`` exists and ``force`` is not given.
    """
    require_new(out, '.pth', force)
    source = find_checkpoint(checkpoint)
    content = load_from_local(source, map_location='cpu')
    meta = content.get('meta', {})
    cfg = shipped_config(trained_config(content, source), source)
    if score_map is not None:
        put_calibration(cfg, score_map)
    network = build_network(cfg, content, source)
    provenance = dict(command=command, commit=commit, seed=meta.get('seed') if seed is None else seed,
                      epochs=meta.get('epoch'), hardware=hardware)
    data = serialise(dict(
        meta=dict(cfg=cfg.pretty_text, dataset_meta=_plain(meta.get('dataset_meta', {}), source),
                  provenance=provenance, **{key: meta[key] for key in (TRAINING_IMAGES, ) if key in meta}),
        state_dict=half_weights(network, source)))
    differences = compare(network, build_network(cfg, torch.load(io.BytesIO(data), weights_only=True), out))
    if differences['relative_difference'] > _MAX_DIFFERENCE:
        raise InputError(f'checkpoint {source}: in float16 the network predicts otherwise, an output is off by '
                         f'{100 * differences["relative_difference"]:.1f} % of its largest value; ship it in float32')
    write_bytes(out, data)
    return dict(file=out, bytes=len(data), sha256=hashlib.sha256(data).hexdigest(),
                parameters=count_parameters(network), **differences)


def require_new(out: str, suffix: str, force: bool) -> None:
    """Check the name of a file to write.

    Raises:
        InputError: If it has another suffix, exists and ``force`` is not given, or cannot be written.
    """
    if Path(out).suffix != suffix:
        raise InputError(f'{printable(out)}: the file must end in {suffix}')
    if Path(out).exists() and not force:
        raise InputError(f'{printable(out)} exists: give another name, or --force to overwrite it')
    require_writable_file(out)


def shipped_config(cfg: Config, source: str, strict: bool = True) -> Config:
    """A config without what is of one run or one machine: the dataset is at its usual place.

    Args:
        cfg: The config.
        source: The checkpoint, for the message.
        strict: Refuse another absolute path that is left; else its file name stays.

    Raises:
        InputError: If one is left.
    """
    given = [part.settings.get('data_root') for part in loader_parts(cfg, 'train')]
    roots = dict.fromkeys(Path(root) for root in given if isinstance(root, str))
    values = {key: value for key, value in cfg.to_dict().items() if key not in _RUN_KEYS}
    # Of several datasets each keeps the name of its folder.
    for root in filter(Path.is_absolute, roots):
        usual = Path(DATA_ROOT) if len(roots) == 1 else Path(DATA_ROOT).parent / root.name
        values = _map_strings(values, partial(_moved, root=root, usual=usual))
    absolute = [leaf for leaf in tree_leaves(values) if isinstance(leaf, str) and Path(leaf).is_absolute()]
    if absolute and not strict:
        return Config(_map_strings(values, lambda text: Path(text).name if Path(text).is_absolute() else text))
    if absolute:
        raise InputError(f'checkpoint {source}: its config names a place of the machine that trained it, '
                         f'{absolute[0]}; train with paths relative to the repository')
    return Config(values)


def _moved(text: str, root: Path, usual: Path) -> str:
    return str(usual / Path(text).relative_to(root)) if Path(text).is_relative_to(root) else text


def _map_strings(value: Any, function: Any) -> Any:
    if isinstance(value, dict):
        return {key: _map_strings(item, function) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_map_strings(item, function) for item in value)
    return function(value) if isinstance(value, str) else value


def _plain(dataset_meta: dict, source: str) -> dict:
    """Classes and palette alone, in Python values."""
    readers: dict[str, Callable[[Any, str], Any]] = dict(classes=require_text, palette=_colour)
    try:
        return {key.lower(): [readers[key.lower()](item, f'meta.dataset_meta.{key}[{i}]')
                              for i, item in enumerate(require_list(values, f'meta.dataset_meta.{key}'))]
                for key, values in dataset_meta.items() if key.lower() in readers}
    except InputError as error:
        raise InputError(f'checkpoint {printable(source)}: {error}; give one that training wrote') from None


def _colour(value: Any, name: str) -> list[int]:
    return [require_whole(level, name, high=255) for level in require_list(value, name)]


def count_parameters(network: nn.Module) -> int:
    """Number of parameters."""
    return sum(parameter.numel() for parameter in network.parameters())


def half_weights(network: nn.Module, source: str) -> 'OrderedDict[str, Tensor]':
    """The network's state dict, floating point values in float16.

    Raises:
        InputError: If a value is not finite, or not in float16.
    """
    state = OrderedDict(network.state_dict())
    for name, value in state.items():
        # A network may be laid out in memory in several ways; the file should not show which.
        state[name] = value.to(torch.float16 if value.is_floating_point() else value.dtype,
                               memory_format=torch.contiguous_format, copy=True)
        if not state[name].isfinite().all():
            raise InputError(f'checkpoint {source}: {name} has values up to {value.abs().max():.3g}, which float16 '
                             'cannot hold; ship it in float32')
    return state


def serialise(content: dict) -> bytes:
    """What ``torch.save`` writes, without the file's name, which it would write too."""
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


@torch.no_grad()
def compare(network: nn.Module, other: nn.Module) -> dict[str, float]:
    """The largest difference between what two networks put out for the same made-up images.

    Returns:
        ``max_difference``, and ``relative_difference``, the same over the largest absolute value of that output.
    """
    outputs = [_outputs(item) for item in (network, other)]
    differences = [((ours - theirs).abs().max(), ours.abs().max().clamp(min=1e-6))
                   for ours, theirs in zip(*outputs, strict=True)]
    return dict(max_difference=max(float(difference) for difference, _ in differences),
                relative_difference=max(float(difference / largest) for difference, largest in differences))


def _outputs(network: BaseDetector) -> list[Tensor]:
    """The network's raw outputs for two images of clouds with bright spots."""
    generator = torch.Generator().manual_seed(0)
    clouds = interpolate(torch.rand(2, 1, 8, 8, generator=generator) * 150, size=(256, 256), mode='bilinear')
    spots = torch.rand(clouds.shape, generator=generator) > 0.999
    images = torch.where(spots, 255.0, clouds).expand(-1, 3, -1, -1).to(torch.uint8)
    shape = dict(img_shape=(256, 256), ori_shape=(256, 256), scale_factor=(1.0, 1.0))
    samples = [DetDataSample(metainfo=dict(shape, img_id=index)) for index in range(len(images))]
    batch = network.data_preprocessor(dict(inputs=list(images), data_samples=samples), False)
    return [leaf for leaf in tree_leaves(network(**batch, mode='tensor')) if isinstance(leaf, Tensor)]
