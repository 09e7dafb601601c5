"""The resize inside an ONNX file against OpenCV's, bit by bit, in PyTorch and in onnxruntime."""
import io
import warnings

import cv2
import numpy as np
import onnxruntime
import pytest
import torch

from bafenet.errors import InputError
from bafenet.release.onnx_resize import FixedPointResize

SIZE = (96, 64)


@pytest.fixture(scope='module')
def session():
    """The exported resize."""
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        torch.onnx.export(FixedPointResize(SIZE), (torch.zeros(2, 30, 40, 1, dtype=torch.uint8), ), stream,
                          dynamo=False, opset_version=17, input_names=['x'], dynamic_axes=dict(x=[0, 1, 2, 3]))
    return onnxruntime.InferenceSession(stream.getvalue())


# Larger, smaller, equal, by exactly two, one pixel, and frames of odd sides.
@pytest.mark.parametrize('shape', [(2, 251, 333, 1), (1, 31, 17, 3), (1, 64, 96, 1), (1, 128, 192, 3), (1, 1, 1, 1),
                                   (1, 480, 641, 1), (1, 63, 97, 1)])
def test_it_is_opencvs(session, shape):
    frames = np.random.default_rng(sum(shape)).integers(0, 256, shape, dtype=np.uint8)
    expected = np.stack([cv2.resize(frame, SIZE).reshape(*SIZE[::-1], -1) for frame in frames])
    assert (session.run(None, dict(x=frames))[0] == expected).all()
    assert (FixedPointResize(SIZE)(torch.from_numpy(frames)).numpy() == expected).all()


@pytest.mark.parametrize('size', [None, (64, ), (0, 64), (64, 2**20), 'large'])
def test_a_size_that_is_none_is_refused(size):
    with pytest.raises(InputError):
        FixedPointResize(size)
