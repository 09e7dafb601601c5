"""Lone and resized targets: how many, how far apart, how large, and where their boxes end."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bafenet.errors import InputError
from bafenet.synthesis import ClusterRecipe, TargetLibrary, paste_clusters, paste_targets, place_clusters
from bafenet.synthesis.recipe import check_recipe

SEEDS = st.integers(0, 2**32 - 1)
SQUARES = np.full((1, 2), 4)


def empty_between(sizes, corners):
    """The greater of the empty rows and the empty columns between each two rectangles, (n, n)."""
    low, high = corners, corners + sizes
    return (np.maximum(low[:, None], low[None]) - np.minimum(high[:, None], high[None])).max(axis=2)


@settings(max_examples=80, deadline=None)
@given(SEEDS, st.sampled_from([(1.0, 1.0), (0.5, 0.5), (2.0, 1.0)]))
def test_lone_targets_lie_in_the_allowed_area_and_far_apart(seed, scale):
    rng = np.random.default_rng(seed)
    allowed = np.arange(150)[:, None] < rng.integers(0, 151, 5).repeat(40)
    recipe = ClusterRecipe(lone_prob=1.0, num_lone=(2, 5), lone_spacing=24, target_scale=(0.5, 6.0))
    _, sizes, corners = place_clusters(allowed, rng.integers(1, 6, (30, 2)), rng, recipe, scale)
    assert len(sizes) == len(corners) <= 5
    for (height, width), (row, column) in zip(sizes, corners, strict=True):
        assert allowed[row:row + height, column:column + width].sum() == height * width
    apart = empty_between(sizes, corners)
    assert (apart[~np.eye(len(corners), dtype=bool)] >= 24 * min(scale)).all()


def test_how_many_lone_targets_there_are_and_how_often():
    recipe = ClusterRecipe(lone_prob=0.25, num_lone=(1, 3), lone_spacing=5)
    rng, allowed = np.random.default_rng(0), np.ones((250, 250), bool)
    counts = np.array([len(place_clusters(allowed, SQUARES[:, :] // 2, rng, recipe)[0]) for _ in range(800)])
    lone = counts[counts < 6]  # a cluster has eight targets or more
    assert 160 <= len(lone) <= 240
    assert set(lone.tolist()) == {1, 2, 3} and np.bincount(lone)[1:].min() > 40


def test_settings_of_lone_targets_change_no_draw_of_clusters():
    rng = np.random.default_rng(2)
    library = TargetLibrary.from_patches([rng.integers(20, 200, size, np.uint8) for size in rng.integers(1, 6, (9, 2))])
    image = rng.integers(0, 90, (90, 120)).astype(np.uint8)
    usual = paste_clusters(image, np.ones_like(image), library, np.random.default_rng(3), ClusterRecipe())
    others = ClusterRecipe(num_lone=(7, 9), lone_spacing=3, max_scaled_size=2)
    same = paste_clusters(image, np.ones_like(image), library, np.random.default_rng(3), others)
    assert len(usual.boxes) >= 8
    np.testing.assert_array_equal(usual.image, same.image)
    np.testing.assert_array_equal(usual.boxes, same.boxes)


def test_sizes_are_log_uniform_up_to_their_bound():
    recipe = ClusterRecipe(lone_prob=1.0, num_lone=(1, 1), target_scale=(0.5, 8.0), max_scaled_size=40)
    rng, native = np.random.default_rng(0), np.array([[10, 5]])
    sizes = np.concatenate([place_clusters(np.ones((60, 60), bool), native, rng, recipe)[1] for _ in range(2000)])
    assert sizes[:, 0].min() == 5 and sizes[:, 0].max() == 40
    assert np.abs(sizes[:, 0] / 2 - sizes[:, 1]).max() <= 0.75  # the aspect ratio stays, up to rounding
    # Of four doublings the first two end at 20, and the last one is cut to the bound.
    assert abs((sizes[:, 0] < 20).mean() - 0.5) < 0.05 and abs((sizes[:, 0] == 40).mean() - 0.25) < 0.05


def test_targets_of_a_cluster_are_resized_too_and_stay_in_their_region():
    recipe = ClusterRecipe(num_clusters=(1, 1), region_size=30, target_scale=(0.25, 12.0))
    rng, allowed, areas = np.random.default_rng(0), np.ones((40, 50), bool), set()
    for _ in range(40):
        _, sizes, corners = place_clusters(allowed, SQUARES, rng, recipe)
        assert np.ptp(np.concatenate([corners, corners + sizes]), axis=0).max() <= 30
        assert (empty_between(sizes, corners)[~np.eye(len(sizes), dtype=bool)] >= 1).all()
        areas |= set(sizes[:, 0].tolist())
    assert min(areas) == 1 and max(areas) > 20


@pytest.mark.parametrize('brightness', [(0.1, 0.3), (0.5, 1.0), (2.0, 3.0)])
def test_boxes_of_large_smooth_targets_end_where_they_fade(brightness):
    """Saturated ones too: what counts is the raise that is in the picture."""
    rng = np.random.default_rng(4)
    patches = [rng.integers(60, 160, size, np.uint8) for size in ((3, 3), (5, 4), (2, 5))]
    recipe = ClusterRecipe(lone_prob=1.0, num_lone=(3, 3), target_scale=(6.0, 8.0), visible_share=0.12,
                           sigma=(0.3, 0.5), brightness=brightness)
    image = np.full((200, 200), 100, np.uint8)
    pasted = paste_clusters(image, np.ones_like(image), TargetLibrary.from_patches(patches), rng, recipe)
    raised = pasted.image.astype(int) - image
    assert (pasted.image == 255).any() == (brightness[0] > 1)
    assert len(pasted.boxes) == 3 and (pasted.boxes[:, 2:] - pasted.boxes[:, :2]).max() > 15
    for x1, y1, x2, y2 in pasted.boxes.tolist():
        # Everything near it is its own.
        near = raised[max(y1 - 10, 0):y2 + 10, max(x1 - 10, 0):x2 + 10]
        seen = near >= max(0.12 * near.max(), 1)
        assert seen.any(axis=1).sum() == y2 - y1 and seen.any(axis=0).sum() == x2 - x1
        inside = raised[y1:y2, x1:x2] >= max(0.12 * near.max(), 1)
        assert inside[0].any() and inside[-1].any() and inside[:, 0].any() and inside[:, -1].any()


def test_a_large_target_is_the_patch_enlarged():
    patch = np.array([[40, 120, 40], [120, 200, 120], [40, 120, 40]], np.uint8)
    recipe = ClusterRecipe(gaussian=False)
    targets = TargetLibrary.from_patches([patch]).resized(np.array([[24, 24]]))
    pasted = paste_targets(np.zeros((40, 40), np.uint8), targets, np.array([[5, 6]]), np.random.default_rng(0), recipe)
    assert pasted.boxes.tolist() == [[6, 5, 30, 29]]
    part = pasted.image[5:29, 6:30]
    assert part.max() == part[11:13, 11:13].max() >= 190 and part[0, 0] == 40


@pytest.mark.parametrize('bad', [
    dict(lone_prob=-0.1), dict(lone_prob=1.1), dict(lone_prob=True), dict(num_lone=(3, 1)), dict(num_lone=(0.5, 2)),
    dict(num_lone=3), dict(lone_spacing=-1), dict(lone_spacing=2.5), dict(target_scale=(0, 1)),
    dict(target_scale=(2, 1)),
    dict(target_scale=(1, 10**6)), dict(target_scale=('1', 2)), dict(target_scale=(1, float('nan'))),
    dict(max_scaled_size=0), dict(max_scaled_size=None), dict(max_scaled_size=10**6)])
def test_bad_settings_are_refused(bad):
    with pytest.raises(InputError, match=next(iter(bad))):
        check_recipe(ClusterRecipe(**bad), 5)
