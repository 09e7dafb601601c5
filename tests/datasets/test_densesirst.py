"""The dataset: what it reads, and that nothing bad passes silently."""
import os
import shutil
import xml.etree.ElementTree as ElementTree

import cv2
import numpy as np
import pytest
import torch
from conftest import voc_xml, write_palette
from mmdet.registry import DATASETS
from PIL import Image
from scipy import ndimage

from bafenet.datasets import DenseSIRSTDataset
from bafenet.errors import InputError

LOAD = [dict(type='LoadInfraredImage'), dict(type='LoadSkyAnnotations')]
TRAIN = [*LOAD, dict(type='Resize', scale=(96, 80), keep_ratio=False), dict(type='RandomFlip', prob=0.5),
         dict(type='PackInfraredInputs')]


def read(root, split='train_v2', **kwargs):
    return DenseSIRSTDataset(data_root=str(root), ann_file=f'Splits/{split}.txt', **kwargs)


def first(root):
    return (root / 'Splits/train_v2.txt').read_text().split()[0]


def test_reads_the_layout_from_root_and_split_alone(devkit):
    dataset = DATASETS.build(dict(type='DenseSIRSTDataset', data_root=str(devkit), ann_file='Splits/train_v2.txt'))
    assert len(dataset) == 8 and dataset.metainfo['classes'] == ('Target', )
    info = dataset.get_data_info(0)
    name = first(devkit)
    assert info['img_id'] == name and (info['width'], info['height']) == (64, 64)
    assert Image.open(info['target_mask_path']).size == (64, 64)
    xml = ElementTree.parse(devkit / 'SIRST/BBox' / f'{name}.xml')
    expected = [[float(field.text) for field in box] for box in xml.iter('bndbox')]
    assert [item['bbox'] for item in info['instances']] == expected


@pytest.mark.parametrize('origin', [0, 1])
def test_samples_have_float32_boxes_labels_and_the_sky_map(devkit, origin):
    sample = read(devkit, pipeline=LOAD, box_origin=origin)[0]
    boxes = sample['gt_bboxes'].tensor
    mask = np.array(Image.open(sample['target_mask_path']))
    # In this devkit a box is the extent of its mask component, so with origin 0 both agree.
    extents = [[s[1].start, s[0].start, s[1].stop, s[0].stop] for s in ndimage.find_objects(ndimage.label(mask)[0])]
    assert boxes.dtype == torch.float32
    assert sorted(boxes.tolist()) == sorted((np.array(extents) - origin).tolist())
    assert sample['gt_bboxes_labels'].tolist() == [0] * len(boxes)
    assert sample['img'].shape == (64, 64) and sample['img'].dtype == np.uint8
    np.testing.assert_array_equal(sample['gt_seg_map'], np.array(Image.open(sample['seg_map_path'])))
    assert set(np.unique(sample['gt_seg_map'])) == {0, 1}


def test_a_box_at_the_border_may_be_misread(copy):
    (copy / f'SIRST/BBox/{first(copy)}.xml').write_text(voc_xml([(0, 5, 4, 64)]))
    assert read(copy, box_origin=1).get_data_info(0)['instances'][0]['bbox'] == [-1, 4, 3, 63]


def test_packs_for_the_network(devkit):
    packed = read(devkit, pipeline=TRAIN)[0]
    assert packed['inputs'].shape == (3, 80, 96)
    assert packed['data_samples'].gt_sem_seg.sem_seg.shape == (1, 80, 96)


@pytest.mark.parametrize('what', ['PNGImages', 'SIRST/BBox', 'SkySeg/PaletteMask'])
def test_a_missing_file_is_named(copy, what):
    file = copy / what / (first(copy) + ('.xml' if what.endswith('BBox') else '.png'))
    file.unlink()
    with pytest.raises(InputError, match=str(file)):
        read(copy)


def test_a_missing_split_or_folder_is_named(copy):
    with pytest.raises(InputError, match='nosuch.txt: no such split'):
        read(copy, 'nosuch')
    shutil.rmtree(copy / 'SkySeg')
    with pytest.raises(InputError, match='SkySeg/PaletteMask: no such folder'):
        read(copy)


def test_a_split_may_lie_outside_the_devkit(devkit, tmp_path, monkeypatch):
    name = first(devkit)
    own = tmp_path / 'Splits/own.txt'
    own.parent.mkdir()
    own.write_text(name + '\n')
    monkeypatch.chdir(tmp_path)
    for ann_file in (str(own), 'Splits/own.txt'):
        dataset = DenseSIRSTDataset(data_root=str(devkit), ann_file=ann_file)
        assert [dataset.get_data_info(i)['img_id'] for i in range(len(dataset))] == [name]
    # The devkit's own comes first.
    (tmp_path / 'Splits/train_v2.txt').write_text(name + '\n')
    assert len(read(devkit)) == 8


