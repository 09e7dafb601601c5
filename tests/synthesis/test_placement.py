"""Placement against brute force: what is valid, what is left, and that every valid position is equally likely."""
from collections import Counter
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from bafenet.synthesis.placement import (
    draw_integer,
    draw_integers,
    draw_true,
    place_regions,
    place_targets,
    region_corners,
)

SEEDS = st.integers(0, 2**32 - 1)


def random_mask(seed, rows, cols):
    rng = np.random.default_rng(seed)
    return rng.random((rows, cols)) < rng.choice([0.6, 0.9, 1.0])


def brute_corners(allowed, size):
    """All corners whose rectangle has only allowed pixels, found by looking at each pixel."""
    (rows, cols), (height, width) = allowed.shape, size
    return {(y, x) for y in range(rows - height + 1) for x in range(cols - width + 1)
            if all(allowed[y + i, x + j] for i in range(height) for j in range(width))}


def pixels(corner, size):
    return list(product(range(corner[0], corner[0] + size[0]), range(corner[1], corner[1] + size[1])))


def empty_between(first, first_size, second, second_size):
    """Empty pixels between two rectangles along the longer of the two ways, pixel by pixel; -1 if they overlap."""
    return min(max(abs(y - v), abs(x - u)) for y, x in pixels(first, first_size)
               for v, u in pixels(second, second_size)) - 1


@settings(max_examples=150, deadline=None)
@given(SEEDS, st.integers(1, 12), st.integers(1, 12), st.integers(1, 5), st.integers(1, 5), st.booleans())
def test_region_corners_are_exact(seed, rows, cols, height, width, as_bytes):
    allowed = random_mask(seed, rows, cols)
    given_mask = allowed.astype(np.uint8) * 255 if as_bytes else allowed
    found = {tuple(corner) for corner in np.argwhere(region_corners(given_mask, (height, width))).tolist()}
    assert found == brute_corners(allowed, (height, width))


@settings(max_examples=100, deadline=None)
@given(SEEDS, st.integers(1, 14), st.integers(1, 14), st.integers(1, 4), st.integers(1, 4), st.integers(0, 5),
       st.integers(0, 3))
def test_regions_are_valid_apart_and_as_many_as_fit(seed, rows, cols, height, width, count, margin):
    allowed, size = random_mask(seed, rows, cols), (height, width)
    before = allowed.copy()
    corners = [tuple(corner) for corner in
               place_regions(allowed, size, count, np.random.default_rng(seed), margin).tolist()]
    np.testing.assert_array_equal(allowed, before)
    valid = brute_corners(allowed, size)
    assert len(corners) <= count
    assert set(corners) <= valid
    assert all(empty_between(a, size, b, size) >= margin for i, a in enumerate(corners) for b in corners[:i])
    if len(corners) < count:
        assert not [left for left in valid if all(empty_between(left, size, a, size) >= margin for a in corners)]


@pytest.mark.parametrize('make_rng', [np.random.default_rng, np.random.RandomState])
def test_regions_are_uniform(make_rng):
    allowed = np.ones((9, 11), bool)
    allowed[4, 3:6] = allowed[0, 9] = allowed[7, 0] = False
    rng, valid = make_rng(3), brute_corners(allowed, (2, 3))
    drawn = Counter(tuple(place_regions(allowed, (2, 3), 1, rng)[0].tolist()) for _ in range(8000))
    assert set(drawn) == valid
    assert chisquare([drawn[corner] for corner in sorted(valid)]).pvalue > 0.001


def test_nothing_to_draw_from():
    rng = np.random.default_rng(0)
    assert draw_true(np.zeros((4, 5), bool), rng) is None
    assert draw_true(np.zeros((0, 5), bool), rng) is None
    assert place_regions(np.ones((4, 40), bool), (5, 5), 3, rng).shape == (0, 2)


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.integers(1, 14), st.integers(1, 14), st.integers(0, 7))
def test_targets_are_spaced_exactly_and_left_out_only_if_none_fits(seed, height, width, count):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 6, (count, 2))
    corners = [tuple(corner) for corner in place_targets((height, width), sizes, [(1, 1), (2, 2)], rng).tolist()]
    placed = []
    for corner, size in zip(corners, sizes.tolist(), strict=True):
        everywhere = list(product(range(height - size[0] + 1), range(width - size[1] + 1)))
        if corner == (-1, -1):
            assert all(placed and min(empty_between(other, size, *one) for one in placed) not in (1, 2)
                       for other in everywhere)
            continue
        assert corner in everywhere
        if placed:
            assert min(empty_between(corner, size, *one) for one in placed) in (1, 2)
        placed.append((corner, size))


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.integers(1, 3), st.integers(1, 3))
def test_gaps_may_differ_by_axis(seed, gap_y, gap_x):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 4, (6, 2))
    corners = place_targets((18, 18), sizes, [(gap_y, gap_x)], rng)
    placed = [(corner, size) for corner, size in zip(corners.tolist(), sizes.tolist(), strict=True) if corner[0] >= 0]
    assert len(placed) > 1
    for index, (corner, size) in enumerate(placed[1:], 1):
        between = []
        for other, other_size in placed[:index]:
            rows = max(other[0] - corner[0] - size[0], corner[0] - other[0] - other_size[0])
            cols = max(other[1] - corner[1] - size[1], corner[1] - other[1] - other_size[1])
            between.append((rows, cols))
        assert all(rows >= gap_y or cols >= gap_x for rows, cols in between)
        assert any(rows <= gap_y and cols <= gap_x for rows, cols in between)


@pytest.mark.parametrize('make_rng', [np.random.default_rng, np.random.RandomState])
def test_targets_are_uniform_given_gap_and_neighbours(make_rng):
    rng, length, sizes = make_rng(5), 9, [(1, 2), (1, 1)]
    expected = Counter()
    for first in range(length - 1):
        for gap in (1, 2):
            valid = [x for x in range(length) if empty_between((0, x), (1, 1), (0, first), (1, 2)) == gap]
            for second in valid:
                expected[first, second] += 1 / (length - 1) / 2 / len(valid)
    drawn = Counter(tuple(place_targets((1, length), sizes, [(1, 1), (2, 2)], rng)[:, 1].tolist()) for _ in range(8000))
    assert set(drawn) == set(expected)
    cells = sorted(expected)
    assert chisquare([drawn[cell] for cell in cells], [8000 * expected[cell] for cell in cells]).pvalue > 0.001


@pytest.mark.parametrize('rng', [np.random.default_rng(0), np.random.RandomState(0), np.random], ids=type)
def test_integers_include_both_ends(rng):
    assert set(draw_integers(rng, 3, 5, 200).tolist()) == {3, 4, 5}
    assert draw_integer(rng, 2, 2) == 2
