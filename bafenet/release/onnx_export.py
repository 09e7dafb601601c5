"""Export a trained network as an ONNX file and check it: against PyTorch by a few frames, in int8 by its accuracy."""
import os
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from bafenet.errors import InputError, printable
from bafenet.fileio import atomic_path

from ..models.onnx_file import PRECISIONS, require_onnx
from ..models.onnx_network import OnnxNetwork
from .export import require_new
from .onnx_accuracy import LOSSES, accuracy, lost, read, require_data, split_files, spread
from .onnx_build import Trained, build_onnx, with_meta
from .onnx_check import FLOAT16, FLOAT32, Comparison, Reference, compare, made_frames
from .onnx_quantize import quantize

CALIBRATION = 128
SPLIT = 'val_v2'
_CHECKED = 3


def export_onnx(checkpoint: str,
                out: str,
                nms: bool = False,
                precision: str = 'float32',
                data_root: str | None = None,
                split: str = SPLIT,
                calibration: int = CALIBRATION,
                force: bool = False) -> dict[str, Any]:
    """Write a trained network as an ONNX file, bit by bit the same each time; one that fails its check is not written.

    The graph takes ``frames``, uint8 (N, H, W, C), of any number and size: grey, C = 1, or BGR, C = 3. What it gives is
    in :class:`~bafenet.release.onnx_graph.Candidates` and, with ``nms``, in
    :class:`~bafenet.release.onnx_nms.NmsGraph`.

    Args:
        checkpoint: Name of weights that come with the package, a checkpoint, or a work dir whose best one is meant.
        out: File to write, ``NAME.onnx``.
        nms: Put threshold, NMS, maximum and whole pixels inside, as the config says.
        precision: ``'float32'``, ``'float16'`` or ``'int8'``.
        data_root: Devkit instead of the config's, for the frames of the check and of int8.
        split: Split on which int8 is compared with float32, ``'val_v2'``.
        calibration: How many training frames int8 is calibrated on.
        force: Overwrite ``out``.

    Returns:
        ``file``, ``bytes``, ``precision``, ``nms``, ``frames`` (what was compared on) and what was found: the fields of
        :class:`~bafenet.release.onnx_check.Comparison`, or for int8 ``before`` and ``after``, where a split is at hand.

    Raises:
        InputError: If the checkpoint cannot be read or exported, ``out`` exists and ``force`` is not given, onnx or
            onnxruntime is not installed, there are no frames to calibrate on, or the check fails.
    """
    require_new(out, '.onnx', force)
    require_onnx('onnx')
    require_onnx()
    if precision not in PRECISIONS:
        raise InputError(f'--precision {printable(precision)}: give one of {", ".join(PRECISIONS)}')
    if data_root is not None and not Path(data_root).is_dir():
        raise InputError(f'--data-root {printable(data_root)}: there is no such folder')
    trained = Trained.read(checkpoint)
    if not hasattr(trained.network, 'bbox_head'):
        raise InputError(f'{trained.source}: ONNX files are made of networks with a detection head, and a '
                         f'{type(trained.network).__name__} has none; export its weights as NAME.pth')
    with atomic_path(out) as file:
        if precision == 'int8':
            checked = _write_int8(trained, file, nms, data_root, split, calibration)
        else:
            file.write_bytes(build_onnx(trained, precision, nms))
            checked = _check(trained, file, precision, data_root)
        size = os.path.getsize(file)
    return dict(file=out, bytes=size, precision=precision, nms=nms, **checked)


def _check(trained: Trained, file: Path, precision: str, data_root: str | None) -> dict[str, Any]:
    """Compare with PyTorch.

    Raises:
        InputError: If the file gives other results.
    """
    frames, names = _frames(trained, data_root)
    exact = precision == 'float32'
    found = compare(Reference(trained.network, trained.size), OnnxNetwork(str(file)), frames, exact)
    limit = FLOAT32 if exact else FLOAT16
    if not found.difference <= limit or found.missing:
        raise InputError(f'{trained.source}: the ONNX file of {precision} gives other results than PyTorch on {names}: '
                         f'largest difference {found.difference:.2g} (allowed {limit:g}), {found.missing} of '
                         f'{found.boxes} boxes without a counterpart; nothing was written')
    return dict(frames=names, **asdict(found))


def _frames(trained: Trained, data_root: str | None) -> tuple[list[np.ndarray], str]:
    """Three frames of the test split where it is at hand, else made ones, and what they are."""
    files = spread(split_files(trained.cfg, 'test', data_root), _CHECKED)
    if not files:
        frames = made_frames()
        return frames, f'{len(frames)} made frames'
    return list(read(files)), printable(', '.join(file.name for file in files))


def write_int8(trained: Trained, whole: Path, file: Path, frames: Iterable[np.ndarray], nms: bool = False) -> None:
    """Quantize the float32 file of a network, with its metadata; see :func:`~bafenet.release.onnx_quantize.quantize`.

    Args:
        trained: The network.
        whole: Its file in float32.
        file: File to write.
        frames: Training frames, uint8 (H, W, C).
        nms: Whether NMS is inside.
    """
    quantize(whole, file, (frame[None] for frame in frames))
    file.write_bytes(with_meta(require_onnx('onnx').load(str(file)), trained.onnx_meta('int8', nms)))


def _write_int8(trained: Trained, file: Path, nms: bool, data_root: str | None, split: str,
                calibration: int) -> dict[str, Any]:
    """Quantize the network, and compare its accuracy with that in float32 where the split is at hand.

    Raises:
        InputError: If there are no frames to calibrate on, or it loses too much.
    """
    files = require_data(spread(split_files(trained.cfg, 'train', data_root), calibration), data_root)
    tested = split_files(trained.cfg, 'test', data_root, split)
    whole = file.with_name(f'{file.stem}.float32.onnx')
    try:
        whole.write_bytes(build_onnx(trained, 'float32', nms))
        write_int8(trained, whole, file, read(files), nms)
        frames, names = _frames(trained, data_root)
        speed: Comparison = compare(Reference(trained.network, trained.size), OnnxNetwork(str(file)), frames, False)
        result: dict[str, Any] = dict(frames=names, calibrated_on=len(files), torch_ms=speed.torch_ms,
                                      onnx_ms=speed.onnx_ms)
        if not tested:
            return result
        root = str(tested[0].parents[1])
        before, after = (accuracy(OnnxNetwork(str(place)), trained.cfg, root, split) for place in (whole, file))
    finally:
        whole.unlink(missing_ok=True)
    if lost(before, after):
        raise InputError(f'{trained.source}: in int8 the network loses too much on {split}: '
                         f'{"; ".join(lost(before, after))}; nothing was written: calibrate on more frames '
                         '(--calibration), or export float16')
    return dict(result, split=split, images=len(tested), before={key: before[key] for key in LOSSES if key in before},
                after={key: after[key] for key in LOSSES if key in after})
