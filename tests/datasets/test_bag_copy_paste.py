"""BAG-CP as a transform: what it may change, and what it must not."""
import random

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks

from bafenet.datasets import BAGCopyPaste, DenseSIRSTDataset
from bafenet.errors import InputError

PATCHES = [np.full((h, w), 60 + 20 * h + 5 * w, np.uint8) for h in (1, 2, 3, 5) for w in (1, 3, 4)]
SIZES = st.one_of(st.tuples(st.integers(16, 90), st.integers(16, 90)), st.sampled_from([(1024, 1280), (512, 640)]))


def seed_all(seed):
    random.seed(seed)
    np.random.seed(seed)


def make_sample(shape=(96, 128), sky=None, boxes=(), seed=0, channels=3, masks=False):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, shape, dtype=np.uint8)
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    sample = dict(
        img=np.repeat(image[..., None], channels, axis=2) if channels else image,
        gt_bboxes=HorizontalBoxes(torch.from_numpy(boxes)),
        gt_bboxes_labels=np.zeros(len(boxes), np.int64),
        gt_ignore_flags=np.zeros(len(boxes), bool),
        gt_seg_map=np.ones(shape, np.uint8) if sky is None else sky)
    if masks:
        full = np.zeros((len(boxes), *shape), np.uint8)
        for mask, (x1, y1, x2, y2) in zip(full, boxes.astype(int), strict=True):
            mask[y1:y2, x1:x2] = 1
        sample['gt_masks'] = BitmapMasks(full, *shape)
    return sample


def draw_sky(shape, kind, rng):
    """A random sky map: absent, everywhere, a sliver too thin for a region, or blobs of rectangles."""
    sky = np.zeros(shape, np.uint8)
    if kind == 'everywhere':
        sky[:] = 1
    elif kind == 'sliver':
        sky[:min(19, shape[0])] = 1
    elif kind == 'blobs':
        for _ in range(4):
            y, x = rng.integers(0, shape[0]), rng.integers(0, shape[1])
            sky[y:y + rng.integers(8, 80), x:x + rng.integers(8, 80)] = 1
    return sky


def overlap(ours, others):
    """Whether any box of one set overlaps any other box of the other, by their pixels."""
    low = np.maximum(ours[:, None, :2], others[None, :, :2])
    high = np.minimum(ours[:, None, 2:], others[None, :, 2:])
    return (high > low).all(axis=2)


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(shape=SIZES, kind=st.sampled_from(['absent', 'everywhere', 'sliver', 'blobs']), seed=st.integers(0, 2**20),
       clustered=st.booleans(), gaussian=st.booleans(), background=st.sampled_from(['sky', 'any']))
def test_what_holds_for_every_paste(shape, kind, seed, clustered, gaussian, background):
    rng = np.random.default_rng(seed)
    sky = draw_sky(shape, kind, rng)
    start = rng.integers(0, 12, (3, 2))
    old = np.concatenate([start, start + rng.integers(1, 5, (3, 2))], axis=1).astype(np.float32)
    sample = make_sample(shape, sky, old, seed)
    before = {key: sample[key].copy() for key in ('img', 'gt_seg_map')}
    arrays = dict(sample)
    seed_all(seed)
    result = BAGCopyPaste(PATCHES, clustered=clustered, gaussian=gaussian, background=background)(sample)

    # The caller's arrays are as they were.
    assert all(np.array_equal(arrays[key], before[key]) for key in before)
    image, boxes = result['img'], result['gt_bboxes'].numpy()
    assert image.dtype == np.uint8 and image.shape == before['img'].shape and image.flags['C_CONTIGUOUS']
    assert np.array_equal(result['gt_seg_map'], sky)
    # What was there stays, in order; each new box has its label and flag.
    assert np.array_equal(boxes[:3], old)
    assert len(boxes) == len(result['gt_bboxes_labels']) == len(result['gt_ignore_flags'])
    assert not result['gt_bboxes_labels'].any() and not result['gt_ignore_flags'].any()
    new = boxes[3:].astype(int)
    assert len(new) <= 36
    # Whole pixels inside the image, apart from each other and from what was there, and wholly in the sky.
    assert np.array_equal(new, boxes[3:]) and (new[:, :2] >= 0).all() and (new[:, 2:] <= shape[::-1]).all()
    assert not overlap(new, old).any() and overlap(new, new).sum() == len(new)
    if background == 'sky':
        assert all(sky[y1:y2, x1:x2].all() for x1, y1, x2, y2 in new)
        assert len(new) == 0 or kind in ('everywhere', 'blobs') or not clustered
    # Nothing changes outside the boxes, and with the blend each box is the extent of what has been raised.
    changed = (image.astype(int) - before['img']).max(axis=2)
    outside = np.ones(shape, bool)
    for x1, y1, x2, y2 in new:
        outside[y1:y2, x1:x2] = False
        if gaussian:
            raised = changed[y1:y2, x1:x2] >= 1
            assert raised[0].any() and raised[-1].any() and raised[:, 0].any() and raised[:, -1].any()
    assert np.array_equal(image[outside], before['img'][outside])
    # Grey stays grey.
    assert (image == image[..., :1]).all()


