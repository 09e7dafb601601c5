"""NoiseDisplacement and NegativeAugmentation in a pipeline: where the noise is from, what is rotated, the draws."""
import random
import shutil

import cv2
import numpy as np
import pytest
from conftest import draw_scene, write_devkit
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import HorizontalBoxes

from bafenet.datasets import DenseSIRSTDataset, SampleIndex
from bafenet.datasets.transforms import NegativeAugmentation, NoiseDisplacement
from bafenet.errors import InputError

WINDOW = 8


@pytest.fixture(scope='module')
def kit(tmp_path_factory):
    """Scenes of two splits, the one dark and the other bright. Not to be changed."""
    rng = np.random.default_rng(0)
    samples = {f'scene_{number}': draw_scene(rng) for number in range(4)}
    for name in ('scene_2', 'scene_3'):
        image, *others = samples[name]
        samples[name] = (image // 2 + 128, *others)
    return write_devkit(tmp_path_factory.mktemp('kit') / 'kit', samples, {
        'train_v2': ['scene_0', 'scene_1'], 'test_v2': ['scene_2', 'scene_3']})


def dataset(kit, split='train_v2', *steps, **noise):
    return DenseSIRSTDataset(data_root=str(kit), ann_file=f'Splits/{split}.txt', serialize_data=False, pipeline=[
        dict(type='LoadInfraredImage'), dict(type='LoadSkyAnnotations'),
        dict(type='NoiseDisplacement', **{'window': WINDOW, **noise}), *steps])


def windows_of(data):
    return data.pipeline.transforms[2].library


def plain_windows(data):
    """The windows of a dataset's images that are noise by Eq. 1 and touch no box."""
    found = set()
    for index in range(len(data)):
        info = data.get_data_info(index)
        image = cv2.imread(info['img_path'], 0)
        for y in range(0, 64, WINDOW):
            for x in range(0, 64, WINDOW):
                window = image[y:y + WINDOW, x:x + WINDOW]
                touched = any(x1 < x + WINDOW and x < x2 and y1 < y + WINDOW and y < y2
                              for x1, y1, x2, y2 in (item['bbox'] for item in info['instances']))
                if 0 < window.var() < 50 and not touched:
                    found.add(window.tobytes())
    return found


def test_the_noise_is_that_of_the_datasets_own_frames_without_targets(kit):
    data = dataset(kit)
    own = {window.tobytes() for window in windows_of(data)}
    assert own == plain_windows(data) and own
    assert not own & {window.tobytes() for window in windows_of(dataset(kit, 'test_v2'))}
    assert np.array_equal(windows_of(data), windows_of(dataset(kit)))


def test_where_there_are_no_masks_boxes_keep_targets_out(kit, tmp_path):
    copy = shutil.copytree(kit, tmp_path / 'kit')
    shutil.rmtree(copy / 'SIRST/PaletteMask')
    assert np.array_equal(windows_of(dataset(copy)), windows_of(dataset(kit)))


def test_a_sample_is_eq_3_and_the_visit_decides_the_window(kit):
    data, plain = dataset(kit, alpha=0.25), dataset(kit, prob=0)
    assert windows_of(plain) is None
    image = plain[0]['img'].astype(float)
    mixed = [data[SampleIndex(0, seed=1, epoch=epoch)]['img'] for epoch in (0, 0, 1, 2, 3)]
    assert np.array_equal(mixed[0], mixed[1])
    assert any(not np.array_equal(mixed[0], other) for other in mixed[2:])
    errors = [np.abs(mixed[0] - (0.25 * cv2.resize(window.astype(float), (64, 64)) + 0.75 * image)).max()
              for window in windows_of(data)]
    assert min(errors) <= 0.5 + 1e-3


def test_windows_may_be_given_and_no_array_of_the_caller_is_changed():
    image = np.full((16, 20, 3), 100, np.uint8)
    step = NoiseDisplacement(alpha=0.5, library=[np.full((4, 4), 200, np.uint8)])
    results = step(dict(img=image))
    assert (results['img'] == 150).all() and results['img'].shape == image.shape and (image == 100).all()


def test_noise_that_cannot_be_had_is_one_line(kit):
    with pytest.raises(InputError, match='NoiseDisplacement has no noise'):
        NoiseDisplacement()(dict(img=np.zeros((8, 8), np.uint8)))
    with pytest.raises(InputError, match='NoiseDisplacement: no window of 2 frames is noise'):
        dataset(kit, max_variance=0.01)[0]
    with pytest.raises(InputError, match='is of float32'):
        NoiseDisplacement(library=[np.ones((4, 4), np.uint8)])(dict(img=np.zeros((8, 8), np.float32)))
    with pytest.raises(InputError, match='needs the image'):
        NoiseDisplacement(library=[np.ones((4, 4), np.uint8)])({})


@pytest.mark.parametrize(('change', 'name'), [
    (dict(alpha=2), 'alpha'), (dict(prob=-1), 'prob'), (dict(window=1), 'window'), (dict(max_variance=0), 'max_var'),
    (dict(min_mean=-1), 'min_mean'), (dict(max_mean=0), 'max_mean'), (dict(per_frame=0), 'per_frame'),
    (dict(library=[]), 'library'), (dict(library=[np.zeros((2, 2))]), 'library'), (dict(library='x.npz'), 'library')])
def test_arguments_out_of_range_are_named(change, name):
    with pytest.raises(InputError, match=f'NoiseDisplacement: {name}'):
        NoiseDisplacement(**change)


# --- NegativeAugmentation ---------------------------------------------------------------------------------------------


def sample(mask=True, boxes=True, shape=(24, 32)):
    """An image of random levels with targets around (column 5, row 6) and (20, 15), and all kinds of labels."""
    image = np.random.default_rng(2).integers(0, 256, shape).astype(np.uint8)
    found, results = np.zeros(shape[:2], np.uint8), dict(img=image)
    found[5:8, 4:7] = found[15, 20] = 1
    found[0, 31] = 255  # ignored, and no target
    if mask:
        results['gt_target_mask'] = found
    if boxes:
        results['gt_bboxes'] = HorizontalBoxes(np.array([[4, 5, 7, 8], [20, 15, 21, 16]], np.float32))
    return results


def possible(image, size=3):
    """The images that Eq. 4 allows, with how they came about."""
    made = {}
    for x, y in ((5, 6), (20, 15)):
        window = np.s_[y - size // 2:y + size // 2 + 1, x - size // 2:x + size // 2 + 1]
        for turns in range(4):
            turned = image.copy()
            turned[window] = np.rot90(image[window], turns).copy()
            made[turned.tobytes()] = (x, turns) if turns else 'same'
    return made


@pytest.mark.parametrize(('mask', 'boxes'), [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize('size', [3, 5])
@pytest.mark.parametrize('channels', [(), (3, )])
def test_any_target_is_rotated_by_any_angle(mask, boxes, size, channels):
    random.seed(0)
    seen, step = set(), NegativeAugmentation(size)
    for _ in range(100):
        results = sample(mask, boxes, (24, 32, *channels))
        expected, before = possible(results['img'], size), results['img'].copy()
        given = results['img']
        assert (results := step(results))['img'].tobytes() in expected
        assert np.array_equal(given, before)
        seen.add(expected[results['img'].tobytes()])
    assert len(seen) == 7
    if mask:
        assert np.array_equal(results['gt_target_mask'], sample(mask)['gt_target_mask'])


def test_the_label_is_rotated_with_the_image_where_that_is_asked_for():
    random.seed(0)
    for _ in range(20):
        results = sample()
        results['gt_target_mask'][5:7, 4] = 0
        image, mask = results['img'], results['gt_target_mask']
        results = NegativeAugmentation(3, rotate_label=True)(results)
        # The window that the image shows rotated is the one that is rotated in the mask.
        pairs = {(image[window].tobytes(), mask[window].tobytes()): window for window in [
            np.s_[y - 1:y + 2, x - 1:x + 2] for x, y in ((5, 6), (20, 15))]}
        for window in pairs.values():
            turns = [turn for turn in range(4) if np.array_equal(np.rot90(image[window], turn),
                                                                 results['img'][window])]
            assert any(np.array_equal(np.rot90(mask[window], turn), results['gt_target_mask'][window])
                       for turn in turns)
    assert results['gt_target_mask'][0, 31] == 255


def test_an_image_without_targets_passes_and_prob_0_changes_none():
    for results, step in ((dict(img=sample()['img'], gt_target_mask=np.zeros((24, 32), np.uint8)),
                           NegativeAugmentation()), (sample(), NegativeAugmentation(prob=0))):
        assert step(results)['img'] is results['img']


def test_what_is_not_loaded_is_named():
    with pytest.raises(InputError, match='needs the boxes'):
        NegativeAugmentation()(dict(img=sample()['img']))
    with pytest.raises(InputError, match='rotate_label=True needs a target mask'):
        NegativeAugmentation(rotate_label=True)(sample(mask=False))


@pytest.mark.parametrize(('change', 'name'), [(dict(size=1), 'size'), (dict(size=2.5), 'size'),
                                              (dict(prob=2), 'prob'), (dict(rotate_label='no'), 'rotate_label')])
def test_arguments_of_negatives_out_of_range_are_named(change, name):
    with pytest.raises(InputError, match=f'NegativeAugmentation: {name}'):
        NegativeAugmentation(**change)


def test_both_are_registered():
    for name in ('NoiseDisplacement', 'NegativeAugmentation'):
        assert 'prob=' in repr(TRANSFORMS.build(dict(type=name)))
