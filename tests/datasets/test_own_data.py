"""The dataset on what people have: any image suffix, several classes, names of all kinds, no sky maps, no masks."""
import logging
import shutil

import cv2
import numpy as np
import pytest
import torch
from conftest import voc_xml
from mmdet.registry import MODELS
from mmengine.dataset import pseudo_collate
from PIL import Image

from bafenet.datasets import DenseSIRSTDataset
from bafenet.engine.options import load_config
from bafenet.errors import InputError

LOAD = [dict(type='LoadInfraredImage'), dict(type='LoadSkyAnnotations')]
PACKED = [*LOAD, dict(type='PackInfraredInputs')]
IMAGES, SKY, MASKS = 'PNGImages', 'SkySeg/PaletteMask', 'SIRST/PaletteMask'


def read(root, ann_file='Splits/train_v2.txt', **kwargs):
    return DenseSIRSTDataset(data_root=str(root), ann_file=ann_file, **kwargs)


def names(root, split='train_v2'):
    return (root / f'Splits/{split}.txt').read_text().split()


def convert_images(root, suffix, **how):
    for file in (root / IMAGES).glob('*.png'):
        Image.open(file).save(file.with_suffix(suffix), **how)
        file.unlink()


# --- Suffixes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('suffix', ['.jpg', '.JPG', '.bmp', '.tif', '.TIFF', '.Png'])
@pytest.mark.parametrize('given', [None, 'as it is'])
def test_images_have_any_suffix_and_maps_their_own(copy, devkit, suffix, given):
    convert_images(copy, suffix)
    dataset = read(copy, img_suffix=suffix if given else None, pipeline=LOAD)
    expected = read(devkit, pipeline=LOAD)
    for found, wanted in zip(dataset, expected, strict=True):
        assert found['img_path'].endswith(suffix)
        assert np.abs(found['img'].astype(int) - wanted['img']).max() <= (60 if suffix.lower() == '.jpg' else 0)
        assert np.array_equal(found['gt_seg_map'], wanted['gt_seg_map'])


def test_images_of_one_devkit_may_differ_in_suffix(copy):
    name = names(copy)[0]
    Image.open(copy / IMAGES / f'{name}.png').save(copy / IMAGES / f'{name}.bmp')
    with pytest.raises(InputError, match=rf'{name}.png and {name}.bmp are two images of one name'):
        read(copy)
    assert len(read(copy, img_suffix='.png')) == 8
    (copy / IMAGES / f'{name}.png').unlink()
    assert len(read(copy)) == 8
    with pytest.raises(InputError, match=f'{name}.png: no such image, but .*train_v2.txt names it'):
        read(copy, img_suffix='.png')


def test_suffixes_of_maps_and_masks(copy):
    for folder, suffix in ((SKY, '_sky.bmp'), (MASKS, '_mask.png')):
        for file in (copy / folder).glob('*.png'):
            Image.fromarray(np.array(Image.open(file))).save(copy / folder / f'{file.stem}{suffix}')
            file.unlink()
    dataset = read(copy, seg_map_suffix='_sky.bmp', target_mask_suffix='_mask.png', pipeline=LOAD)
    assert {value for sample in dataset for value in np.unique(sample['gt_seg_map'])} == {0, 1}
    assert dataset.get_data_info(0)['target_mask_path'].endswith('_mask.png')


def test_maps_and_masks_of_one_devkit_may_differ_in_suffix(copy, devkit):
    for folder in (SKY, MASKS):
        for file, suffix in zip(sorted((copy / folder).glob('*.png')), ['.PNG', '.bmp', '.tif'] * 9, strict=False):
            values = np.array(Image.open(file))
            file.unlink()
            Image.fromarray(values).save(file.with_suffix(suffix))
    expected = read(devkit, pipeline=LOAD)
    for sky in ('required', 'optional'):
        for found, wanted in zip(read(copy, sky=sky, pipeline=LOAD), expected, strict=True):
            assert np.array_equal(found['gt_seg_map'], wanted['gt_seg_map'])
    masks = (read(copy).get_data_info(index)['target_mask_path'] for index in range(8))
    assert {mask[-4:] for mask in masks} == {'.PNG', '.bmp', '.tif'}


def test_an_image_that_is_nowhere_is_named(copy):
    name = names(copy)[0]
    (copy / IMAGES / f'{name}.png').unlink()
    with pytest.raises(InputError, match=rf'{name}.png: no such image, nor with another suffix, but .*train_v2'):
        read(copy)


