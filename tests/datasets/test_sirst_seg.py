"""SIRSTSegDataset: the layouts that it knows, masks of every kind, frames held out, boxes, and what it refuses."""
import cv2
import numpy as np
import pytest
from conftest import ROOT, train_a_step_and_predict, write_palette
from mmdet.registry import DATASETS
from mmengine.config import Config

from bafenet.devkit.read import read_boxes
from bafenet.engine.options import load_config
from bafenet.errors import InputError

NAMES = [f'f_{number}' for number in range(6)]


def target_mask(name):
    mask = np.zeros((20, 30), np.uint8)
    mask[2:5, 3:5] = 1
    mask[10 + int(name[-1]), 20] = 1
    return mask


def write_set(root, images='images', masks='masks', ending='', value=255, lists='splits/train.txt'):
    rng = np.random.default_rng(0)
    for folder in (root / images, root / masks, (root / lists).parent):
        folder.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        cv2.imwrite(str(root / images / f'{name}.png'), rng.integers(0, 255, (20, 30), dtype=np.uint8))
        mask = root / masks / f'{name}{ending}.png'
        if value == 'palette':
            write_palette(mask, target_mask(name))
        else:
            cv2.imwrite(str(mask), target_mask(name) * value)
    (root / lists).write_text('\n'.join(NAMES[::-1]) + '\n')
    return root


def build(root, ann_file='splits/train.txt', **settings):
    steps = [dict(type='LoadInfraredImage'), dict(type='LoadTargetMask')]
    # Serialising them collects the garbage of the whole test run.
    return DATASETS.build({'type': 'SIRSTSegDataset', 'data_root': str(root), 'ann_file': ann_file, 'pipeline': steps,
                           'serialize_data': False, **settings})


@pytest.fixture
def nudt(tmp_path):
    return write_set(tmp_path / 'set')


@pytest.mark.parametrize('layout', [
    {}, dict(value=1), dict(value='palette'), dict(ending='_pixels0'),
    dict(images='IRSTD1k_Img', masks='IRSTD1k_Label', lists='trainval.txt'),
    dict(images='PNGImages', masks='SIRST/PaletteMask', value='palette', lists='Splits/train_v2.txt'),
    dict(images='PNGImages', masks='SIRST/BinaryMask', ending='_pixels0', lists='Splits/train_v2.txt'),
    dict(images='mixed', masks='annotations/masks', ending='_pixels0', lists='splits/train_v2.txt'),
])
def test_each_layout_gives_frames_in_the_order_of_the_list_and_masks_of_0_and_1(tmp_path, layout):
    root = write_set(tmp_path / 'set', **layout)
    dataset = build(root, layout.get('lists', 'splits/train.txt'))
    assert [dataset.get_data_info(index)['img_id'] for index in range(len(dataset))] == NAMES[::-1]
    for index, name in enumerate(NAMES[::-1]):
        sample = dataset[index]
        assert sample['img_path'] == str(root / layout.get('images', 'images') / f'{name}.png')
        assert (sample['height'], sample['width']) == sample['img'].shape == (20, 30)
        assert sample['gt_target_mask'].dtype == np.uint8
        np.testing.assert_array_equal(sample['gt_target_mask'], target_mask(name))
        assert 'instances' not in sample or not sample['instances']


def test_without_a_list_and_with_folders_of_ones_own(tmp_path):
    root = write_set(tmp_path / 'set', images='frames', masks='truth')
    with pytest.raises(InputError, match='none of the known layouts.*data_prefix'):
        build(root)
    dataset = build(root, '', data_prefix=dict(img_path='frames', target_mask_path='truth'))
    assert [dataset[index]['img_id'] for index in range(6)] == NAMES


def test_boxes_are_the_extents_of_the_components(nudt):
    info = build(nudt, with_boxes=True, indices=[1]).get_data_info(0)
    assert info['img_id'] == 'f_4'
    assert [(one['bbox'], one['bbox_label']) for one in info['instances']] == [
        ([3, 2, 5, 5], 0), ([20, 14, 21, 15], 0)]
    assert info['seg_map_path'] is None and 'seg_map_path' not in build(nudt).get_data_info(0)


