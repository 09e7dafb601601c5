"""Local contrast measures against their equations in plain loops, in the middle of a frame."""
import cv2
import numpy as np
import pytest

from bafenet.classical import lcm, mpcm, tllcm, wslcm
from bafenet.classical.windows import AROUND, cells, mean, mean_of_largest

RNG = np.random.default_rng(1)
FRAME = RNG.integers(20, 90, (44, 47)).astype(np.float64)
FRAME[20:23, 22:25] += 120
INNER = [(20, 23), (21, 24), (18, 20), (24, 21)]
GAUSS = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16


def window(frame, row, column, size):
    reach = size // 2
    return frame[row - reach:row + reach + 1, column - reach:column + reach + 1]


def around(row, column, size):
    return [(row + y * size, column + x * size) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)]


def top(values, count):
    return np.sort(values, axis=None)[-count:].mean()


def core(frame, row, column):
    return (window(frame, row, column, 3) * GAUSS).sum()


def test_the_mean_of_the_largest_is_that_of_each_window_and_whatever_is_sorted_at_once(monkeypatch):
    expected = mean_of_largest(FRAME, 5, 4)
    assert expected[20, 23] == pytest.approx(top(window(FRAME, 20, 23, 5), 4))
    monkeypatch.setattr('bafenet.classical.windows._VALUES_AT_ONCE', 5000)
    np.testing.assert_array_equal(mean_of_largest(FRAME, 5, 4), expected)


def test_opposite_cells_are_four_apart_and_the_field_ends_as_the_frame_does():
    centre, others = cells(FRAME, 3, mean)
    averages = cv2.blur(FRAME, (3, 3), borderType=cv2.BORDER_REPLICATE)
    np.testing.assert_array_equal(centre, averages)
    height, width = FRAME.shape
    for (y, x), other in zip(AROUND, others, strict=True):
        np.testing.assert_array_equal(other[3:-3, 3:-3],
                                      averages[3 + 3 * y:height - 3 + 3 * y, 3 + 3 * x:width - 3 + 3 * x])
    assert [tuple(np.negative(place)) for place in AROUND[:4]] == list(AROUND[4:])
    assert others[0][0, 0] == averages[0, 0] and others[4][-1, -1] == averages[-1, -1]


@pytest.mark.parametrize('place', INNER)
def test_lcm(place):
    expected = max(min(window(FRAME, *place, size).max()**2 / window(FRAME, *cell, size).mean()
                       for cell in around(*place, size)) for size in (3, 5))
    assert lcm(FRAME, (3, 5))[place] == pytest.approx(expected)


@pytest.mark.parametrize('place', INNER)
def test_mpcm(place):
    def at(size):
        own = window(FRAME, *place, size).mean()
        cells_around = around(*place, size)
        differences = [own - window(FRAME, *cell, size).mean() for cell in cells_around]
        # Opposite cells in reading order: the first and the last, and so on.
        return min(differences[k] * differences[7 - k] for k in range(4))

    assert mpcm(FRAME, (3, 5))[place] == pytest.approx(max(map(at, (3, 5))))


@pytest.mark.parametrize('place', INNER)
def test_tllcm(place):
    own = core(FRAME, *place)
    background = max(top(window(FRAME, *cell, 9), 9) for cell in around(*place, 9))
    assert tllcm(FRAME)[place] == pytest.approx(max(own / background * own - own, 0))
    assert tllcm(FRAME)[21, 23] > 0


@pytest.mark.parametrize('place', INNER)
def test_wslcm(place):
    smooth = cv2.medianBlur(FRAME.astype(np.float32), 3).astype(float)

    def at(size):
        spots = [place, *around(*place, size)]
        highest = [top(window(smooth, *spot, size), 9) for spot in spots]
        level = [high - window(smooth, *spot, size).mean() for high, spot in zip(highest, spots, strict=True)]
        own = core(smooth, *place)
        contrast = max(own / max(highest[1:]) * own - own, 0)
        deviation = max(np.std(level[1:], ddof=1), 5)
        return level[0] * max(level[0] - max(level[1:]), 0) / deviation * contrast

    assert wslcm(FRAME, (5, 7))[place] == pytest.approx(max(map(at, (5, 7))))


def test_a_black_frame_has_no_response_and_no_warning():
    black = np.zeros((40, 40))
    for method in (lcm, mpcm, tllcm, wslcm):
        assert not method(black).any()
