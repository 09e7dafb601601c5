"""Frames of 16 bits and floating point become 8 bits: percentiles, fixed range, NaN, infinities, constant frames."""
import numpy as np
import pytest

from bafenet.devkit.grey_levels import GreyLevels, as_frame
from bafenet.errors import InputError

RNG = np.random.default_rng(0)
RAMP = np.arange(1000).reshape(25, 40)


@pytest.mark.parametrize('dtype', ['uint16', 'int16', 'uint32', 'int64', 'float16', 'float32', 'float64', '>u2', '>f4'])
def test_every_type_gives_the_same_levels(dtype):
    image, limits = GreyLevels().apply(as_frame(RAMP.astype(dtype)))
    assert image.dtype == np.uint8 and limits == (1, 998)
    np.testing.assert_array_equal(image, np.clip(np.rint((RAMP - 1) * 255 / 997), 0, 255))


def test_eight_bits_stay_as_they_are():
    image = RNG.integers(0, 99, (5, 6), dtype=np.uint8)
    same, limits = GreyLevels(value_range=(0, 10)).apply(image)
    assert same is image and limits is None


def test_a_fixed_range_is_that_of_every_frame():
    levels = GreyLevels(value_range=(100, 355))
    for image in (RAMP.astype(np.uint16), RAMP.astype(np.float32)):
        np.testing.assert_array_equal(levels.apply(image)[0], np.clip(RAMP - 100, 0, 255))


@pytest.mark.parametrize(('values', 'expected', 'limits'), [
    ([np.inf, -np.inf, 0, 1, np.nan, 5], [255, 0, 0, 51, 0, 255], (0, 5)),
    ([np.nan, np.nan], [0, 0], (0, 0)),
    ([7, 7], [0, 0], (7, 7)),
    ([1e308, -1e308, 0], [255, 0, 128], (-1e308, 1e308)),
    ([0] * 2000 + [9, 10], [0] * 2000 + [230, 255], (0, 10)),  # both percentiles are 0
])
def test_odd_frames(values, expected, limits):
    image, found = GreyLevels().apply(np.array([values], float))
    assert image[0].tolist() == expected and found == limits


def test_channels_are_stretched_together():
    image, _ = GreyLevels((0, 100)).apply(np.dstack([RAMP, RAMP // 2, RAMP // 4]).astype(np.uint16))
    assert image.max(axis=(0, 1)).tolist() == [255, 127, 64]


@pytest.mark.parametrize('settings', [
    dict(percentiles=(5, )), dict(percentiles=(99, 1)), dict(percentiles=(1, 101)), dict(percentiles=(3, 3)),
    dict(percentiles='ab'), dict(value_range=(1, 1)), dict(value_range=(0, float('inf'))), dict(value_range=3)])
def test_other_settings_are_refused(settings):
    with pytest.raises(InputError, match=next(iter(settings))):
        GreyLevels(**settings)


@pytest.mark.parametrize(('image', 'message'), [
    ([1, 2], 'a list'), (np.zeros((4, 4), bool), 'bool 4x4'), (np.zeros((4, 4), 'U1'), 'give grey levels'),
    (np.zeros((4, 4, 2)), '4x4x2: give'), (np.zeros((2, 4, 4, 3)), '2x4x4x3: give'), (np.zeros((0, 4)), '0x4: give'),
    (np.broadcast_to(np.uint8(0), (2**14, 2**13)), 'more than 67,108,864 pixels')])
def test_what_is_no_frame_is_refused(image, message):
    with pytest.raises(InputError, match=message):
        as_frame(image)
