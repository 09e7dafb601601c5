"""--data for configs of target masks: lists of every layout, frames held out, what of the config changes, refusals."""
import cv2
import numpy as np
import pytest
from conftest import ROOT

from bafenet.engine.devkit_data import data_settings, find_data
from bafenet.engine.mask_data import find_masks, reads_masks
from bafenet.engine.options import load_config
from bafenet.engine.own_training import OwnTraining, shown_settings
from bafenet.engine.train_variants import trainval_settings
from bafenet.errors import InputError

CONFIG = str(ROOT / 'configs/segmentation/additive_unet_nudt.py')
DETECTOR = str(ROOT / 'configs/demo/bafenet_r18_demo.py')


def write_set(root, lists, count=20, images='images', masks='masks', ending=''):
    for folder in (images, masks):
        (root / folder).mkdir(parents=True)
    for number in range(count):
        cv2.imwrite(str(root / images / f'{number}.png'), np.zeros((8, 9), np.uint8))
        cv2.imwrite(str(root / masks / f'{number}{ending}.png'), np.full((8, 9), 255 * (number % 2), np.uint8))
    for name, numbers in lists.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(''.join(f'{number}\n' for number in numbers))
    return str(root)


@pytest.fixture
def cfg():
    return load_config(CONFIG)


def parts(data):
    return {name: (part.file, part.frames, part.holdout, part.held_out) for name, part in data.parts.items()}


@pytest.mark.parametrize(('lists', 'layout', 'expected'), [
    # A list to train on: a tenth of it is held out.
    ({'img_idx/train_X.txt': range(15), 'img_idx/test_X.txt': range(15, 20)}, {},
     dict(train=('img_idx/train_X.txt', 13, 2, False), val=('img_idx/train_X.txt', 2, 2, True),
          test=('img_idx/test_X.txt', 5, 0, False))),
    # One of its own to validate on.
    ({'Splits/train_v2.txt': range(9), 'Splits/val_v2.txt': range(9, 12), 'Splits/test_v2.txt': range(12, 20)},
     dict(images='PNGImages', masks='SIRST/PaletteMask'),
     dict(train=('Splits/train_v2.txt', 9, 0, False), val=('Splits/val_v2.txt', 3, 0, False),
          test=('Splits/test_v2.txt', 8, 0, False))),
    ({'trainval.txt': range(15), 'test.txt': range(15, 20)}, dict(images='IRSTD1k_Img', masks='IRSTD1k_Label'),
     dict(train=('trainval.txt', 13, 2, False), val=('trainval.txt', 2, 2, True), test=('test.txt', 5, 0, False))),
    # No list: all frames, and the test is of those that are held out.
    ({}, dict(ending='_pixels0'), dict(train=('', 18, 2, False), val=('', 2, 2, True), test=('', 2, 2, True))),
])
def test_lists_of_every_layout_are_found(tmp_path, cfg, lists, layout, expected):
    root = write_set(tmp_path / 'set', lists, **layout)
    data = find_masks(cfg, root, None)
    assert parts(data) == expected
    changed = load_config(CONFIG, settings=[('--data', data.settings)])
    for name, (file, _, holdout, held_out) in expected.items():
        dataset = changed[f'{name}_dataloader'].dataset
        assert (dataset.data_root, dataset.ann_file, dataset.holdout, dataset.held_out) == (root, file, holdout,
                                                                                            held_out)
    assert data.lines()[0].startswith('data: ') and root in data.lines()[0]
    tested = find_masks(cfg, root, None, to_train=False)
    assert parts(tested) == {'test': expected['test'] if lists else ('', 20, 0, False)}


def test_the_configs_own_data_moved_are_divided_as_before(tmp_path, cfg):
    lists = {'splits/train.txt': range(450), 'splits/test.txt': range(450, 460)}
    root = write_set(tmp_path / 'set', lists, count=460)
    assert parts(find_masks(cfg, root, None))['train'] == ('splits/train.txt', 350, 100, False)
    # More than a quarter would be held out.
    (tmp_path / 'set/splits/train.txt').write_text(''.join(f'{number}\n' for number in range(399)))
    assert parts(find_masks(cfg, root, None))['train'] == ('splits/train.txt', 359, 40, False)