def test_a_split_of_the_package_is_found_by_its_name(devkit, monkeypatch, tmp_path):
    with pytest.raises(InputError, match='nosuch_rec.txt: no such split'):
        read(devkit, 'nosuch_rec')
    monkeypatch.setattr('bafenet.devkit.layout.PACKAGED_SPLITS', tmp_path)
    (tmp_path / 'one_rec.txt').write_text(first(devkit) + '\n')
    assert len(read(devkit, 'one_rec')) == 1


def test_a_split_of_the_package_is_for_densesirst_alone(devkit):
    with pytest.raises(InputError, match=r"has no Splits/train_rec.txt, and the list of this name in the package is "
                                         r"DenseSIRST's: 512 of its 512 images are not here.* by tools/dataset/"):
        read(devkit, 'train_rec')


@pytest.mark.parametrize(('text', 'message'), [('', 'names no image'), ('a\na\n', 'more than once: a')])
def test_a_bad_split_is_named(copy, text, message):
    (copy / 'Splits/bad.txt').write_text(text)
    with pytest.raises(InputError, match=f'bad.txt: .*{message}'):
        read(copy, 'bad')


@pytest.mark.parametrize(('xml', 'message'), [
    ('<annotation><object>', 'not a VOC annotation'),
    ('<annotation><object><name>Target</name></object></annotation>', 'not a VOC annotation'),
    (voc_xml([('a', 1, 2, 3)]), 'not a VOC annotation'),
    (voc_xml([(1, 1, 3, 3)], name='Bird'), "class 'Bird'"),
    (voc_xml([(5, 5, 5, 9)]), 'has no area'),
    (voc_xml([(9, 5, 5, 9)]), 'has no area'),
    (voc_xml([('nan', 5, 9, 9)]), 'has no area'),
    (voc_xml([(60, 60, 65, 64)]), 'lies outside the 64x64 image'),
    (voc_xml([(-1, 0, 4, 4)]), 'lies outside the 64x64 image'),
])
def test_bad_boxes_are_named(copy, xml, message):
    file = copy / 'SIRST/BBox' / f'{first(copy)}.xml'
    file.write_text(xml)
    with pytest.raises(InputError, match=f'{file}: .*{message}'):
        read(copy)


@pytest.mark.parametrize(('shape', 'size'), [((64, 65), '65x64'), ((1, 1), '1x1')])
def test_a_sky_map_of_another_size_is_named_with_both(copy, shape, size):
    file = copy / 'SkySeg/PaletteMask' / f'{first(copy)}.png'
    write_palette(file, np.zeros(shape))
    with pytest.raises(InputError, match=f"{file}: the sky map is not of its image's size, 64x64, but {size}"):
        read(copy)


