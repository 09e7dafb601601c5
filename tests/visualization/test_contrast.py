"""Contrast for the eye: limits by percentiles against NumPy's own, and what is said of them."""
import numpy as np
import pytest

from bafenet.visualization.contrast import contrast_limits, describe_limits, stretch


@pytest.mark.parametrize('percentiles', [(0, 100), (0.5, 99.9), (10, 60)])
def test_limits_are_percentiles(percentiles):
    image = np.random.default_rng(1).integers(20, 200, (37, 53), dtype=np.uint8)
    expected = np.percentile(image, percentiles, method='lower')
    assert np.abs(np.array(contrast_limits(image, percentiles)) - expected).max() <= 1


def test_a_few_hot_pixels_do_not_darken_the_frame():
    image = np.random.default_rng(1).integers(40, 90, (200, 200), dtype=np.uint8)
    image[0, :10] = 255
    low, high = contrast_limits(image, (0.5, 99.9))
    assert low >= 40 and high < 90


@pytest.mark.parametrize('level', [0, 3, 128, 250, 255])
def test_noise_of_a_flat_frame_is_not_made_black_and_white(level):
    image = np.clip(level + np.arange(64).reshape(8, 8) % 3, 0, 255).astype(np.uint8)
    low, high = contrast_limits(image, (0.5, 99.9), least_span=32)
    assert 0 <= low <= image.min() and image.max() <= high <= 255 and high - low == 32


def test_limits_become_black_and_white():
    image = np.array([[0, 31, 32], [63, 96, 255]], np.uint8)
    expected = np.clip(np.rint((image - 31.0) / (96 - 31) * 255), 0, 255)
    np.testing.assert_array_equal(stretch(image, (31, 96)), expected)
    np.testing.assert_array_equal(stretch(image, (0, 255)), image)


def test_limits_are_said_in_the_unit_of_the_frame():
    assert describe_limits((31, 96), None) == 'grey 31–96 of 0–255'
    assert describe_limits((0, 255), (7000, 7510)) == 'grey 7000–7510'
    assert describe_limits((51, 255), (0.0, 1.0)) == 'grey 0.200–1.000'