def test_same_seed_same_result_and_only_the_global_states():
    results = []
    for _ in range(2):
        seed_all(3)
        results.append(BAGCopyPaste(PATCHES)(make_sample()))
    assert np.array_equal(results[0]['img'], results[1]['img'])
    assert torch.equal(results[0]['gt_bboxes'].tensor, results[1]['gt_bboxes'].tensor)
    seed_all(4)
    assert not np.array_equal(BAGCopyPaste(PATCHES)(make_sample())['img'], results[0]['img'])


def test_numbers_of_clusters_and_targets():
    counts = []
    for seed in range(40):
        seed_all(seed)
        boxes = BAGCopyPaste(PATCHES[:4], brightness=(1, 1))(
            make_sample((200, 200), seed=seed))['gt_bboxes'].numpy()
        counts.append(len(boxes))
    assert min(counts) >= 8 and max(counts) <= 36 and {c for c in counts if c <= 12} and {c for c in counts if c > 24}


def test_spacing_is_that_of_the_nearest_neighbour():
    seed_all(0)
    # Two rows and columns lie wholly within a patch, so that its box is the patch.
    result = BAGCopyPaste([np.full((3, 3), 250, np.uint8)], num_clusters=(1, 1), gaussian=False)(make_sample())
    boxes = result['gt_bboxes'].numpy()
    gap = np.maximum(boxes[:, None, :2] - boxes[None, :, 2:], boxes[None, :, :2] - boxes[:, None, 2:]).max(axis=2)
    np.fill_diagonal(gap, 99)
    assert set(gap.min(axis=1)) <= {1, 2}


@pytest.mark.parametrize('channels', [0, 1, 3])
def test_one_channel_and_three_give_the_same_picture(channels):
    seed_all(1)
    image = BAGCopyPaste(PATCHES)(make_sample(channels=channels))['img']
    seed_all(1)
    expected = BAGCopyPaste(PATCHES)(make_sample(channels=3))['img'][..., 0]
    assert np.array_equal(image if channels == 0 else image[..., 0], expected)


def test_masks_follow_the_boxes():
    seed_all(2)
    sample = make_sample(boxes=[[2, 2, 6, 7]], masks=True)
    before = sample['img'].copy()
    result = BAGCopyPaste(PATCHES)(sample)
    masks, boxes = result['gt_masks'].masks, result['gt_bboxes'].numpy().astype(int)
    assert len(masks) == len(boxes) > 1
    raised = (result['img'].astype(int) - before).max(axis=2) >= 1
    assert np.array_equal(masks[1:].any(axis=0), raised)
    for mask, (x1, y1, x2, y2) in zip(masks[1:], boxes[1:], strict=True):
        rows, columns = np.nonzero(mask)
        assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (x1, y1, x2, y2)


def test_plain_arrays_of_boxes_are_kept_as_such():
    seed_all(2)
    sample = make_sample()
    sample['gt_bboxes'] = np.zeros((0, 4), np.float32)
    assert isinstance(BAGCopyPaste(PATCHES)(sample)['gt_bboxes'], np.ndarray)


def test_a_target_of_one_pixel():
    seed_all(0)
    result = BAGCopyPaste([np.array([[200]], np.uint8)], num_clusters=(1, 1))(make_sample(channels=1, seed=5))
    boxes = result['gt_bboxes'].numpy()
    assert len(boxes) > 0 and (boxes[:, 2:] - boxes[:, :2] == 1).all()


def test_limit_and_probability():
    seed_all(0)
    assert len(BAGCopyPaste(PATCHES, max_gt=5)(make_sample(boxes=[[1, 1, 4, 4]]))['gt_bboxes']) == 5
    assert len(BAGCopyPaste(PATCHES, max_gt=0)(make_sample(boxes=[[1, 1, 4, 4]]))['gt_bboxes']) == 1
    sample = make_sample()
    assert BAGCopyPaste(PATCHES, prob=0.0)(sample)['img'] is sample['img']
    pasted = [len(BAGCopyPaste(PATCHES, prob=0.5)(make_sample())['gt_bboxes']) > 0 for _ in range(60)]
    assert 15 < sum(pasted) < 45


