"""Target masks in pipelines: they move with the image, are packed, and no step leaves them behind."""
import random

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import HorizontalBoxes

from bafenet.devkit.box_matching import component_boxes
from bafenet.errors import InputError

FLIPS = dict(type='RandomFlip', prob=[0.25, 0.25, 0.25], direction=['horizontal', 'vertical', 'diagonal'])


@pytest.fixture
def sample(tmp_path):
    """A frame that is bright where its mask is 1, of a shape that no movement gives twice."""
    mask = np.zeros((24, 36), np.uint8)
    mask[2:4, 3:8] = mask[15:20, 30:32] = 1
    cv2.imwrite(str(tmp_path / 'frame.png'), mask * 200 + 10)
    cv2.imwrite(str(tmp_path / 'mask.png'), mask * 255)
    return dict(img_path=str(tmp_path / 'frame.png'), target_mask_path=str(tmp_path / 'mask.png'), img_id='frame')


def run(sample, *steps, seed=0, load=True):
    random.seed(seed)
    np.random.seed(seed)
    results = dict(sample)
    for step in ([dict(type='LoadInfraredImage'), dict(type='LoadTargetMask')] if load else []) + list(steps):
        results = TRANSFORMS.build(step)(results)
    return results


@pytest.mark.parametrize('seed', range(8))
@pytest.mark.parametrize('steps', [
    [FLIPS], [FLIPS, dict(type='RandomTranspose', prob=0.5)],
    [dict(type='Resize', scale=(72, 48)), FLIPS],
    [dict(type='BalancedCrop', size=(12, 16)), FLIPS],
])
def test_the_mask_moves_with_the_image(sample, steps, seed):
    results = run(sample, *steps, seed=seed)
    mask = results['gt_target_mask']
    assert mask.dtype == np.uint8 and mask.shape == results['img'].shape == tuple(results['img_shape'])
    # Bilinear resizing blurs by a pixel; by two in every direction it is nearest at the halves.
    bright = results['img'] > 110
    assert (bright != (mask == 1)).mean() < (0.02 if steps[0]['type'] == 'Resize' else 1e-9)
    TRANSFORMS.build(dict(type='PackInfraredInputs'))(results)


def test_flips_and_transposes_give_all_eight_positions(sample):
    found = {run(sample, FLIPS, dict(type='RandomTranspose'), seed=seed)['gt_target_mask'].tobytes()
             for seed in range(200)}
    assert len(found) == 8


def test_boxes_and_sky_are_transposed_with_the_mask(sample):
    results = run(sample)
    boxes = component_boxes(results['gt_target_mask'])
    sky = np.arange(24 * 36, dtype=np.uint16).reshape(24, 36)
    results.update(gt_bboxes=HorizontalBoxes(torch.as_tensor(boxes).float()), gt_seg_map=sky, scale_factor=(2.0, 3.0))
    results = run(results, dict(type='RandomTranspose', prob=1.0), load=False)
    expected = component_boxes(results['gt_target_mask'])
    assert sorted(results['gt_bboxes'].tensor.tolist()) == sorted(expected.tolist())
    np.testing.assert_array_equal(results['gt_seg_map'], sky.T)
    assert results['scale_factor'] == (3.0, 2.0) and results['img_shape'] == (36, 24)
    with pytest.raises(InputError, match='RandomTranspose: prob='):
        TRANSFORMS.build(dict(type='RandomTranspose', prob=2))


def test_without_boxes_windows_lie_around_the_targets_of_the_mask(sample):
    step = dict(type='BalancedCrop', size=(8, 8), target_prob=1.0, other_prob=0.0)
    masks = [run(sample, step, seed=seed)['gt_target_mask'] for seed in range(30)]
    assert all(mask.shape == (8, 8) and mask.any() for mask in masks)
    # The target of 10 pixels and that of 10 on the other side are drawn equally often.
    sample = run(sample)
    sample['gt_target_mask'][:] = 0
    assert run(sample, step, load=False)['gt_target_mask'].shape == (8, 8)


