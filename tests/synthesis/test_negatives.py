"""Negative augmentation: Eq. 4 of SIRST-5K, written here from the paper."""
import numpy as np
import pytest
from scipy import ndimage

from bafenet.devkit.box_matching import component_centroids
from bafenet.synthesis.negatives import ROTATIONS, negatives, rotate_window, window_around


def image_of(shape, dtype, seed=0):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
@pytest.mark.parametrize('channels', [(), (3, )])
@pytest.mark.parametrize('rotate_label', [False, True])
def test_the_four_negatives_are_those_of_eq_4(dtype, channels, rotate_label):
    image, mask = image_of((20, 30, *channels), dtype), np.zeros((20, 30), np.uint8)
    mask[8:10, 12:15] = 255
    before = image.copy(), mask.copy()
    # The centroid is at column 13 and row 8.5, so the window of three has its middle at (13, 9).
    (x, y), = component_centroids(mask).tolist()
    assert (x, y) == (13, 8.5)
    images, masks = negatives(image, mask, (x, y), 3, rotate_label)
    assert images.shape == (4, *image.shape) and images.dtype == dtype and masks.shape == (4, 20, 30)
    for found, source, turned in ((images, image, True), (masks, mask, rotate_label)):
        for number, beta in enumerate((0, 90, 180, 270)):
            expected = source.copy()
            for i in range(-1, 2):
                for j in range(-1, 2):
                    # Anticlockwise by beta: what is at (i, j) was at the same place turned back.
                    a, b = {0: (i, j), 90: (j, -i), 180: (-i, -j), 270: (-j, i)}[beta] if turned else (i, j)
                    expected[9 + i, 13 + j] = source[9 + a, 13 + b]
            assert np.array_equal(found[number], expected), beta
    assert np.array_equal(image, before[0]) and np.array_equal(mask, before[1])
    assert not np.array_equal(images[1], images[3])


@pytest.mark.parametrize(('centre', 'size', 'rows', 'columns'), [
    ((5, 6), 3, (5, 8), (4, 7)), ((0, 0), 3, (0, 3), (0, 3)), ((9, 7), 3, (5, 8), (7, 10)),
    ((9, 0), 5, (0, 5), (5, 10)),
    # An even side has no middle pixel: half a pixel to the right and below.
    ((4, 4), 2, (4, 6), (4, 6)), ((4.5, 4.5), 2, (4, 6), (4, 6)), ((5.4, 5.6), 3, (5, 8), (4, 7)),
    ((5, 6), 100, (0, 8), (2, 10))])
def test_a_window_lies_around_its_centre_and_within_the_frame(centre, size, rows, columns):
    assert window_around(centre, size, (8, 10)) == (slice(*rows), slice(*columns))


def test_centres_are_the_centroids_of_8_connected_components_from_the_top():
    mask = np.zeros((40, 40), np.uint8)
    mask[30:33, 2:4] = 1
    mask[5, 20] = mask[6, 21] = 1
    mask[5:9, 3:5] = 1
    found = component_centroids(mask)
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    expected = np.array(ndimage.center_of_mass(mask, labels, range(1, count + 1)))[:, ::-1]
    assert sorted(map(tuple, found.tolist())) == sorted(map(tuple, expected.tolist()))
    assert found.tolist() == [[3.5, 6.5], [20.5, 5.5], [2.5, 31]]
    assert component_centroids(np.zeros((9, 9), bool)).shape == (0, 2)


def test_four_quarters_are_a_whole_turn():
    image = image_of((9, 9), np.uint8)
    window = window_around((4, 4), 5, image.shape)
    turned = image
    for _ in range(4):
        turned = rotate_window(turned, window, 90)
    assert np.array_equal(turned, image)
    for rotation in ROTATIONS:
        outside = rotate_window(image, window, rotation) != image
        outside[window] = False
        assert not outside.any()