def test_lone_and_larger_targets_beside_the_present_ones():
    present = [(20, 20, 24, 24), (60, 40, 63, 42)]
    for seed in range(30):
        seed_all(seed)
        result = BAGCopyPaste(PATCHES, lone_prob=1.0, num_lone=[1, 3], target_scale=[1.0, 4.0], max_scaled_size=12,
                              brightness=(1.0, 3.0))(make_sample(boxes=present, seed=seed))
        boxes = result['gt_bboxes'].numpy()
        assert boxes[:2].tolist() == [list(map(float, box)) for box in present] and 1 <= len(boxes) - 2 <= 3
        assert (boxes[:, 2:] - boxes[:, :2]).max() <= 12
        gap = np.maximum(boxes[:, None, :2] - boxes[None, :, 2:], boxes[None, :, :2] - boxes[:, None, 2:]).max(axis=2)
        np.fill_diagonal(gap, 99)
        assert gap[2:, 2:].min() >= 20 and gap[2:, :2].min() >= 1


def test_switch_clustered():
    seed_all(0)
    boxes = BAGCopyPaste(PATCHES, num_clusters=(1, 1), clustered=False)(make_sample((400, 400)))['gt_bboxes'].numpy()
    assert 8 <= len(boxes) <= 12 and np.ptp(boxes[:, 0]) > 100 and np.ptp(boxes[:, 1]) > 100
    seed_all(0)
    boxes = BAGCopyPaste(PATCHES, num_clusters=(1, 1))(make_sample((400, 400)))['gt_bboxes'].numpy()
    assert np.ptp(boxes[:, [0, 2]]) <= 20 and np.ptp(boxes[:, [1, 3]]) <= 20


def test_switch_gaussian():
    patch = np.arange(9, dtype=np.uint8).reshape(3, 3) + 100
    seed_all(0)
    result = BAGCopyPaste([patch], gaussian=False)(make_sample())
    for x1, y1, x2, y2 in result['gt_bboxes'].numpy().astype(int):
        assert np.array_equal(result['img'][y1:y2, x1:x2, 0], patch)


def test_switch_background():
    sky = np.zeros((96, 128), np.uint8)
    sky[:30] = 1
    seed_all(0)
    inside = [BAGCopyPaste(PATCHES)(make_sample(sky=sky))['gt_bboxes'].numpy() for _ in range(10)]
    anywhere = [BAGCopyPaste(PATCHES, background='any')(make_sample(sky=sky))['gt_bboxes'].numpy() for _ in range(10)]
    assert max(boxes[:, 3].max() for boxes in inside) <= 30
    assert max(boxes[:, 3].max() for boxes in anywhere) > 60
    without = make_sample()
    del without['gt_seg_map']
    assert len(BAGCopyPaste(PATCHES, background='any')(dict(without))['gt_bboxes']) > 0
    with pytest.raises(InputError, match='needs the sky map'):
        BAGCopyPaste(PATCHES)(without)


def test_after_a_resize_patches_and_gaps_come_to_its_scale():
    """The paper's order: a frame of 1280x1024 seen at 512x512."""
    seed_all(0)
    sample = make_sample((512, 512))
    sample['scale_factor'] = (0.4, 0.5)  # Width, height.
    result = BAGCopyPaste([np.full((5, 5), 250, np.uint8)], num_clusters=(1, 1), gaussian=False)(sample)
    boxes = result['gt_bboxes'].numpy()
    assert len(boxes) >= 8
    assert set(boxes[:, 2] - boxes[:, 0]) == {2} and set(boxes[:, 3] - boxes[:, 1]) == {2}
    sample = make_sample((512, 512))
    sample['scale_factor'] = (0.05, 3.0)
    boxes = BAGCopyPaste([np.full((2, 5), 250, np.uint8)], gaussian=False)(sample)['gt_bboxes'].numpy()
    assert set(boxes[:, 2] - boxes[:, 0]) == {1} and set(boxes[:, 3] - boxes[:, 1]) == {6}


