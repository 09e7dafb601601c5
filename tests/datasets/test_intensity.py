"""Jitter of grey levels: what each effect does, that targets stay visible, and that the seed decides."""
import random
import time

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import HorizontalBoxes
from scipy.ndimage import gaussian_filter

from bafenet.errors import InputError

NOTHING = dict(gain=(1, 1), offset=(0, 0), gamma=(1, 1), noise=(0, 0), blur=(0, 0))
ALWAYS = {f'{name}_prob': 1.0 for name in NOTHING}


def jitter(image, seed=0, boxes=None, **options):
    random.seed(seed)
    np.random.seed(seed)
    sample = dict(img=image)
    if boxes is not None:
        sample['gt_bboxes'] = HorizontalBoxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4))
    return TRANSFORMS.build(dict(type='IntensityJitter', **options))(sample)['img']


def only(**options):
    return {**NOTHING, **ALWAYS, **options}


def noisy(shape=(64, 80), low=60, high=120, seed=0):
    return np.random.default_rng(seed).integers(low, high, shape).astype(np.uint8)


def contrast(image, box):
    """Mean of the box minus the mean of the three pixels around it, by masks."""
    x1, y1, x2, y2 = box
    inside, around = np.zeros(image.shape[:2], bool), np.zeros(image.shape[:2], bool)
    inside[y1:y2, x1:x2] = True
    around[max(y1 - 3, 0):y2 + 3, max(x1 - 3, 0):x2 + 3] = True
    return image[inside].mean() - image[around & ~inside].mean()


@pytest.mark.parametrize('shape', [(40, 50), (40, 50, 1), (40, 50, 3)])
def test_ranges_of_nothing_change_nothing(shape):
    image = noisy(shape)
    for options in (NOTHING, {**NOTHING, **ALWAYS}, dict.fromkeys(ALWAYS, 0.0)):
        np.testing.assert_array_equal(jitter(image, boxes=[[3, 3, 6, 6]], **options), image)


def test_levels_follow_the_formula():
    image = np.arange(256, dtype=np.uint8).reshape(16, 16)
    found = jitter(image, **only(gain=(0.8, 0.8), offset=(13, 13), gamma=(1.3, 1.3)))
    expected = [min(max(round(255 * 0.8 * (v / 255)**1.3 + 13), 0), 255) for v in range(256)]
    np.testing.assert_array_equal(found.ravel(), expected)


def test_factors_are_log_uniform_and_offsets_uniform():
    image = np.full((2, 2), 100, np.uint8)
    gains = np.array([jitter(image, seed, **only(gain=(0.5, 2.0)))[0, 0] for seed in range(1500)]) / 100
    assert abs((gains < 1).mean() - 0.5) < 0.05 and gains.min() < 0.52 and gains.max() > 1.95
    assert abs((gains < 2**-0.5).mean() - 0.25) < 0.05
    offsets = np.array([jitter(image, seed, **only(offset=(-40, 20)))[0, 0] for seed in range(1500)]) - 100.0
    assert abs(offsets.mean() + 10) < 1.5 and offsets.min() < -38 and offsets.max() > 18


@pytest.mark.parametrize('name, ends', [('gain', (2, 2)), ('offset', (9, 9)), ('gamma', (2, 2)), ('noise', (5, 5)),
                                        ('blur', (1, 1))])
def test_each_effect_has_a_probability_of_its_own(name, ends):
    image = noisy()
    options = {**NOTHING, name: ends, f'{name}_prob': 0.3}
    changed = np.mean([not np.array_equal(jitter(image, seed, **options), image) for seed in range(400)])
    assert 0.22 < changed < 0.38


def test_blur_is_a_gaussian_of_its_width():
    image = noisy()
    expected = gaussian_filter(image.astype(float), 0.6, mode='mirror', truncate=3.4)
    assert np.abs(jitter(image, **only(blur=(0.6, 0.6))) - expected).max() <= 1.5


def test_noise_has_its_deviation_and_is_the_same_in_all_channels():
    image = np.full((300, 300), 128, np.uint8)
    found = jitter(image, **only(noise=(4, 4))).astype(float) - 128
    assert abs(found.std() - 4) < 0.1 and abs(found.mean()) < 0.05
    assert abs(np.corrcoef(found[:, 1:].ravel(), found[:, :-1].ravel())[0, 1]) < 0.02
    colour = jitter(np.repeat(image[..., None], 3, axis=2), **only(noise=(4, 4)))
    assert (colour == colour[..., :1]).all()


