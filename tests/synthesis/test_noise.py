"""Noise of plain windows, mixed into frames: Eq. 1-3 of SIRST-5K, written here from the paper."""
import cv2
import numpy as np
import pytest
import torch

from bafenet.errors import InputError
from bafenet.synthesis.noise import NoiseLibrary, NoiseRules, check_noise_rules, collect_noise, mix_noise, sample_noise


def frame(rng, height=96, width=128, low=100, high=110):
    return rng.integers(low, high, (height, width)).astype(np.uint8)


def by_the_paper(image, targets, side, sigma, lowest, mu):
    """Eq. 1, window by window: column and row of those that qualify."""
    found = []
    for y in range(0, image.shape[0] - side + 1, side):
        for x in range(0, image.shape[1] - side + 1, side):
            window = [float(value) for value in image[y:y + side, x:x + side].ravel()]
            mean = sum(window) / len(window)
            variance = sum((value - mean)**2 for value in window) / len(window)
            if 0 < variance < sigma and lowest < mean < mu and not targets[y:y + side, x:x + side].any():
                found.append((x, y))
    return found


@pytest.mark.parametrize(('lowest', 'mu'), [(0, None), (50, None), (0, 104), (60, 105)])
@pytest.mark.parametrize('shape', [(96, 128), (101, 70)])
def test_windows_are_those_of_eq_1(lowest, mu, shape):
    rng = np.random.default_rng(3)
    # Of each window a level and a spread of its own, some beyond every bound, some of one value.
    cells = -(-shape[0] // 16), -(-shape[1] // 16)
    level, spread = (np.kron(rng.integers(*ends, cells), np.ones((16, 16)))[:shape[0], :shape[1]] for ends in (
        (20, 200), (0, 12)))
    image = (level + spread * rng.uniform(-1, 1, shape)).astype(np.uint8)
    targets = np.zeros(shape, np.uint8)
    targets[rng.integers(0, shape[0], 4), rng.integers(0, shape[1], 4)] = 255
    rules = NoiseRules(window=16, max_variance=20, min_mean=lowest, max_mean=mu, per_frame=1000)
    patches, corners = sample_noise(image, targets, rules)
    assert [tuple(corner) for corner in corners.tolist()] == by_the_paper(image, targets, 16, 20, lowest, mu or 256)
    assert 0 < len(patches) < len(sample_noise(image, None, NoiseRules(window=16, max_variance=1e4))[0])
    for patch, (x, y) in zip(patches, corners, strict=True):
        assert np.array_equal(patch, image[y:y + 16, x:x + 16])


def test_a_window_of_one_value_or_with_a_target_pixel_is_no_noise():
    image = frame(np.random.default_rng(0), 64, 64)
    image[:32, :32] = 100
    targets = np.zeros((64, 64), bool)
    targets[31, 63] = True
    assert sample_noise(image, targets)[1].tolist() == [[0, 32], [32, 32]]


def test_a_frame_below_a_window_has_none():
    patches, corners = sample_noise(frame(np.random.default_rng(0), 20, 200))
    assert patches.shape == (0, 32, 32) and corners.shape == (0, 2)


def test_of_many_windows_those_kept_are_spread_over_the_frame():
    image = frame(np.random.default_rng(0), 320, 32)
    corners = sample_noise(image, None, NoiseRules(per_frame=5))[1]
    assert corners.tolist() == [[0, 0], [0, 64], [0, 128], [0, 192], [0, 256]]


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
@pytest.mark.parametrize('channels', [(), (1, ), (3, )])
@pytest.mark.parametrize('alpha', [0.0, 0.1, 0.5, 1.0])
def test_mixing_is_eq_2_and_3(dtype, channels, alpha):
    rng = np.random.default_rng(1)
    top = np.iinfo(dtype).max
    image, noise = (rng.integers(0, top + 1, size).astype(dtype) for size in ((40, 56, *channels), (8, 8)))
    before = image.copy()
    mixed = mix_noise(image, noise, alpha)
    resized = torch.nn.functional.interpolate(torch.tensor(noise.astype(np.float64))[None, None], (40, 56),
                                              mode='bilinear', align_corners=False)[0, 0].numpy()
    expected = alpha * resized.reshape(40, 56, *[1] * len(channels)) + (1 - alpha) * image
    assert mixed.dtype == dtype and mixed.shape == image.shape
    assert np.abs(mixed - expected).max() <= 0.5 + top * 1e-6
    assert np.array_equal(image, before)


def test_at_the_papers_alpha_it_is_a_contrast_cut_more_than_noise():
    rng = np.random.default_rng(2)
    image = np.zeros((256, 256), np.uint8)
    image[100:103, 100:103] = 200
    mixed = mix_noise(image, frame(rng, 32, 32)).astype(float)
    assert mixed[101, 101] - np.median(mixed) == pytest.approx(180, abs=1)
    assert np.delete(mixed.ravel(), np.flatnonzero(image)).std() < 0.6


def test_a_library_knows_where_its_windows_are_from(tmp_path):
    rng = np.random.default_rng(4)
    images = [frame(rng, 64, 64), np.full((64, 64), 9, np.uint8), frame(rng, 64, 96)]
    paths = [tmp_path / f'{number}.png' for number in range(3)]
    for path, image in zip(paths, images, strict=True):
        cv2.imwrite(str(path), image)
    mask = np.zeros((64, 64), np.uint8)
    mask[0, 0] = 255
    cv2.imwrite(str(tmp_path / 'mask.png'), mask)
    boxes = [np.array([[0, 40, 64, 50]]), np.zeros((0, 4)), np.array([[31.5, 1, 32.5, 2]])]
    library = collect_noise(paths, [tmp_path / 'mask.png', None, None], boxes)
    # The mask counts and not the boxes of the same frame; a box reaches into both windows that it touches.
    assert list(zip(library.frames.tolist(), map(tuple, library.corners.tolist()), strict=True)) == [
        (0, (32, 0)), (0, (0, 32)), (0, (32, 32)), (2, (64, 0)), (2, (0, 32)), (2, (32, 32)), (2, (64, 32))]
    for patch, (x, y), number in zip(*library, strict=True):
        assert np.array_equal(patch, images[number][y:y + 32, x:x + 32])


def test_frames_without_noise_are_one_line():
    with pytest.raises(InputError, match='no window of 2 frames is noise'):
        NoiseLibrary.join([sample_noise(np.zeros((64, 64), np.uint8))] * 2)


@pytest.mark.parametrize('change', [dict(window=1), dict(window=2.5), dict(max_variance=0), dict(min_mean=-1),
                                    dict(min_mean=9, max_mean=9), dict(max_mean=float('nan')), dict(per_frame=0)])
def test_rules_out_of_range_are_named(change):
    check_noise_rules(NoiseRules())
    with pytest.raises(InputError, match=f'owner: {list(change)[-1]}='):
        check_noise_rules(NoiseRules(**change), 'owner: ')