def test_pasted_targets_are_in_the_mask(sample):
    results = run(sample)
    before = results['gt_target_mask'].copy()
    results.update(gt_bboxes=HorizontalBoxes(torch.zeros(0, 4)), gt_bboxes_labels=np.zeros(0, int),
                   gt_ignore_flags=np.zeros(0, bool))
    step = dict(type='BAGCopyPaste', library=[np.full((2, 2), 250, np.uint8)], background='any', region_size=10,
                targets_per_cluster=(1, 2), num_clusters=(1, 1))
    pasted = run(results, step, load=False)
    new = (pasted['gt_target_mask'] == 1) & (before == 0)
    assert len(pasted['gt_bboxes']) and new.any() and (pasted['gt_target_mask'] >= before).all()
    covered = np.zeros(new.shape, bool)
    for x1, y1, x2, y2 in pasted['gt_bboxes'].tensor.int().tolist():
        covered[y1:y2, x1:x2] = True
    assert not (new & ~covered).any()


def test_it_is_packed_and_keeps_the_original_size_behind_resize(sample):
    results = run(sample, dict(type='PackInfraredInputs'))
    packed = results['data_samples'].gt_target_mask.sem_seg
    assert packed.shape == (1, 24, 36) and packed.dtype == torch.uint8 and packed.sum() == 20
    results = run(sample, dict(type='LoadInfraredImage'), dict(type='Resize', scale=(72, 48)),
                  dict(type='LoadTargetMask'), dict(type='PackInfraredInputs'), load=False)
    assert results['inputs'].shape == (3, 48, 72)
    assert results['data_samples'].gt_target_mask.sem_seg.shape == (1, 24, 36)
    del sample['target_mask_path']  # a user's own frame
    assert 'gt_target_mask' not in run(sample, dict(type='PackInfraredInputs'))['data_samples']


@pytest.mark.parametrize('step', [
    dict(type='Rotate', prob=1.0, level=9, img_border_value=128),
    dict(type='RandomCrop', crop_size=(10, 10), allow_negative_crop=True),
])
def test_a_step_that_leaves_the_mask_behind_is_found_out(sample, step):
    results = run(sample)
    results.update(gt_bboxes=HorizontalBoxes(torch.tensor([[3., 2., 8., 4.]])), gt_bboxes_labels=np.zeros(1, int),
                   gt_ignore_flags=np.zeros(1, bool), gt_seg_map=np.zeros((24, 36), np.uint8))
    with pytest.raises(InputError, match='frame.png: a step of the pipeline has moved the image and not its target'):
        run(results, step, dict(type='PackInfraredInputs'), load=False)


def test_a_mask_comes_from_the_cache_unspoilt_and_a_bad_one_is_named(sample, tmp_path):
    loader = TRANSFORMS.build(dict(type='LoadTargetMask', cache_mb=1))
    image = run(sample)['img']
    first = loader({**sample, 'img': image})['gt_target_mask']
    expected = first.copy()
    first[:] = 7
    (tmp_path / 'mask.png').unlink()
    np.testing.assert_array_equal(loader({**sample, 'img': image})['gt_target_mask'], expected)
    with pytest.raises(InputError, match='mask.png'):
        run(sample)
    cv2.imwrite(str(tmp_path / 'mask.png'), np.zeros((24, 35), np.uint8))
    with pytest.raises(InputError, match=r"mask.png: is 35x24 and not of its image's size, 36x24"):
        run(sample)


def test_a_mask_that_may_be_missing_is_ignored_everywhere_and_a_bad_one_is_still_named(sample, tmp_path):
    loader = TRANSFORMS.build(dict(type='LoadTargetMask', optional=True))
    image = run(sample)['img']
    assert set(np.unique(loader({**sample, 'img': image})['gt_target_mask'])) == {0, 1}
    cv2.imwrite(str(tmp_path / 'mask.png'), np.zeros((24, 35), np.uint8))
    with pytest.raises(InputError, match=r"mask.png: is 35x24 and not of its image's size"):
        loader({**sample, 'img': image})
    (tmp_path / 'mask.png').unlink()
    for path in (sample['target_mask_path'], None):
        mask = loader({**sample, 'img': image, 'target_mask_path': path})['gt_target_mask']
        assert mask.shape == (24, 36) and mask.dtype == np.uint8 and (mask == 255).all()
    with pytest.raises(InputError, match='LoadTargetMask: optional=1'):
        TRANSFORMS.build(dict(type='LoadTargetMask', optional=1))