@pytest.mark.parametrize('seed', range(6))
def test_grey_and_colour_get_the_same_and_the_seed_decides(seed):
    image, boxes = noisy(), [[10, 12, 13, 15]]
    image[12:15, 10:13] = 220
    before = image.copy()
    grey = jitter(image, seed, boxes, **ALWAYS)
    np.testing.assert_array_equal(image, before)
    cv2.setRNGSeed(99)  # nobody else's draws matter
    np.testing.assert_array_equal(grey, jitter(image, seed, boxes, **ALWAYS))
    colour = jitter(np.repeat(image[..., None], 3, axis=2), seed, boxes, **ALWAYS)
    np.testing.assert_array_equal(colour, np.repeat(grey[..., None], 3, axis=2))
    assert grey.dtype == np.uint8 and not np.array_equal(grey, jitter(image, seed + 100, boxes, **ALWAYS))


@settings(max_examples=120, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 254), st.integers(1, 200), st.booleans())
def test_no_target_vanishes(seed, background, height, dark):
    """Bright and dark ones, faint ones, on dark sky and on sky near saturation, at the image's edge too."""
    rng = np.random.default_rng(seed)
    image = np.full((50, 60), background, np.uint8)
    boxes = [(0, 0, 3, 3), (20, 10, 21, 11), (30, 30, 34, 33), (55, 44, 60, 50)]
    for x1, y1, x2, y2 in boxes:
        level = background - height * rng.random() if dark else background + height * rng.random()
        image[y1:y2, x1:x2] = np.clip(level, 0, 255)
    strong = dict(gain=(0.2, 5), offset=(-200, 200), gamma=(0.3, 3), noise=(0, 60), blur=(0, 2))
    options = {**ALWAYS, **strong}
    still = jitter(image, seed, boxes, **{**options, 'noise': (0, 0)})
    seen = [box for box in boxes if abs(contrast(image, box)) >= 1]
    for box in seen:
        assert contrast(still, box) * np.sign(contrast(image, box)) >= 0.5 * abs(contrast(image, box)) - 1e-9
    if seen:
        noise = jitter(image, seed, boxes, **options).astype(float) - still
        # Rounded to whole levels, and over few pixels.
        assert noise.std() <= 1.1 * (0.3 * min(abs(contrast(still, box)) for box in seen)) + 0.35


def test_without_boxes_only_the_ranges_bound_it():
    image = np.full((20, 20), 250, np.uint8)
    image[5:8, 5:8] = 255
    options = only(offset=(30, 30))
    assert (jitter(image, **options) == 255).all() and (jitter(image, boxes=[], **options) == 255).all()
    assert jitter(image, boxes=[[5, 5, 8, 8]], **options).std() > 0


def test_boxes_between_pixels_at_the_border_and_outside_are_no_obstacle():
    boxes = [[-5, -5, 1.5, 1.5], [78.2, 60.1, 90, 70], [100, 100, 104, 104], [0, 0, 80, 64], [4.2, 4.4, 6.6, 6.8]]
    assert jitter(noisy(), boxes=boxes, **ALWAYS).shape == (64, 80)


def test_views_as_crops_and_flips_give_them():
    image = noisy((90, 90))
    for view in (image[5:70, 7:80], image[:, ::-1], image[::-1]):
        np.testing.assert_array_equal(jitter(view, 3, **ALWAYS), jitter(np.ascontiguousarray(view), 3, **ALWAYS))


def test_a_crop_takes_about_a_millisecond():
    transform = TRANSFORMS.build(dict(type='IntensityJitter', **ALWAYS))
    boxes = HorizontalBoxes(torch.tensor([[x, 40, x + 3, 43] for x in range(10, 300, 10)], dtype=torch.float32))
    image, taken = noisy((320, 320)), []
    for _ in range(50):
        start = time.process_time()
        transform(dict(img=image, gt_bboxes=boxes))
        taken.append(time.process_time() - start)
    assert min(taken) < 0.004, 'four times what it takes here'


@pytest.mark.parametrize('bad', [
    *({name: ends} for name in NOTHING for ends in (None, 3, 'ab', (1, ), (2, 1), ('1', '2'), (1, float('nan')),
                                                    (1, 10**6), (-10**6, 1), (True, 2))),
    *({name: value} for name in (*ALWAYS, 'keep_contrast', 'noise_share') for value in (-0.1, 1.1, None, '1', True)),
    dict(gain=(0, 1)), dict(gamma=(0, 1)), dict(noise=(-1, 1)), dict(blur=(-1, 1))])
def test_bad_settings_are_refused(bad):
    with pytest.raises(InputError, match=f'IntensityJitter: {next(iter(bad))}') as error:
        TRANSFORMS.build(dict(type='IntensityJitter', **bad))
    assert '\n' not in str(error.value)


def test_what_it_cannot_work_on_is_named():
    with pytest.raises(InputError, match='LoadInfraredImage'):
        TRANSFORMS.build(dict(type='IntensityJitter'))(dict(img_path='a.png'))
    with pytest.raises(InputError, match='a.png is of float32'):
        TRANSFORMS.build(dict(type='IntensityJitter'))(dict(img_path='a.png', img=np.zeros((3, 3), np.float32)))
