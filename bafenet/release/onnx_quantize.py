"""Quantize an ONNX file of a network to int8 (static, by onnxruntime), calibrated on frames."""
import logging
import tempfile
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from bafenet.errors import InputError, first_line, printable
from bafenet.fileio import atomic_path

from ..models.onnx_file import require_onnx

# What onnxruntime computes in 8 bits between two convolutions.
_QUANTIZED = ('Conv', 'Relu', 'Add', 'Resize', 'Concat', 'MaxPool', 'Slice')
# Its kernel for 8 bits makes so many channels at once; a convolution of fewer falls back to one that is slower.
_CHANNELS_AT_ONCE = 16


def quantize(float_file: Path, out: Path, frames: Iterable[np.ndarray]) -> None:
    """Write a copy of an ONNX file whose convolutions run in int8: features uint8, weights int8, each channel's scale.

    Quantized are the layers between the first convolution, which sees the image, and the last ones. Normalisation,
    decoding and NMS stay in float32. Weights take 7 of the 8 bits: without VNNI a sum of two products of 8 bits does
    not fit into 16, and a file would give other results on another processor.

    Args:
        float_file: ONNX file in float32 with one input.
        out: File to write.
        frames: Training frames in the layout of the input, as uint8 (1, H, W, C); each is looked at once. Their
            smallest and largest features become 0 and 255.

    Raises:
        InputError: If onnxruntime or onnx is not installed, there are no frames, or the file cannot be quantized.
    """
    onnx = require_onnx('onnx')
    require_onnx()
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    model = onnx.load(str(float_file))
    widen_small_convolutions(model)
    name, = (item.name for item in model.graph.input)
    reader = _Frames(name, frames)
    quietly = logging.getLogger().level
    with tempfile.TemporaryDirectory(prefix='bafenet-') as folder, atomic_path(out) as temporary:
        widened = Path(folder, 'widened.onnx')
        onnx.save(model, str(widened))
        try:
            logging.getLogger().setLevel(logging.ERROR)  # it advises of steps that are done here
            quantize_static(
                str(widened), str(temporary), reader, quant_format=QuantFormat.QDQ, op_types_to_quantize=_QUANTIZED,
                nodes_to_quantize=inner_nodes(model), per_channel=True, reduce_range=True,
                activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.MinMax)
        except Exception as error:  # onnxruntime's own kinds of errors
            if reader.count == 0:
                raise InputError('int8 needs frames to calibrate on, and there are none') from error
            raise InputError(f'{printable(float_file)} cannot be quantized ({first_line(error)})') from error
        finally:
            logging.getLogger().setLevel(quietly)
        _require_quantized(onnx.load(str(temporary)), float_file)


class _Frames:
    """Calibration frames, as onnxruntime asks for them: one after the other, None at the end."""

    def __init__(self, name: str, frames: Iterable[np.ndarray]) -> None:
        self.name, self.count = name, 0
        self._frames: Iterator[np.ndarray] = iter(frames)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next frame by the name of the input."""
        frame = next(self._frames, None)
        self.count += frame is not None
        return None if frame is None else {self.name: frame}


def _require_quantized(model: Any, source: Path) -> None:
    if not any(node.op_type == 'QuantizeLinear' for node in model.graph.node):
        raise InputError(f'{printable(source)} cannot be quantized: nothing in it runs in int8')


def inner_nodes(model: Any) -> list[str]:
    """Names of the nodes from the second convolutions on: those with a convolution before them, and one after or in.

    The first sees an image of one or three channels, which int8 does not make faster.
    """
    nodes = list(model.graph.node)
    convolved: set[str] = set()
    for node in nodes:
        if node.op_type == 'Conv' or convolved & set(node.input):
            convolved |= set(node.output)
    needed: set[str] = set()
    inner = []
    for node in reversed(nodes):
        if node.op_type == 'Conv' or needed & set(node.output):
            needed |= set(node.input)
            if convolved & set(node.input):
                inner.append(node.name)
    return inner[::-1]


def widen_small_convolutions(model: Any) -> None:
    """Give convolutions of few output channels more that are cut off again; those of one input become one. In place.

    The class score and the quality of a box are one channel each, of the same features.
    """
    onnx = require_onnx('onnx')
    graph = model.graph
    weights = {item.name: onnx.numpy_helper.to_array(item) for item in graph.initializer}
    small = [node for node in graph.node if node.op_type == 'Conv' and set(node.input[1:]) <= set(weights)
             and _channels([node], weights) < _CHANNELS_AT_ONCE and weights[node.input[1]].shape[1] > 3
             and not any(item.name == 'group' and item.i != 1 for item in node.attribute)]
    for _, group in groupby(sorted(small, key=_place), key=_place):
        nodes = list(group)
        if _channels(nodes, weights) <= _CHANNELS_AT_ONCE:
            _widen(onnx, graph, nodes, weights)
        else:
            for node in nodes:
                _widen(onnx, graph, [node], weights)


def _place(node: Any) -> tuple[str, list[str]]:
    """What convolutions must share to be one: the input and the geometry."""
    return node.input[0], sorted(str(item) for item in node.attribute)


def _channels(nodes: list[Any], weights: dict[str, np.ndarray]) -> int:
    return sum(len(weights[node.input[1]]) for node in nodes)


def _widen(onnx: Any, graph: Any, nodes: list[Any], weights: dict[str, np.ndarray]) -> None:
    """Put one convolution and slices of what it gives in the place of several."""
    first = nodes[0]
    kernel = np.concatenate([weights[node.input[1]] for node in nodes])
    bias = np.concatenate([weights[node.input[2]] if len(node.input) > 2 else
                           np.zeros(len(weights[node.input[1]]), kernel.dtype) for node in nodes])
    more = _CHANNELS_AT_ONCE - len(kernel)
    kernel = np.pad(kernel, ((0, more), *((0, 0), ) * (kernel.ndim - 1)))
    name = f'{first.name}/widened'
    new = onnx.NodeProto()
    new.CopyFrom(first)
    new.name = name
    del new.input[1:], new.output[:]
    new.input.extend([f'{name}/weight', f'{name}/bias'])
    new.output.append(f'{name}/output')
    parts, start = [new], 0
    graph.initializer.extend([onnx.numpy_helper.from_array(kernel, f'{name}/weight'),
                              onnx.numpy_helper.from_array(np.pad(bias, (0, more)), f'{name}/bias')])
    for number, node in enumerate(nodes):
        end = start + len(weights[node.input[1]])
        bounds = [(f'{name}/{key}{number}', value) for key, value in (('start', start), ('end', end), ('axis', 1))]
        graph.initializer.extend(onnx.numpy_helper.from_array(np.array([value], np.int64), key)
                                 for key, value in bounds)
        parts.append(onnx.helper.make_node('Slice', [f'{name}/output', *(key for key, _ in bounds)],
                                           list(node.output), name=f'{node.name}/cut'))
        start = end
    index = list(graph.node).index(first)
    for node in nodes:
        graph.node.remove(node)
    for offset, part in enumerate(parts):
        graph.node.insert(index + offset, part)
    unused = {name for node in nodes for name in node.input[1:]} - {name for node in graph.node for name in node.input}
    for item in [item for item in graph.initializer if item.name in unused]:
        graph.initializer.remove(item)