def test_leavings_of_file_managers_are_no_images(copy):
    name = names(copy)[0]
    (copy / IMAGES / f'._{name}.jpg').write_bytes(b'x')
    (copy / IMAGES / 'Thumbs.db').write_bytes(b'x')
    assert len(read(copy, '')) == 12


# --- Names and lists --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('name', ['frame 001', 'a.b.c', 'x.png', 'übung', '1', 'a  b', '(1)', "it's", '50%', '日本'])
@pytest.mark.parametrize('text', ['{}\n', '\ufeff{}\r\n', '{}', '\n  {}  \n\n'])
def test_names_and_their_lists(copy, name, text):
    old = names(copy)[0]
    for folder, suffix in ((IMAGES, '.png'), (SKY, '.png'), ('SIRST/BBox', '.xml')):
        shutil.copy(copy / folder / (old + suffix), copy / folder / (name + suffix))
    (copy / 'Splits/own.txt').write_bytes(text.format(name).encode())
    dataset = read(copy, 'Splits/own.txt')
    assert [info['img_id'] for info in map(dataset.get_data_info, range(len(dataset)))] == [name]


def test_without_a_list_all_images_are_read(copy):
    shutil.rmtree(copy / 'Splits')
    assert len(read(copy, '')) == 12
    shutil.rmtree(copy / IMAGES)
    (copy / IMAGES).mkdir()
    with pytest.raises(InputError, match='PNGImages: no image'):
        read(copy, '')


# --- Classes ----------------------------------------------------------------------------------------------------------


def test_each_box_has_the_label_of_its_own_class(copy):
    name = names(copy)[0]
    xml = voc_xml([(2, 2, 8, 8)], 'bird') + voc_xml([(20, 2, 26, 8)], 'drone') + voc_xml([(2, 20, 8, 26)], 'bird')
    (copy / 'SIRST/BBox' / f'{name}.xml').write_text(xml.replace('</annotation><annotation>', ''))
    (copy / 'Splits/one.txt').write_text(name)
    dataset = read(copy, 'Splits/one.txt', metainfo=dict(classes=('drone', 'bird')), pipeline=PACKED)
    sample = dataset[0]['data_samples']
    assert sample.gt_instances.labels.tolist() == [1, 0, 1]
    assert sample.gt_instances.bboxes.tensor.tolist() == [[2, 2, 8, 8], [20, 2, 26, 8], [2, 20, 8, 26]]
    with pytest.raises(InputError, match="object 1 is of class 'bird', which is not among .'drone'"):
        read(copy, 'Splits/one.txt', metainfo=dict(classes=('drone', )))


# --- Sky --------------------------------------------------------------------------------------------------------------


def test_images_without_a_sky_map_are_ignored_everywhere(copy):
    first, second = names(copy)[:2]
    (copy / SKY / f'{first}.png').unlink()
    with pytest.raises(InputError, match=rf"{first}.png: no such sky map, .*, but .* names it; sky='optional' takes"):
        read(copy)
    samples = {sample['img_id']: sample for sample in read(copy, sky='optional', pipeline=LOAD)}
    assert samples[first]['seg_map_path'] is None
    assert samples[first]['gt_seg_map'].shape == (64, 64) and (samples[first]['gt_seg_map'] == 255).all()
    assert set(np.unique(samples[second]['gt_seg_map'])) == {0, 1}
    for sample in read(copy, sky='none', pipeline=LOAD):
        assert (sample['gt_seg_map'] == 255).all() and sample['gt_seg_map'].dtype == np.uint8


@pytest.mark.parametrize('sky', ['optional', 'none'])
def test_no_sky_folder_at_all(copy, sky):
    shutil.rmtree(copy / 'SkySeg')
    with pytest.raises(InputError, match="PaletteMask: no such folder; .* by sky='none'"):
        read(copy)
    assert len(read(copy, sky=sky)) == 8


def test_how_many_have_a_map_is_said_and_wrong_names_are_a_warning(copy, monkeypatch):
    said = []
    monkeypatch.setattr('bafenet.datasets.densesirst.print_log',
                        lambda text, logger, level=None: said.append((text, level)))
    (copy / SKY / f'{names(copy)[0]}.png').unlink()
    read(copy, sky='optional')
    for file in (copy / SKY).glob('*.png'):
        file.rename(file.with_name(f'{file.stem}_sky.png'))
    read(copy, sky='optional')
    (few, few_level), (none, none_level) = said
    assert few.endswith('7 of 8 images have a sky map') and few_level == logging.INFO
    assert '0 of 8 images have a sky map, though there are 11 maps (scene_10_sky.png)' in none
    assert none_level == logging.WARNING


