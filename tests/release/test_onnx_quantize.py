"""Convolutions of an ONNX file in int8: what is quantized, what stays, and that the numbers stay close."""
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from bafenet.errors import InputError
from bafenet.release.onnx_quantize import inner_nodes, quantize, widen_small_convolutions

onnx = pytest.importorskip('onnx')
onnxruntime = pytest.importorskip('onnxruntime')


class Tiny(nn.Module):
    """Stem, trunk, and two predictions of one channel each from the same features: as a head has."""

    def __init__(self):
        super().__init__()
        self.stem, self.trunk = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 24, 3, padding=1)
        self.score, self.quality = nn.Conv2d(24, 1, 3, padding=1), nn.Conv2d(24, 1, 3, padding=1)

    def forward(self, frames):
        x = (frames.permute(0, 3, 1, 2).float().expand(-1, 3, -1, -1) - 100) / 50
        features = F.relu(self.trunk(F.relu(self.stem(x))))
        return self.score(features), self.quality(features).sigmoid()


@pytest.fixture
def float_file(tmp_path):
    torch.manual_seed(0)
    file = tmp_path / 'float.onnx'
    axes = {0: 'batch', 1: 'height', 2: 'width'}
    torch.onnx.export(Tiny().eval(), (torch.zeros(1, 24, 40, 1, dtype=torch.uint8), ), str(file), dynamo=False,
                      opset_version=17, input_names=['frames'], output_names=['score', 'quality'],
                      dynamic_axes=dict(frames=axes))
    return file


def frames(count, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (1, 24 + 8 * i, 40, 1)).astype(np.uint8) for i in range(count)]


def run(file, frame):
    session = onnxruntime.InferenceSession(str(file), providers=['CPUExecutionProvider'])
    return session.run(None, dict(frames=frame))


def test_int8_stays_close_and_quantizes_all_but_the_first(float_file, tmp_path):
    out = tmp_path / 'int8.onnx'
    quantize(float_file, out, iter(frames(4)))
    for frame in frames(2, seed=1):
        for ours, truth in zip(run(out, frame), run(float_file, frame), strict=True):
            assert ours.shape == truth.shape
            # Other frames than those of the calibration go a little beyond its range.
            error = np.abs(ours - truth) / np.ptp(truth)
            assert 0 < error.mean() < 0.02 and error.max() < 0.2
    model = onnx.load(str(out))
    made_by = {name: node for node in model.graph.node for name in node.output}
    quantized = [made_by[node.input[0]].op_type == 'DequantizeLinear' for node in model.graph.node
                 if node.op_type == 'Conv' and node.input[0] in made_by]
    assert quantized == [False, True, True]  # stem, trunk, and the two predictions in one
    weights = [onnx.numpy_helper.to_array(item) for item in model.graph.initializer]
    bytes_of = [array for array in weights if array.dtype == np.int8 and array.ndim == 4]
    assert len(bytes_of) == 2 and max(np.abs(array).max() for array in bytes_of) <= 64  # 7 bits


def test_the_same_frames_give_the_same_bytes(float_file, tmp_path):
    for name in ('one.onnx', 'other.onnx'):
        quantize(float_file, tmp_path / name, frames(2))
    assert (tmp_path / 'one.onnx').read_bytes() == (tmp_path / 'other.onnx').read_bytes()


def test_widened_predictions_are_the_same(float_file, tmp_path):
    model = onnx.load(str(float_file))
    widen_small_convolutions(model)
    onnx.checker.check_model(model)
    widths = [item.dims[0] for item in model.graph.initializer if len(item.dims) == 4]
    assert sorted(widths) == [16, 16, 24]
    onnx.save(model, str(tmp_path / 'wide.onnx'))
    frame, = frames(1)
    for ours, truth in zip(run(tmp_path / 'wide.onnx', frame), run(float_file, frame), strict=True):
        np.testing.assert_allclose(ours, truth, atol=1e-6)


def test_normalisation_and_what_follows_the_last_convolution_are_not_inner(float_file):
    model = onnx.load(str(float_file))
    kinds = {node.name: node.op_type for node in model.graph.node}
    assert {kinds[name] for name in inner_nodes(model)} == {'Conv', 'Relu'}
    assert sum(kinds[name] == 'Conv' for name in inner_nodes(model)) == 3


def test_without_frames_nothing_is_written(float_file, tmp_path):
    with pytest.raises(InputError, match='needs frames'):
        quantize(float_file, tmp_path / 'int8.onnx', [])
    assert not (tmp_path / 'int8.onnx').exists()
