"""Clusters: where targets go, and what a paste changes."""
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bafenet.synthesis import ClusterRecipe, TargetLibrary, paste_clusters, paste_targets, place_clusters

RECIPE = ClusterRecipe()
SEEDS = st.integers(0, 2**32 - 1)


def library(seed=0, count=40):
    rng = np.random.default_rng(seed)
    return TargetLibrary.from_patches([rng.integers(0, 200, size, np.uint8) for size in rng.integers(1, 6, (count, 2))])


def place(allowed, targets, rng, recipe):
    indices, sizes, corners = place_clusters(allowed, targets.sizes, rng, recipe)
    return targets.pick(indices).resized(sizes), corners


def sky_and_image(seed, shape=(70, 90)):
    rng = np.random.default_rng(seed)
    sky = np.arange(shape[0])[:, None] < rng.integers(0, shape[0] + 1, shape[1] // 30).repeat(30)
    return sky, rng.integers(0, 256, shape, np.uint8)


def test_library_keeps_every_patch():
    patches = [np.full((2, 5), 7, np.uint8), np.full((4, 3), 9, np.uint8)]
    stacked = TargetLibrary.from_patches(patches)
    assert stacked.patches.shape == (2, 4, 5)
    for patch, padded, (height, width) in zip(patches, stacked.patches, stacked.sizes, strict=True):
        np.testing.assert_array_equal(padded[:height, :width], patch)
        assert padded.sum() == patch.sum()


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_targets_lie_in_the_allowed_area_and_do_not_touch(seed):
    sky, _ = sky_and_image(seed)
    targets, corners = place(sky, library(), np.random.default_rng(seed), RECIPE)
    covered = np.zeros(np.add(sky.shape, 2), int)
    for (height, width), (y, x) in zip(targets.sizes, corners, strict=True):
        assert sky[y:y + height, x:x + width].all() and y + height <= sky.shape[0] and x + width <= sky.shape[1]
        assert not covered[y:y + height + 2, x:x + width + 2].any()
        covered[y + 1:y + 1 + height, x + 1:x + 1 + width] = 1


def test_numbers_follow_the_recipe():
    sky = np.ones((200, 200), bool)
    tiny = TargetLibrary.from_patches([np.ones((1, 1), np.uint8)])
    rng = np.random.default_rng(0)
    counts = {len(place(sky, tiny, rng, ClusterRecipe(num_clusters=(1, 1)))[1]) for _ in range(100)}
    assert counts == {8, 9, 10, 11, 12}
    recipe = ClusterRecipe(num_clusters=(2, 3), targets_per_cluster=(4, 4))
    assert {len(place(sky, tiny, rng, recipe)[1]) for _ in range(50)} == {8, 12}


@pytest.mark.parametrize('sky', [np.zeros((50, 50), bool), np.ones((16, 16), bool), np.ones((19, 300), bool)])
def test_where_no_region_fits_nothing_changes(sky):
    rng = np.random.default_rng(0)
    image = np.full(sky.shape, 40, np.uint8)
    targets, corners = place(sky, library(), rng, RECIPE)
    pasted = paste_targets(image, targets, corners, rng, RECIPE)
    assert len(corners) == len(pasted.boxes) == 0
    np.testing.assert_array_equal(pasted.image, image)
    assert not pasted.mask().any()


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_paste_changes_only_what_its_boxes_and_masks_say(seed):
    sky, image = sky_and_image(seed)
    before, rng = image.copy(), np.random.default_rng(seed)
    targets, corners = place(sky, library(), rng, RECIPE)
    pasted = paste_targets(image, targets, corners, rng, RECIPE)
    np.testing.assert_array_equal(image, before)
    assert pasted.image.dtype == np.uint8 and pasted.image.flags.c_contiguous
    raised = pasted.image.astype(int) - image
    assert (raised >= 0).all()
    np.testing.assert_array_equal(pasted.mask(), raised >= 1)
    left = raised.copy()
    for x1, y1, x2, y2 in pasted.boxes:
        part = raised[y1:y2, x1:x2]
        assert part.size and part[0].any() and part[-1].any() and part[:, 0].any() and part[:, -1].any()
        left[y1:y2, x1:x2] = 0
    assert not left.any()


def test_a_target_that_cannot_be_seen_has_no_box():
    image = np.full((9, 20), 255, np.uint8)
    image[:, 10:] = 100
    targets = TargetLibrary.from_patches([np.full((3, 3), 200, np.uint8)] * 2)
    pasted = paste_targets(image, targets, np.array([[3, 3], [3, 13]]), np.random.default_rng(0), RECIPE)
    assert pasted.corners.tolist() == [[3, 13]]
    assert len(pasted.boxes) == len(pasted.visible) == 1 and pasted.boxes[0, 0] >= 13


def test_a_box_ends_where_the_target_fades_to_its_share():
    sky, image = sky_and_image(3)
    image = image // 2
    recipe = ClusterRecipe(visible_share=0.3)
    targets, corners = place(np.ones_like(sky), library(), np.random.default_rng(5), recipe)
    pasted = paste_targets(image, targets, corners, np.random.default_rng(6), recipe)
    raised = pasted.image.astype(int) - image
    assert len(pasted.boxes) >= 8
    for box, (row, column), (height, width) in zip(pasted.boxes, pasted.corners, targets.sizes, strict=True):
        patch = raised[row:row + height, column:column + width]
        rows, columns = np.nonzero(patch >= max(0.3 * patch.max(), 1))
        low, high = (columns.min(), rows.min()), (columns.max() + 1, rows.max() + 1)
        assert box.tolist() == [column + low[0], row + low[1], column + high[0], row + high[1]]
    assert (pasted.boxes[:, 2] - pasted.boxes[:, 0] < targets.sizes[:, 1]).any()


@pytest.mark.parametrize('make_rng', [np.random.default_rng, np.random.RandomState])
def test_grey_channels_stay_equal_and_the_seed_decides(make_rng):
    sky, image = sky_and_image(1)

    def paste(picture, seed):
        rng = make_rng(seed)
        return paste_targets(picture, *place(sky, library(), rng, RECIPE), rng, RECIPE)

    grey, colour = paste(image, 4), paste(np.repeat(image[..., None], 3, axis=2), 4)
    assert len(grey.boxes) >= 8
    np.testing.assert_array_equal(grey.boxes, colour.boxes)
    np.testing.assert_array_equal(np.repeat(grey.image[..., None], 3, axis=2), colour.image)
    assert not np.array_equal(grey.image, paste(image, 5).image)


@pytest.mark.parametrize('scale', [(0.5, 0.4), (2.0, 1.0), (0.1, 3.7)])
def test_resized_patches_are_opencvs(scale):
    targets = library()
    sizes = np.maximum(np.rint(targets.sizes * scale), 1).astype(int)
    resized = targets.resized(sizes)
    for (height, width), patch, (new_height, new_width), new in zip(
            targets.sizes, targets.patches, sizes, resized.patches, strict=True):
        expected = cv2.resize(patch[:height, :width], (int(new_width), int(new_height)))
        # OpenCV computes in fixed point.
        assert np.abs(new[:new_height, :new_width].astype(int) - expected).max() <= 1
        assert not new[new_height:].any() and not new[:, new_width:].any()
    assert targets.resized(targets.sizes) is targets


def test_sizes_and_gaps_come_to_the_scale_of_the_image():
    native = np.full((1, 2), 2)
    recipe = ClusterRecipe(num_clusters=(1, 1), spacing=(2, 2))
    _, sizes, corners = place_clusters(np.ones((60, 60), bool), native, np.random.default_rng(0), recipe, (2.0, 0.2))
    # A target of 2x2 native pixels has 4 rows and 1 column here.
    assert (sizes == (4, 1)).all()
    gaps = np.abs(corners[:, None] - corners[None]) - (4, 1)
    # To every neighbour at least 4 empty rows or 1 empty column, and to the nearest one no more.
    apart = (gaps[..., 0] >= 4) | (gaps[..., 1] >= 1)
    near = (gaps[..., 0] <= 4) & (gaps[..., 1] <= 1)
    np.fill_diagonal(apart, True)
    np.fill_diagonal(near, False)
    assert len(corners) >= 8 and apart.all() and near.any(axis=1).all()


def test_one_by_one_targets_go_everywhere_and_keep_apart():
    sky, _ = sky_and_image(3, (200, 210))
    recipe = ClusterRecipe(clustered=False)
    rng = np.random.default_rng(0)
    everywhere = np.zeros(sky.shape, int)
    for _ in range(60):
        targets, corners = place(sky, library(), rng, recipe)
        assert 8 <= len(corners) <= 36
        covered = np.zeros(np.add(sky.shape, 2), int)
        for (height, width), (y, x) in zip(targets.sizes, corners, strict=True):
            assert sky[y:y + height, x:x + width].all()
            assert not covered[y:y + height + 2, x:x + width + 2].any()
            covered[y + 1:y + 1 + height, x + 1:x + 1 + width] = 1
        everywhere += covered[1:-1, 1:-1]
    rows, columns = np.nonzero(everywhere)
    assert np.ptp(columns) > 190 and np.ptp(rows) > 0.8 * sky.any(axis=1).sum()


def test_without_gaussian_the_patch_takes_the_place_of_the_background():
    rng = np.random.default_rng(0)
    sky, image = np.ones((70, 90), bool), np.full((70, 90), 250, np.uint8)
    recipe = ClusterRecipe(gaussian=False)
    targets, corners = place(sky, library(), rng, recipe)
    pasted = paste_targets(image, targets, corners, rng, recipe)
    for (x1, y1, x2, y2), patch, (height, width) in zip(pasted.boxes, targets.patches, targets.sizes, strict=True):
        assert (y2 - y1, x2 - x1) == (height, width)
        np.testing.assert_array_equal(pasted.image[y1:y2, x1:x2], patch[:height, :width])
    assert len(pasted.masks()) == len(pasted.boxes)
    np.testing.assert_array_equal(pasted.masks().any(axis=0), pasted.mask())


@pytest.mark.parametrize('scale, most', [((1.0, 1.0), None), ((0.5, 1.5), 5), ((1.0, 1.0), 0)])
def test_pasting_clusters_is_placing_picking_and_pasting(scale, most):
    library = TargetLibrary.from_patches([np.full((3, 4), 90, np.uint8), np.full((5, 2), 120, np.uint8)])
    image, allowed = np.full((80, 90), 20, np.uint8), np.ones((80, 90), bool)
    recipe, rng = ClusterRecipe(), np.random.default_rng(1)
    ours = paste_clusters(image, allowed, library, np.random.default_rng(1), recipe, scale, most)
    indices, _, corners = place_clusters(allowed, library.sizes, rng, recipe, scale)
    assert len(indices) > 5
    theirs = paste_targets(image, library.pick(indices[:most]).scaled(scale), corners[:most], rng, recipe)
    assert np.array_equal(ours.image, theirs.image) and np.array_equal(ours.boxes, theirs.boxes)
    assert len(ours.boxes) <= len(indices[:most]) and (image == 20).all() and allowed.all()
