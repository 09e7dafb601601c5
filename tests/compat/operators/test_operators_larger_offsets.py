"""Offsets and factors larger than the output, as DyHead gives them: mmcv reads the first values of each image."""
import numpy as np
import pytest
import torch
from mmcv.ops import modulated_deform_conv2d


def plain(image, offset, mask, weight):
    """Version 2, of stride 1 without padding, place by place; offsets and factors as flat memory."""
    channels, height, width = image.shape
    out = np.zeros((len(weight), height - 2, width - 2))
    offset, mask = offset.ravel(), mask.ravel()
    places = out[0].size
    for i, j in np.ndindex(out.shape[1:]):
        for tap, (di, dj) in enumerate(np.ndindex(3, 3)):
            place = i * out.shape[2] + j
            y, x = i + di + offset[2 * tap * places + place], j + dj + offset[(2 * tap + 1) * places + place]
            y0, x0 = int(np.floor(y)), int(np.floor(x))
            for yy, xx in ((y0, x0), (y0, x0 + 1), (y0 + 1, x0), (y0 + 1, x0 + 1)):
                if 0 <= yy < height and 0 <= xx < width:
                    share = (1 - abs(y - yy)) * (1 - abs(x - xx)) * mask[tap * places + place]
                    out[:, i, j] += share * (weight[:, :, di, dj] @ image[:, yy, xx])
    return out


@pytest.fixture
def inputs():
    rng = np.random.default_rng(0)
    # Outputs are 3x4, offsets and factors 6x8.
    shapes = dict(image=(2, 2, 5, 6), offset=(2, 18, 6, 8), mask=(2, 9, 6, 8), weight=(3, 2, 3, 3))
    return {name: torch.tensor(rng.uniform(-1, 1, shape)) for name, shape in shapes.items()}


def convolve(image, offset, mask, weight):
    return modulated_deform_conv2d(image, offset, mask, weight, None, 1, 0, 1, 1, 1)


def test_the_first_values_are_read(inputs):
    result = convolve(**inputs).numpy()
    weight = inputs['weight'].numpy()
    for i, one in enumerate(result):
        parts = (inputs[name][i].numpy() for name in ('image', 'offset', 'mask'))
        np.testing.assert_allclose(one, plain(*parts, weight), atol=1e-9)


def test_the_gradients_are_those_of_finite_differences(inputs):
    inputs = {name: values.requires_grad_() for name, values in inputs.items()}
    assert torch.autograd.gradcheck(lambda *values: convolve(*values), tuple(inputs.values()), fast_mode=True)
    convolve(**inputs).sum().backward()
    assert not inputs['offset'].grad.flatten(1)[:, 18 * 12:].any()
    assert inputs['offset'].grad.flatten(1)[:, :18 * 12].any()


def test_smaller_ones_are_refused(inputs):
    inputs['offset'] = inputs['offset'][:, :, :1]
    with pytest.raises(RuntimeError):
        convolve(**inputs)