def test_maps_of_another_split_are_no_wrong_names(copy, monkeypatch):
    said = []
    monkeypatch.setattr('bafenet.datasets.densesirst.print_log',
                        lambda text, logger, level=None: said.append((text, level)))
    for name in names(copy, 'val_v2'):
        (copy / SKY / f'{name}.png').unlink()
    read(copy, 'Splits/val_v2.txt', sky='optional')
    (text, level), = said
    assert text.endswith('0 of 2 images have a sky map') and level == logging.INFO


def test_a_folder_that_is_missing_is_named_with_what_makes_it(copy):
    shutil.rmtree(copy / 'SIRST')
    with pytest.raises(InputError, match='SIRST/BBox: no such folder; a devkit has images in PNGImages and box XMLs '
                       r'in SIRST/BBox; .*convert.* makes one'):
        read(copy)


def test_a_test_pipeline_gives_an_ignored_map_of_the_original_size(copy):
    pipeline = [LOAD[0], dict(type='Resize', scale=(32, 32), keep_ratio=False), LOAD[1],
                dict(type='PackInfraredInputs', meta_keys=('img_id', 'ori_shape', 'img_shape', 'scale_factor'))]
    sample = read(copy, sky='none', test_mode=True, pipeline=pipeline)[0]
    assert sample['inputs'].shape == (3, 32, 32)
    assert sample['data_samples'].gt_sem_seg.sem_seg.shape == (1, 64, 64)
    assert (sample['data_samples'].gt_sem_seg.sem_seg == 255).all()


def _losses(network, dataset, indices):
    batch = network.data_preprocessor(pseudo_collate([dataset[index] for index in indices]), True)
    network.zero_grad()
    losses = network.loss(batch['inputs'], batch['data_samples'])
    total, parts = network.parse_losses(losses)
    total.backward()
    grads = {name: None if weight.grad is None else weight.grad.clone() for name, weight in network.named_parameters()}
    return {name: float(value.detach()) for name, value in parts.items()}, grads


def test_an_image_without_a_map_costs_the_sky_branch_nothing(copy):
    """In a batch of one with and one without a map, the sky's loss and gradients are those of the one with a map."""
    cfg = load_config('configs/demo/bafenet_r18_demo.py')
    torch.manual_seed(0)
    network = MODELS.build(cfg.model)
    network.init_weights()
    network.eval()  # BatchNorm would mix the samples
    with_map, without = names(copy)[:2]
    (copy / SKY / f'{without}.png').unlink()
    dataset = read(copy, sky='optional', pipeline=PACKED)
    both, both_grads = _losses(network, dataset, [0, 1])
    alone, alone_grads = _losses(network, dataset, [0])
    none, none_grads = _losses(network, dataset, [1, 1])
    assert both['loss_seg'] == pytest.approx(alone['loss_seg'], rel=1e-5) and alone['loss_seg'] > 0
    own = 'bbox_head.conv_seg.weight'
    torch.testing.assert_close(both_grads[own], alone_grads[own], rtol=1e-3, atol=1e-6)
    assert none['loss_seg'] == 0 and np.isfinite(list(none.values())).all()
    assert none_grads[own].abs().max() == 0
    assert none['loss_cls'] > 0 and none_grads['bbox_head.conv_cls.weight'].abs().max() > 0


# --- 16 bit -----------------------------------------------------------------------------------------------------------


def test_deep_images_of_any_suffix(copy):
    for file in (copy / IMAGES).glob('*.png'):
        image = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE).astype(np.uint16) * 16 + 1000
        cv2.imwrite(str(file.with_suffix('.tif')), image)
        file.unlink()
    images = [sample['img'] for sample in read(copy, pipeline=LOAD)]
    assert {image.dtype for image in images} == {np.dtype(np.uint8)}
    assert all(image.min() == 0 and image.max() == 255 for image in images)


def test_masks_are_not_needed(copy):
    shutil.rmtree(copy / MASKS)
    assert len(read(copy, pipeline=PACKED)[0]['data_samples'].gt_instances) > 0


def test_a_palette_map_beside_an_absent_one_is_still_checked(copy):
    kept = names(copy)[0]
    for file in (copy / SKY).glob('*.png'):
        file.unlink()
    Image.new('L', (64, 64), 255).save(copy / SKY / f'{kept}.png')
    with pytest.raises(InputError, match='holds 255'):
        read(copy, sky='optional')