def test_splits_are_chosen_by_name_else_those_of_most_frames(tmp_path, cfg):
    lists = {'Splits/train_a.txt': range(5), 'Splits/test_a.txt': range(5, 8), 'Splits/train_b.txt': range(11),
             'Splits/test_b.txt': range(11, 20)}
    root = write_set(tmp_path / 'set', lists)
    assert find_masks(cfg, root, None).parts['test'].file == 'Splits/test_b.txt'
    assert find_masks(cfg, root, 'a').parts['test'].file == 'Splits/test_a.txt'
    with pytest.raises(InputError, match='--splits c: .*no list of frames called train_c.txt'):
        find_masks(cfg, root, 'c')


def test_without_a_validation_all_are_trained_on(tmp_path, cfg):
    root = write_set(tmp_path / 'set', {'train.txt': range(15), 'test.txt': range(15, 20)})
    assert parts(find_masks(cfg, root, None, validates=False)) == dict(
        train=('train.txt', 15, 0, False), test=('test.txt', 5, 0, False))
    (tmp_path / 'set/val.txt').write_text('15\n16\n')
    with pytest.raises(InputError, match='no list names both; add one called trainval'):
        find_masks(cfg, root, None, validates=False)
    assert trainval_settings(cfg)['train_dataloader.dataset.holdout'] == 0
    assert trainval_settings(cfg)['val_dataloader'] is None


def test_bad_data_are_one_line(tmp_path, cfg):
    with pytest.raises(InputError, match='--data .*absent: no such folder'):
        find_masks(cfg, str(tmp_path / 'absent'), None)
    (tmp_path / 'empty').mkdir()
    with pytest.raises(InputError, match='empty: none of the known layouts: .*data_prefix'):
        find_masks(cfg, str(tmp_path / 'empty'), None)
    (tmp_path / 'boxes/PNGImages').mkdir(parents=True)
    with pytest.raises(InputError, match='boxes: frames in PNGImages, as SIRSTdevkit has them, but no target masks in '
                                         'SIRST/PaletteMask or SIRST/BinaryMask; '):
        find_masks(cfg, str(tmp_path / 'boxes'), None)
    root = write_set(tmp_path / 'set', {'test.txt': range(5)})
    with pytest.raises(InputError, match='of its lists, test.txt, none is to train on'):
        find_masks(cfg, root, None)
    (tmp_path / 'set/train.txt').write_text('1\nmissing\n')
    with pytest.raises(InputError, match=r'train\.txt: 1 of its frames are not in .* \(missing\)'):
        find_masks(cfg, root, None)


def test_the_config_says_what_the_folder_is(tmp_path, cfg, devkit):
    assert reads_masks(cfg, 'train') and reads_masks(cfg, 'test')
    assert not reads_masks(load_config(DETECTOR), 'train')
    own = OwnTraining.of(str(devkit), None, None, None, False, [], 'none')
    changed = load_config(CONFIG, settings=own.settings())
    assert changed.train_dataloader.dataset.ann_file == 'Splits/train_v2.txt' and own.frames(changed) == 8
    own = OwnTraining.of(str(devkit), None, None, None, False, [], 'none')
    changed = load_config(DETECTOR, settings=own.settings())
    assert changed.train_dataloader.dataset.data_root == str(devkit) and own.frames(changed) == 8
    for config, expected in ((CONFIG, str(devkit)), (DETECTOR, str(devkit))):
        shown = shown_settings(load_config(config), str(devkit), None)
        assert shown['train_dataloader.dataset.data_root'] == expected
        assert not any(key.startswith(('val_', 'test_')) for key in shown)
    assert data_settings(load_config(DETECTOR), find_data(str(devkit), None))  # as before