@pytest.mark.parametrize('what', ['PNGImages', 'SkySeg/PaletteMask'])
def test_a_file_that_does_not_decode_is_named(copy, what):
    file = copy / what / f'{first(copy)}.png'
    whole = file.read_bytes()
    file.write_bytes(b'no image')
    with pytest.raises(InputError, match=f'{file}: does not decode'):
        read(copy)
    # A whole header over a lost end is found when the image is loaded.
    file.write_bytes(whole[:len(whole) * 2 // 3])
    dataset = read(copy, pipeline=TRAIN)
    with pytest.raises(InputError, match=f'{file}: the (image|sky map) does not decode'):
        dataset[0]


def test_a_binary_mask_as_sky_map_is_named(copy):
    file = copy / 'SkySeg/PaletteMask' / f'{first(copy)}.png'
    cv2.imwrite(str(file), np.full((64, 64), 128, np.uint8))
    with pytest.raises(InputError, match=f'{file}: a sky map has one channel'):
        read(copy, pipeline=TRAIN)[0]


def test_nothing_is_filtered_or_replaced(devkit):
    with pytest.raises(InputError, match='filter_cfg'):
        read(devkit, filter_cfg=dict(filter_empty_gt=True))
    dataset = read(devkit, pipeline=[lambda results: None])
    with pytest.raises(InputError, match='dropped this image'):
        dataset[3]


def test_images_without_a_target_are_left_out_where_that_is_asked_for(copy, monkeypatch):
    said = []
    monkeypatch.setattr('bafenet.datasets.densesirst.print_log', lambda text, *others: said.append(text))
    names = (copy / 'Splits/train_v2.txt').read_text().split()
    for name in names[::2]:
        (copy / f'SIRST/BBox/{name}.xml').write_text(voc_xml([]))
    dataset = read(copy, only_with_targets=True, pipeline=LOAD)
    assert [dataset.get_data_info(index)['img_id'] for index in range(len(dataset))] == names[1::2]
    assert said[0].endswith(f'{len(names[1::2])} of {len(names)} images have a target, the others are left out')
    assert len(read(copy)) == len(names)
    for name in names:
        (copy / f'SIRST/BBox/{name}.xml').write_text(voc_xml([]))
    with pytest.raises(InputError, match='train_v2.txt: no image has a target'):
        read(copy, only_with_targets=True)[0]
    with pytest.raises(InputError, match='only_with_targets=1'):
        read(copy, only_with_targets=1)


def test_each_box_has_the_index_of_its_class(copy):
    file = copy / 'SIRST/BBox' / f'{first(copy)}.xml'
    file.write_text('<annotation>' + ''.join(
        voc_xml([(5 * i, 1, 5 * i + 3, 4)], name)[12:-13] for i, name in enumerate(('bird', 'drone', 'bird'))
    ) + voc_xml([(30, 30, 33, 33)], 'Target')[12:])
    dataset = read(copy, metainfo=dict(classes=('drone', 'Target', 'bird')), pipeline=LOAD)
    assert dataset[0]['gt_bboxes_labels'].tolist() == [2, 0, 2, 1]
    assert dataset[1]['gt_bboxes_labels'].tolist() == [1] * 4
    with pytest.raises(InputError, match=f"{file}: object 2 is of class 'drone'"):
        read(copy, metainfo=dict(classes=('Target', 'bird')))


@pytest.mark.parametrize('shape', [(64, 64), (64, 64, 3), (64, 64, 4)])
def test_images_of_more_than_eight_bits_are_taken(copy, shape):
    file = copy / 'PNGImages' / f'{first(copy)}.png'
    cv2.imwrite(str(file), np.full(shape, 3000, np.uint16))
    image = read(copy, pipeline=LOAD)[0]['img']
    assert image.dtype == np.uint8 and image.shape == shape[:2] + (3, ) * (len(shape) > 2)


def test_binary_masks_instead_of_palettes_are_refused(copy):
    files = sorted((copy / 'SkySeg/PaletteMask').iterdir())
    for file in files:
        Image.fromarray(np.array(Image.open(file)) * 255).save(file)
    with pytest.raises(InputError, match='holds 255 .*SkySeg/BinaryMask'):
        read(copy)
    # What is ignored beside a sky that is known is meant so.
    write_palette(copy / 'SkySeg/PaletteMask' / f'{first(copy)}.png', np.ones((64, 64)))
    assert len(read(copy)) == 8
    for file in files:
        write_palette(file, np.zeros((64, 64)))
    assert len(read(copy)) == 8


def test_target_masks_may_be_absent(copy):
    shutil.rmtree(copy / 'SIRST/PaletteMask')
    dataset = read(copy, pipeline=TRAIN)
    assert len([dataset[index] for index in range(len(dataset))]) == 8
    library = read(copy, pipeline=[*LOAD, dict(type='BAGCopyPaste')]).pipeline.transforms[-1].library
    # Without masks the boxes are cut: in these scenes squares of 6 pixels, shrunk to 5.
    assert len(library.sizes) == 32 and (library.sizes == 5).all() and (library.patches == 220).all()


def test_only_regular_files_are_read(copy):
    for folder, suffix in (('PNGImages', 'png'), ('SkySeg/PaletteMask', 'png'), ('SIRST/BBox', 'xml')):
        file = copy / folder / f'{first(copy)}.{suffix}'
        before = file.read_bytes()
        file.unlink()
        os.mkfifo(file)
        with pytest.raises(InputError, match=f'{file}: is a pipe or device'):
            read(copy)
        file.unlink()
        file.write_bytes(before)


@pytest.mark.parametrize('indices', [999, 9, 0, -1, True, 2.5, 'all', [], [8], [-1], [0, 'a'], [1.5], {1: 2}])
def test_indices_that_are_not_among_the_images_are_refused(devkit, indices):
    with pytest.raises(InputError, match='indices'):
        read(devkit, indices=indices)


def test_indices_of_the_images(devkit):
    assert len(read(devkit, indices=8)) == 8 and len(read(devkit, indices=3)) == 3
    assert read(devkit, indices=[5, 0]).get_data_info(0)['img_id'] == read(devkit).get_data_info(5)['img_id']


@pytest.mark.parametrize('settings', [
    dict(data_prefix='PNGImages'), dict(data_prefix=['a']), dict(data_prefix=dict(img='a')),
    dict(data_prefix=dict(img_path=3)), dict(data_prefix=dict(img_path=None)), dict(img_suffix=3),
    dict(seg_map_suffix=''),
    dict(target_mask_suffix='a/b'), dict(sky='maybe'), dict(sky=None), dict(img_suffix=''),
    dict(img_suffix='/../a.png'), dict(img_suffix=['.png']),
    dict(metainfo=dict(classes='Target')), dict(metainfo=dict(classes=('a', 'a'))), dict(metainfo=dict(classes=())),
    dict(metainfo=dict(classes=(1, 2))), dict(ann_file=3), dict(ann_file=None), dict(ann_file=['a']),
    dict(ann_file='a\0b'), dict(data_root=3), dict(data_root=['a']), dict(box_origin='0'), dict(box_origin=[0])])
def test_settings_of_a_wrong_type_are_named(devkit, settings):
    with pytest.raises(InputError, match=f'DenseSIRSTDataset: .*{next(iter(settings))}') as error:
        DenseSIRSTDataset(**{'data_root': str(devkit), 'ann_file': 'Splits/train_v2.txt', **settings})
    assert str(error.value).isprintable()


def test_names_may_hold_spaces_and_dots_and_nothing_that_leads_elsewhere(copy):
    for folder, suffix in (('PNGImages', 'png'), ('SkySeg/PaletteMask', 'png'), ('SIRST/BBox', 'xml')):
        shutil.copy(copy / folder / f'{first(copy)}.{suffix}', copy / folder / f'frame 1.b.{suffix}')
    (copy / 'Splits/own.txt').write_bytes(b'\xef\xbb\xbfframe 1.b\r\n')
    assert read(copy, 'own').get_data_info(0)['img_id'] == 'frame 1.b'
    (copy / 'Splits/own.txt').write_text('../PNGImages/frame 1.b')
    with pytest.raises(InputError, match='own.txt: .* is not an image name'):
        read(copy, 'own')


@pytest.mark.parametrize('origin', [2, -1, 0.5])
def test_a_box_origin_other_than_0_or_1_is_refused(devkit, origin):
    with pytest.raises(InputError, match='box_origin'):
        read(devkit, box_origin=origin)


@pytest.mark.parametrize(('split', 'images', 'targets'), [('train_v2', 512, None), ('val_v2', 256, None),
                                                          ('test_v2', 256, 3454), ('trainval_v2', 768, 10201)])
def test_real_splits(real_data, split, images, targets):
    dataset = read(real_data, split)
    assert len(dataset) == images
    if targets:
        assert sum(len(dataset.get_data_info(i)['instances']) for i in range(images)) == targets


@pytest.mark.parametrize(('origin', 'count', 'holding'), [(0, 3454, 1209), (1, 3454, 1200)])
def test_real_targets_that_hold_a_stride_8_point(real_data, origin, count, holding):
    """The figures of label assignment at 512x512, which hang on the boxes' origin."""
    dataset = read(real_data, 'test_v2', box_origin=origin)
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    boxes = np.concatenate([
        np.array([item['bbox'] for item in info['instances']]).reshape(-1, 4) * 512 /
        np.tile((info['width'], info['height']), 2) for info in infos
    ])
    # A point lies at 8i + 4; strictly inside, as FCOS asks.
    points = np.floor((boxes[:, :2] - 4) / 8) * 8 + 12
    inside = (points < boxes[:, 2:]).all(axis=1)
    assert len(boxes) == count
    assert inside.sum() == holding


def test_real_boxes_are_the_extents_of_their_masks(real_data):
    dataset = read(real_data, 'train_v2')
    found = total = 0
    for i in range(0, 512, 16):
        info = dataset.get_data_info(i)
        labels, _ = ndimage.label(np.array(Image.open(info['target_mask_path'])) > 0, np.ones((3, 3)))
        extents = {(s[1].start, s[0].start, s[1].stop, s[0].stop) for s in ndimage.find_objects(labels)}
        boxes = {tuple(map(int, item['bbox'])) for item in info['instances']}
        found += len(boxes & extents)
        total += len(boxes)
    assert found / total > 0.98
