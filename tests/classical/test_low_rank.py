"""Patches, the parts of low-rank methods against NumPy's own decompositions, and targets on a striped background."""
import numpy as np
import pytest

from bafenet.classical import METHODS, ipi, nram, pstnn, ript
from bafenet.classical.low_rank import shrink_singular_values, soft
from bafenet.classical.patch_tensor import _partial_low_rank, structure_tensor
from bafenet.classical.patches import join, split, starts

RNG = np.random.default_rng(2)


@pytest.mark.parametrize(('shape', 'size', 'step'), [((37, 52), 10, 4), ((30, 30), 30, 10), ((41, 40), 20, 20)])
@pytest.mark.parametrize('median', [False, True])
def test_a_frame_comes_back_from_its_patches(shape, size, step, median):
    frame = RNG.random(shape)
    patches = split(frame, size, step)
    rows, columns = (starts(length, size, step) for length in shape)
    assert patches.shape == (size, size, len(rows) * len(columns))
    # Columns first: the second patch lies below the first one.
    second = (rows[1], 0) if len(rows) > 1 else (0, 0)
    np.testing.assert_array_equal(patches[..., min(1, patches.shape[2] - 1)],
                                  frame[second[0]:second[0] + size, second[1]:second[1] + size])
    np.testing.assert_allclose(join(patches, shape, step, median), frame)


def test_overlapping_patches_are_averaged_or_their_median_taken():
    patches = split(np.zeros((4, 6)), 4, 1)
    patches[..., 0] = 9
    assert join(patches, (4, 6), 1)[0].tolist() == [9, 4.5, 3, 3, 0, 0]
    assert join(patches, (4, 6), 1, median=True)[0].tolist() == [9, 4.5, 0, 0, 0, 0]


@pytest.mark.parametrize('shape', [(30, 12), (12, 30)])
def test_singular_values_are_shrunk_as_by_the_whole_decomposition(shape):
    matrix = RNG.normal(size=shape)
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    result, new = shrink_singular_values(matrix, lambda old: np.maximum(old - 4, 0))
    np.testing.assert_allclose(result, left @ np.diag(np.maximum(values - 4, 0)) @ right, atol=1e-9)
    np.testing.assert_allclose(new[::-1], np.maximum(values - 4, 0), atol=1e-9)


def test_the_soft_threshold():
    assert soft(np.array([-3.0, -1, 0, 0.5, 2]), 1.0).tolist() == [-2, 0, 0, 0, 1]


def test_the_partial_sum_leaves_the_largest_values_of_each_slice_in_the_fourier_domain():
    tensor = RNG.normal(size=(6, 6, 5))
    spectrum = np.fft.fft(tensor, axis=2)
    for k in range(5):
        left, values, right = np.linalg.svd(spectrum[..., k])
        values[2:] = np.maximum(values[2:] - 1.5, 0)
        spectrum[..., k] = left @ np.diag(values) @ right
    np.testing.assert_allclose(_partial_low_rank(tensor, 2, 1.5), np.fft.ifft(spectrum, axis=2).real, atol=1e-9)


def test_the_structure_tensor_tells_edges_from_corners():
    frame = np.zeros((41, 41))
    frame[:, 20:] = 100
    larger, smaller = structure_tensor(frame, 3, 1.2, 2.0)
    assert larger[20, 20] > 100 and smaller[20, 20] == pytest.approx(0, abs=1e-6)
    frame[:20] = 0
    assert structure_tensor(frame, 3, 1.2, 2.0)[1][20, 20] > 50


@pytest.fixture(scope='module')
def scene():
    """Stripes of low rank, a step, little noise; a faint target of 3×3 pixels."""
    rows, columns = np.mgrid[:90, :100]
    frame = 60 + 20 * np.sin(columns / 9) + 10 * np.cos(rows / 7) + 40 * (columns > 70)
    frame += np.random.default_rng(3).normal(0, 0.5, frame.shape)
    frame[40:43, 30:33] += 25
    return frame


@pytest.mark.parametrize('method', [ipi, nram, ript, pstnn])
def test_the_target_is_what_is_left_of_the_background(scene, method):
    response = method(scene)
    assert response.shape == scene.shape and response.min() >= 0
    row, column = np.unravel_index(response.argmax(), response.shape)
    assert 40 <= row < 43 and 30 <= column < 33
    outside = response.copy()
    outside[38:45, 28:35] = 0
    # The step is background too.
    assert outside.max() < 0.5 * response.max()


@pytest.mark.parametrize('name', METHODS)
def test_a_frame_of_one_grey_level_has_no_target(name):
    response = METHODS[name](np.full((60, 64), 37.0))
    assert np.isfinite(response).all()
    if name != 'LCM':  # the square of the grey level over itself
        np.testing.assert_allclose(response, 0, atol=1e-9)
