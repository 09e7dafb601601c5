"""Top-Hat and Max-Median against their definitions in plain loops."""
import numpy as np
import pytest
from scipy import ndimage

from bafenet.classical import max_median, top_hat

FRAME = np.random.default_rng(0).integers(0, 255, (23, 31)).astype(np.float64)


@pytest.mark.parametrize('size', [3, 5])
def test_top_hat_is_the_frame_minus_its_opening(size):
    expected = FRAME - ndimage.grey_opening(FRAME, size=(size, size), mode='reflect')
    inner = slice(size, -size), slice(size, -size)
    np.testing.assert_array_equal(top_hat(FRAME, size)[inner], expected[inner])
    assert top_hat(FRAME, size).min() >= 0


@pytest.mark.parametrize('size', [3, 5])
def test_max_median_takes_away_the_largest_median_of_four_lines(size):
    reach, padded = size // 2, np.pad(FRAME, size // 2, 'edge')
    expected = np.zeros_like(FRAME)
    for row, column in np.ndindex(*FRAME.shape):
        window = padded[row:row + size, column:column + size]
        lines = window[reach], window[:, reach], np.diag(window), np.diag(window[:, ::-1])
        expected[row, column] = max(FRAME[row, column] - max(map(np.median, lines)), 0)
    np.testing.assert_array_equal(max_median(FRAME, size), expected)
