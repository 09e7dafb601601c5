"""The Gaussian and the blend against Eq. 1-3 of the paper, written out pixel by pixel."""
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bafenet.synthesis import gaussian
from bafenet.synthesis.gaussian import blend, draw_weights, gaussian_weights, mask_boxes, visible_mask

SIDES = st.integers(1, 6)
SIGMAS = st.tuples(st.floats(0.3, 0.6), st.floats(0.3, 0.6))
OFFSETS = st.tuples(st.floats(-0.2, 0.2), st.floats(-0.2, 0.2))
ANGLES = st.floats(-90, 90)


def plain_weights(height, width, sigma, offset, angle):
    """Eq. 2-3 with one pixel after the other, then scaled to [0, 1]."""
    theta = math.radians(angle)
    rows = []
    for i in range(height):
        row = []
        for j in range(width):
            x = -1 + 2 * j / (width - 1) if width > 1 else 0
            y = -1 + 2 * i / (height - 1) if height > 1 else 0
            dx, dy = x - offset[0], y - offset[1]
            turned_x = math.cos(theta) * dx - math.sin(theta) * dy
            turned_y = math.sin(theta) * dx + math.cos(theta) * dy
            row.append(math.exp(-turned_x**2 / (2 * sigma[0]**2) - turned_y**2 / (2 * sigma[1]**2)))
        rows.append(row)
    low, high = min(map(min, rows)), max(map(max, rows))
    if high - low <= 1e-9 * high:
        return [[1.0] * width for _ in range(height)]
    return [[(value - low) / (high - low) for value in row] for row in rows]


@settings(max_examples=200, deadline=None)
@given(SIDES, SIDES, SIGMAS, OFFSETS, ANGLES)
def test_weights_are_equation_2_and_3(height, width, sigma, offset, angle):
    expected = plain_weights(height, width, sigma, offset, angle)
    np.testing.assert_allclose(gaussian_weights((height, width), sigma, offset, angle), expected, atol=1e-5)


def test_batch_is_each_patch_alone_with_zeros_around():
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 6, (30, 2))
    sigma, offset, angle = rng.uniform(0.3, 0.6, (30, 2)), rng.uniform(-0.2, 0, (30, 2)), rng.uniform(-90, 90, 30)
    batch = gaussian_weights(sizes, sigma, offset, angle)
    assert batch.shape == (30, *sizes.max(axis=0))
    for index, (height, width) in enumerate(sizes):
        alone = np.zeros(batch.shape[1:])
        alone[:height, :width] = plain_weights(height, width, sigma[index], offset[index], angle[index])
        np.testing.assert_allclose(batch[index], alone, atol=1e-9)


@pytest.mark.parametrize('size', [(1, 1), (1, 5), (5, 1), (1, 2), (2, 2)])
def test_thin_patches_have_no_nan_and_reach_one(size):
    weights = gaussian_weights(size, (0.4, 0.4), (0.0, 0.0), 33.0)
    assert weights.shape == size
    assert np.isfinite(weights).all()
    assert weights.max() == 1
    if size in ((1, 1), (1, 2), (2, 2)):  # all pixels are equally far from the centre
        assert (weights == 1).all()


def test_negative_offset_moves_the_peak_left_and_up():
    weights = gaussian_weights((21, 21), (0.3, 0.3), (-0.2, -0.4), 0)
    assert np.unravel_index(weights.argmax(), weights.shape) == (6, 8)


def test_no_patches_give_no_weights():
    assert len(draw_weights(np.empty((0, 2), int), np.random.default_rng(0))) == 0


@pytest.mark.parametrize('make_rng', [np.random.default_rng, np.random.RandomState])
def test_draws_fill_their_ranges_and_follow_the_seed(make_rng, monkeypatch):
    seen = {}

    def record(sizes, sigma, offset, angle):
        seen.update(sigma=sigma, offset=offset, angle=angle)
        return gaussian_weights(sizes, sigma, offset, angle)

    monkeypatch.setattr(gaussian, 'gaussian_weights', record)
    sizes = np.full((2000, 2), 3)
    first = draw_weights(sizes, make_rng(7))
    for name, (low, high) in {'sigma': (0.3, 0.6), 'offset': (-0.2, 0.0), 'angle': (-90, 90)}.items():
        assert low <= seen[name].min() < low + 0.01 * (high - low), name
        assert high - 0.01 * (high - low) < seen[name].max() <= high, name
    assert not np.allclose(seen['sigma'][:, 0], seen['sigma'][:, 1])
    np.testing.assert_array_equal(first, draw_weights(sizes, make_rng(7)))
    assert not np.array_equal(first, draw_weights(sizes, make_rng(8)))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), SIDES, SIDES, st.floats(0, 1))
def test_blend_is_equation_1(seed, height, width, brightness):
    rng = np.random.default_rng(seed)
    background, patch = rng.integers(0, 256, (2, height, width), np.uint8)
    weights = gaussian_weights((height, width), (0.4, 0.5), (-0.1, -0.2), 20)
    blended = blend(background, patch, weights, brightness)
    assert blended.dtype == np.uint8
    for i in range(height):
        for j in range(width):
            exact = min(255, int(background[i, j]) + int(patch[i, j]) * brightness * float(weights[i, j]))
            assert int(blended[i, j]) == math.floor(exact + 1e-9) or int(blended[i, j]) == math.floor(exact - 1e-9)


def test_blend_keeps_fractions_of_float_images():
    blended = blend(np.array([[1.5, 254.9]], np.float32), np.array([[1, 200]]), np.array([[0.5, 1.0]]), 0.5)
    assert blended.dtype == np.float32
    np.testing.assert_allclose(blended, [[1.75, 255]])


def test_visible_is_raised_by_one_grey_level():
    before = np.array([[10, 10, 254, 255]], np.uint8)
    after = blend(before, np.array([[1, 2, 200, 200]], np.uint8), np.ones((1, 4)), 0.75)
    assert after.tolist() == [[10, 11, 255, 255]]
    assert visible_mask(np.subtract(after, before, dtype=float)[None]).tolist() == [[[False, True, True, False]]]
    assert visible_mask(np.array([[[0.9, 1.0]]])).tolist() == [[[False, True]]]


def test_visible_is_raised_by_a_share_of_the_targets_own_greatest_raise():
    raised = np.array([[[2.4, 2.6, 25.0]], [[0.5, 1.0, 4.0]], [[0.0, 0.0, 0.0]]])
    expected = [[[False, True, True]], [[False, True, True]], [[False, False, False]]]
    assert visible_mask(raised, share=0.1).tolist() == expected


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 5))
def test_boxes_are_the_extent_of_the_masks(seed, height, width):
    masks = np.random.default_rng(seed).random((6, height, width)) < 0.3
    for mask, box in zip(masks, mask_boxes(masks), strict=True):
        y, x = np.nonzero(mask)
        if len(x):
            assert box.tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1]
        else:
            assert box.tolist() == [0, 0, 0, 0]