def test_a_detector_with_a_sky_branch_learns_from_masks_alone(devkit):
    cfg = load_config(str(ROOT / 'configs/bafenet/bafenet_hr_tiny_densesirst.py'))
    masks = dict(type='SIRSTSegDataset', with_boxes=True)
    cfg.train_dataloader.dataset = dict(masks, pipeline=cfg.train_pipeline)
    cfg.test_dataloader.dataset = dict(masks, pipeline=cfg.test_pipeline, test_mode=True)
    sample = train_a_step_and_predict(cfg, devkit)
    own = DATASETS.build(cfg.test_dataloader.dataset).get_data_info(0)
    written = read_boxes(devkit / f'SIRST/BBox/{own["img_id"]}.xml')[1]
    assert sorted(one['bbox'] for one in own['instances']) == sorted(written.tolist())
    assert (sample.gt_sem_seg.sem_seg == 255).all() and sample.pred_sem_seg.sem_seg.shape == (1, 64, 64)


def test_held_out_frames_and_the_others_are_the_set_whatever_its_order(nudt):
    def names(**settings):
        dataset = build(nudt, holdout=2, **settings)
        return [dataset.get_data_info(index)['img_id'] for index in range(len(dataset))]

    train, held = names(), names(held_out=True)
    assert len(held) == 2 and sorted(train + held) == NAMES
    assert train == [name for name in NAMES[::-1] if name not in held]  # in the list's order
    assert {tuple(names(held_out=True, holdout_seed=seed)) for seed in range(20)} != {tuple(held)}
    (nudt / 'splits/train.txt').write_text('\n'.join(NAMES))
    assert sorted(names(held_out=True)) == sorted(held)


@pytest.mark.parametrize(('spoil', 'message'), [
    (lambda root: (root / 'masks/f_2.png').unlink(), 'f_2.png: it has no target mask'),
    (lambda root: cv2.imwrite(str(root / 'masks/f_2.bmp'), target_mask('f_2')), None),
    (lambda root: cv2.imwrite(str(root / 'masks/f_2_mask.png'), target_mask('f_2')), '2 files may be its target mask'),
    (lambda root: cv2.imwrite(str(root / 'masks/f_2.png'), np.zeros((20, 29), np.uint8)),
     'f_2.png: is 29x20 and not of its image\'s size, 30x20'),
    (lambda root: (root / 'images/f_2.png').unlink(), 'train.txt: 1 of its 6 frames are not in'),
    (lambda root: (root / 'images/f_2.png').write_bytes(b'no image'), 'f_2.png: does not decode'),
    (lambda root: (root / 'splits/train.txt').unlink(), 'train.txt: no such split file'),
])
def test_bad_files_are_one_line_that_names_them(nudt, spoil, message):
    spoil(nudt)
    if message is None:  # of the frame's suffix there is one
        assert len(build(nudt)) == 6
        return
    with pytest.raises(InputError) as caught:
        build(nudt)
    assert message in str(caught.value) and '\n' not in str(caught.value)


@pytest.mark.parametrize('settings', [
    dict(with_boxes='no'), dict(held_out=1), dict(held_out=True), dict(holdout=-1), dict(holdout=6),
    dict(holdout_seed=2**32, holdout=1), dict(data_prefix=dict(img_path='images')), dict(data_prefix=dict(a='b')),
    dict(filter_cfg=dict(min_size=3)), dict(indices=7), dict(data_root=3),
])
def test_bad_settings_are_named(nudt, settings):
    with pytest.raises(InputError, match='SIRSTSegDataset: '):
        build(nudt, **settings)


def test_nudt_sirst_is_divided_into_563_100_and_664():
    cfg = Config.fromfile(ROOT / 'configs/_base_/datasets/nudt_sirst_seg.py')
    if not (ROOT / cfg.data_root).is_dir():
        pytest.skip('NUDT-SIRST is not at data/NUDT-SIRST')
    parts = []
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        dataset = DATASETS.build(dict(loader.dataset, data_root=str(ROOT / cfg.data_root), serialize_data=False))
        parts.append({dataset.get_data_info(index)['img_id'] for index in range(len(dataset))})
    assert list(map(len, parts)) == [563, 100, 664] and len(set.union(*parts)) == 1327