def test_truncation_is_the_papers():
    seed_all(0)
    sample = make_sample(boxes=[[2.7, 3.2, 6.9, 8.8], [10.1, 10.1, 10.9, 14.0]], masks=True)
    result = BAGCopyPaste(PATCHES, truncate_boxes=True)(sample)
    boxes = result['gt_bboxes'].numpy()
    # The second is thinner than a pixel and dropped.
    assert boxes[0].tolist() == [2, 3, 6, 8]
    assert np.array_equal(boxes, np.trunc(boxes)) and not (boxes == [10, 10, 10, 14]).all(axis=1).any()
    assert len(boxes) == len(result['gt_bboxes_labels']) == len(result['gt_ignore_flags']) == len(result['gt_masks'])


RANGES = dict(num_lone=[-1, 1001, 1.5], target_scale=[0, -1, 101], num_clusters=[-1, 101, 1.5],
              targets_per_cluster=[0, 1001, 1.5], spacing=[-1, 101, 1.5],
              brightness=[-1, 101], sigma=[0, -1, 101], offset=[-11, 11], rotation=[-361, 361])
NUMBERS = dict(lone_prob=[-0.1, 1.5], lone_spacing=[-1, 1.5, 10**9], max_scaled_size=[0, 1.5, 10**9],
               region_size=[0, -1, 1.5, 10**9], max_target_size=[0, 1.5, 10**9], visible_share=[-0.1, 1.5],
               prob=[-0.1, 1.5], max_gt=[-1, 1.5, 10**9])
NO_NUMBERS = ['one', True, float('nan'), float('inf'), [1], {}]
BAD_ARGUMENTS = [
    *((name, value) for name, values in NUMBERS.items() for value in values + NO_NUMBERS),
    *((name, (value, value)) for name, values in RANGES.items() for value in values + NO_NUMBERS),
    *((name, value) for name in RANGES for value in (None, 3, 'ab', (1, ), (1, 2, 3), (2, 1), {1: 2, 2: 3})),
    *((name, value) for name in ('region_size', 'max_target_size', 'visible_share', 'prob') for value in (None, )),
    *((name, value) for name in ('clustered', 'gaussian', 'remove_background', 'truncate_boxes')
      for value in ('False', None, 1)),
    *(('background', value) for value in ('sea', None, ['sky'], 3))]


@pytest.mark.parametrize(('name', 'value'), BAD_ARGUMENTS)
def test_arguments_of_a_wrong_type_or_out_of_range_are_named(name, value):
    with pytest.raises(InputError, match=f'^BAGCopyPaste: {name}') as error:
        BAGCopyPaste(PATCHES, **{name: value})
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('library', [3, [], {}, [3], ['a'], [np.ones((2, 2))], [np.ones(2, np.uint8)], True,
                                     [np.ones((0, 2), np.uint8)], [[[1, 2]]]])
def test_a_library_of_a_wrong_type_is_named(library):
    with pytest.raises(InputError, match='^BAGCopyPaste: library='):
        BAGCopyPaste(library)


def test_a_library_that_is_a_folder_is_named(tmp_path):
    with pytest.raises(InputError, match=f'^{tmp_path}: is a folder'):
        BAGCopyPaste(str(tmp_path))


@pytest.mark.parametrize('arguments', [dict(num_clusters=[0, 2]), dict(num_clusters=(0, 0)), dict(spacing=[0, 0]),
                                       dict(max_gt=0), dict(prob=0), dict(targets_per_cluster=(1, 1)),
                                       dict(sigma=(0.01, 0.01)), dict(max_target_size=256, region_size=1)])
def test_arguments_at_their_ends(arguments):
    BAGCopyPaste(PATCHES, **arguments)(make_sample())


def test_without_a_library_it_says_what_to_do():
    with pytest.raises(InputError, match='build_library.py'):
        BAGCopyPaste()(make_sample())


def test_real_images_keep_their_targets(real_data, tmp_path):
    dataset = DenseSIRSTDataset(data_root=str(real_data), ann_file='Splits/val_v2.txt', pipeline=[
        dict(type='LoadInfraredImage'), dict(type='LoadSkyAnnotations'),
        dict(type='BAGCopyPaste', library=str(tmp_path / 'library.npz'))])
    seed_all(0)
    for index in range(0, 256, 64):
        info, sample = dataset.get_data_info(index), dataset[index]
        old = np.array([item['bbox'] for item in info['instances']], np.float32).reshape(-1, 4)
        boxes = sample['gt_bboxes'].numpy()
        assert np.array_equal(boxes[:len(old)], old)
        for x1, y1, x2, y2 in boxes[len(old):].astype(int):
            assert sample['gt_seg_map'][y1:y2, x1:x2].all()
