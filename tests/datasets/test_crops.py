"""Windows of the image: what they hold, where their boxes lie, and how often each kind comes."""
import random

import numpy as np
import pytest
import torch
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import HorizontalBoxes

from bafenet.errors import InputError

HEIGHT, WIDTH = 60, 90


def make_sample(boxes=((10, 12, 13, 15), (80, 50, 84, 53)), sky=None):
    """A frame whose pixels tell where they are: 100 * row + column."""
    image = (np.arange(HEIGHT)[:, None] * 100 + np.arange(WIDTH)).astype(np.uint16)
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return dict(
        img=image,
        img_shape=image.shape,
        gt_bboxes=HorizontalBoxes(boxes),
        gt_bboxes_labels=np.arange(len(boxes)),
        gt_ignore_flags=np.zeros(len(boxes), bool),
        gt_seg_map=np.ones((HEIGHT, WIDTH), np.uint8) if sky is None else sky)


def crop(seed, sample=None, **settings):
    random.seed(seed)
    return TRANSFORMS.build(dict(type='BalancedCrop', **settings))(sample or make_sample())


def corner(results):
    """Row and column of the window's first pixel in the frame."""
    return divmod(int(results['img'][0, 0]), 100)


@pytest.mark.parametrize('seed', range(20))
def test_image_sky_and_boxes_are_cut_alike(seed):
    sky = np.random.default_rng(seed).integers(0, 2, (HEIGHT, WIDTH)).astype(np.uint8)
    whole = make_sample(sky=sky)
    results = crop(seed, make_sample(sky=sky), size=(30, 40), min_visible=1e-6)
    top, left = corner(results)
    assert results['img'].shape == results['img_shape'] == (30, 40)
    np.testing.assert_array_equal(results['img'], whole['img'][top:top + 30, left:left + 40])
    np.testing.assert_array_equal(results['gt_seg_map'], sky[top:top + 30, left:left + 40])
    expected = []
    for number, (x1, y1, x2, y2) in enumerate(whole['gt_bboxes'].tensor.tolist()):
        box = [max(x1 - left, 0), max(y1 - top, 0), min(x2 - left, 40), min(y2 - top, 30)]
        if box[0] < box[2] and box[1] < box[3]:
            expected.append((number, box))
    assert results['gt_bboxes_labels'].tolist() == [number for number, _ in expected]
    assert results['gt_bboxes'].tensor.tolist() == [box for _, box in expected]
    assert len(results['gt_ignore_flags']) == len(expected)


def test_a_window_around_a_target_holds_the_whole_of_its_middle_pixel_wherever_it_lies():
    starts, found = set(), np.zeros(2)
    for seed in range(300):
        results = crop(seed, size=(20, 20), target_prob=1.0, other_prob=0.0)
        found[results['gt_bboxes_labels']] += 1
        starts.add(corner(results))
        assert len(results['gt_bboxes']) == 1
    # The targets are too far apart for one window; each is drawn as often as the other, at many places.
    assert 120 < found[0] < 180 and found.sum() == 300
    assert len(starts) > 100


def test_a_window_around_clutter_holds_it():
    sky = np.ones((HEIGHT, WIDTH), np.uint8)
    sky[59, 3] = 0
    for seed in range(50):
        results = crop(seed, make_sample(sky=sky), size=(16, 16), target_prob=0.0, other_prob=1.0)
        assert (results['gt_seg_map'] == 0).sum() == 1


@pytest.mark.parametrize('settings', [dict(target_prob=1.0, other_prob=0.0), dict(target_prob=0.0, other_prob=1.0)])
def test_frames_without_targets_or_clutter_are_cut_anywhere(settings):
    starts = [corner(crop(seed, make_sample(boxes=()), size=(20, 30), **settings)) for seed in range(400)]
    rows, columns = np.array(starts).T
    assert rows.min() == 0 and rows.max() == HEIGHT - 20 and columns.min() == 0 and columns.max() == WIDTH - 30
    assert abs(rows.mean() - 20) < 2 and abs(columns.mean() - 30) < 3


def test_targets_cut_in_two_are_dropped_by_their_visible_share():
    # A window as wide as the frame cannot move sideways: of rows 10 to 14 of the target it shows what its start leaves.
    kept, dropped = set(), set()
    for seed in range(200):
        results = crop(seed, make_sample(boxes=[(40, 10, 44, 14)]), size=(12, WIDTH), target_prob=0, other_prob=0)
        top, _ = corner(results)
        visible = max(min(14, top + 12) - max(10, top), 0)
        (kept if len(results['gt_bboxes']) else dropped).add(visible)
    assert kept == {2, 3, 4} and dropped == {0, 1}


def test_small_frames_stay_whole():
    results = crop(0, size=(256, 40))
    assert results['img_shape'] == (HEIGHT, 40)
    results = crop(0, size=(256, 256))
    np.testing.assert_array_equal(results['img'], make_sample()['img'])
    assert results['gt_bboxes'].tensor.tolist() == make_sample()['gt_bboxes'].tensor.tolist()


@pytest.mark.parametrize(('epoch', 'expected'), [(None, (20, 30)), (0, (20, 30)), (3, (20, 30)), (4, (40, 50)),
                                                 (9, (40, 50))])
def test_late_windows_begin_at_their_epoch(epoch, expected):
    for kind in ({}, dict(target_prob=1.0, other_prob=0.0)):
        sample = make_sample() if epoch is None else dict(make_sample(), epoch=epoch)
        results = crop(2, sample, size=(20, 30), late_size=(40, 50), late_epoch=4, **kind)
        top, left = corner(results)
        assert results['img_shape'] == results['gt_seg_map'].shape == expected
        np.testing.assert_array_equal(
            results['img'],
            make_sample()['img'][top:top + expected[0], left:left + expected[1]])


def test_without_a_late_size_windows_keep_theirs():
    assert crop(0, dict(make_sample(), epoch=9), size=(20, 30))['img_shape'] == (20, 30)


@pytest.mark.parametrize('settings', [
    dict(size=(0, 5)),
    dict(late_size=(5, 0), late_epoch=1),
    dict(late_size=(5, ), late_epoch=1),
    dict(late_size=(5, 5)),
    dict(target_prob=0.8, other_prob=0.3),
    dict(other_prob=-0.1),
    dict(min_visible=0),
    *(dict(size=size) for size in (5, None, '55', (5, 5, 5), (5, None), (5, 1.5), (5, True), {5: 5, 6: 6}, (5, 10**9))),
    *(dict(late_size=(5, 5), late_epoch=epoch) for epoch in (-1, 1.5, '1', float('nan'), 10**30)),
    *({name: value} for name in ('target_prob', 'other_prob', 'min_visible')
      for value in (None, '0.1', float('nan'), -1, 2, True, [0.1])),
])
def test_bad_settings_are_refused(settings):
    with pytest.raises(InputError, match='BalancedCrop'):
        TRANSFORMS.build(dict(type='BalancedCrop', **settings))
