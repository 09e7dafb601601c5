"""The target library that BAG-CP builds of its dataset: once, of these images and settings, kept beside them."""
import os
import shutil

import numpy as np
import pytest
from conftest import voc_xml
from PIL import Image

from bafenet.datasets import BAGCopyPaste, DenseSIRSTDataset
from bafenet.errors import InputError
from bafenet.synthesis.library import save_library


def read(root, split='train_v2', indices=None, paste=None):
    pipeline = [dict(type='LoadInfraredImage'), dict(type='LoadSkyAnnotations'),
                dict(type='BAGCopyPaste', **(paste or {}))]
    return DenseSIRSTDataset(data_root=str(root), ann_file=f'Splits/{split}.txt', pipeline=pipeline, indices=indices)


def test_the_dataset_builds_its_library_once_from_its_own_split(copy, caplog):
    dataset = read(copy)
    file = copy / 'TargetLibrary/train_v2.npz'
    assert file.is_file()
    # Every target of the scenes is a square of 6 pixels of grey level 220, shrunk to 5.
    library = dataset.pipeline.transforms[-1].library
    assert len(library.sizes) == sum(len(dataset.get_data_info(i)['instances']) for i in range(len(dataset)))
    assert (library.sizes == 5).all() and (library.patches == 220).all()
    stamp = file.stat().st_mtime_ns
    assert np.array_equal(read(copy).pipeline.transforms[-1].library.patches, library.patches)
    assert file.stat().st_mtime_ns == stamp
    assert len(dataset[0]['gt_bboxes']) > 4


def test_splits_of_one_name_in_other_folders_do_not_share_a_library(copy, tmp_path):
    names = (copy / 'Splits/trainval_v2.txt').read_text().split()
    for folder, name in (('a', names[0]), ('b', names[1])):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / 'train_v2.txt').write_text(name)
    libraries = []
    for split in ('Splits', str(tmp_path / 'a'), str(tmp_path / 'b')):
        dataset = DenseSIRSTDataset(data_root=str(copy), ann_file=f'{split}/train_v2.txt', pipeline=[
            dict(type='LoadInfraredImage'), dict(type='LoadSkyAnnotations'), dict(type='BAGCopyPaste')])
        libraries.append(len(dataset.pipeline.transforms[-1].library.sizes))
        assert libraries[-1] == sum(len(dataset.get_data_info(i)['instances']) for i in range(len(dataset)))
    assert libraries == [32, 4, 4] and len(list((copy / 'TargetLibrary').iterdir())) == 3


def test_a_named_library_that_is_absent_is_built_there(copy, tmp_path):
    read(copy, paste=dict(library=str(tmp_path / 'own.npz')))
    assert (tmp_path / 'own.npz').is_file() and not (copy / 'TargetLibrary').exists()


def test_a_dataset_that_cannot_be_written_keeps_it_in_memory(copy, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError(30, os.strerror(30))

    monkeypatch.setattr('bafenet.datasets.transforms.own_library.save_library', refuse)
    assert len(read(copy).pipeline.transforms[-1].library.sizes) > 0
    assert not (copy / 'TargetLibrary').exists()


def count(dataset):
    return sum(len(dataset.get_data_info(i)['instances']) for i in range(len(dataset)))


def size_of(dataset):
    return len(dataset.pipeline.transforms[-1].library.sizes)


def test_a_trial_on_some_images_leaves_the_library_of_all_alone(copy):
    few = read(copy, indices=2)
    assert size_of(few) == count(few)
    every = read(copy)
    assert size_of(every) == count(every) > count(few)
    assert size_of(read(copy, indices=2)) == count(few)
    assert size_of(read(copy, indices=[3, 1])) == count(read(copy, indices=[3, 1]))


def test_a_library_of_other_images_or_settings_is_built_again(copy, caplog):
    file = copy / 'TargetLibrary/train_v2.npz'
    first = read(copy)
    names = (copy / 'Splits/train_v2.txt').read_text().split()
    (copy / 'Splits/train_v2.txt').write_text('\n'.join(names[:3]))
    fewer = read(copy)
    assert size_of(fewer) == count(fewer) < count(first)
    kept = fewer.pipeline.transforms[-1].library.patches
    cut = read(copy, paste=dict(remove_background=True)).pipeline.transforms[-1].library.patches
    assert (cut < kept).any()
    assert np.array_equal(read(copy).pipeline.transforms[-1].library.patches, kept)
    # As versions before this one have written it.
    save_library(file, [np.full((2, 2), 7, np.uint8)], dict(split='train_v2', remove_background=False))
    assert size_of(read(copy)) == count(fewer)


# --- What people have -------------------------------------------------------------------------------------------------


def read_own(root, paste=None, **kwargs):
    pipeline = [dict(type='LoadInfraredImage'), dict(type='LoadSkyAnnotations'),
                dict(type='BAGCopyPaste', **(paste or {}))]
    return DenseSIRSTDataset(data_root=str(root), ann_file='Splits/train_v2.txt', pipeline=pipeline, **kwargs)


@pytest.mark.parametrize(('paste', 'sky'), [(dict(prob=0), 'required'), ({}, 'none'), ({}, 'no 1'),
                                            (dict(truncate_boxes=True), 'none')])
def test_no_library_is_built_where_nothing_is_pasted(copy, paste, sky):
    if sky == 'no 1':
        for file in (copy / 'SkySeg/PaletteMask').glob('*.png'):
            Image.fromarray(np.zeros((64, 64), np.uint8)).save(file)
    dataset = read_own(copy, paste, sky='none' if sky == 'none' else 'required')
    assert dataset.pipeline.transforms[-1].library is None and not (copy / 'TargetLibrary').exists()
    for index in range(len(dataset)):
        assert len(dataset[index]['gt_bboxes']) == len(dataset.get_data_info(index)['instances'])


def test_that_nothing_is_pasted_is_said_of_the_devkit_with_the_option(copy, monkeypatch):
    said = []
    monkeypatch.setattr('bafenet.datasets.transforms.bag_copy_paste.print_log', lambda text, *_: said.append(text))
    read_own(copy, sky='none')
    text, = said
    assert text.startswith(f'BAGCopyPaste pastes nothing into the images of {copy}: ')
    assert '--cfg-options train_dataloader.dataset.pipeline.BAGCopyPaste.background=any' in text


def test_without_a_sky_map_anywhere_is_pasted_where_that_is_asked_for(copy):
    dataset = read_own(copy, dict(background='any'), sky='none')
    assert len(dataset.pipeline.transforms[-1].library.sizes) == 32
    assert len(dataset[0]['gt_bboxes']) > 4


def test_images_without_a_map_are_left_alone_and_others_pasted_into(copy):
    names = (copy / 'Splits/train_v2.txt').read_text().split()
    for name in names[:4]:
        (copy / f'SkySeg/PaletteMask/{name}.png').unlink()
    dataset = read_own(copy, sky='optional')
    more = [len(dataset[index]['gt_bboxes']) - 4 for index in range(8)]
    assert not any(more[:4]) and all(more[4:])


def test_masks_of_some_images_and_boxes_of_the_others(copy):
    names = (copy / 'Splits/train_v2.txt').read_text().split()
    for name in names[:3]:
        (copy / f'SIRST/PaletteMask/{name}.png').unlink()
        # A box of its own, which no mask shows.
        (copy / f'SIRST/BBox/{name}.xml').write_text(voc_xml([(1, 1, 3, 4)]))
    dataset = read_own(copy, dict(max_target_size=9))
    sizes = sorted(map(tuple, dataset.pipeline.transforms[-1].library.sizes.tolist()))
    assert sizes == [(3, 2)] * 3 + [(6, 6)] * 20
    for name in names[:3]:
        shutil.copy(copy / f'SIRST/PaletteMask/{names[5]}.png', copy / f'SIRST/PaletteMask/{name}.png')
    assert len(read_own(copy).pipeline.transforms[-1].library.sizes) == 32  # built again, from masks


def two_classes(root):
    """Birds of 6 pixels of grey level 220, and in each image one drone of 3x3 at 150."""
    for file in (root / 'SIRST/BBox').glob('*.xml'):
        image = np.array(Image.open(root / f'PNGImages/{file.stem}.png'))
        image[60:63, 1:4] = 150
        Image.fromarray(image).save(root / f'PNGImages/{file.stem}.png')
        xml = file.read_text().replace('Target', 'bird') + voc_xml([(1, 60, 4, 63)], 'drone')
        file.write_text(xml.replace('</annotation><annotation>', ''))


def test_pasted_targets_are_of_the_class_that_they_were_cut_from(copy):
    two_classes(copy)
    for _ in range(2):  # built, then read from the file
        dataset = read_own(copy, dict(gaussian=False), metainfo=dict(classes=('drone', 'bird')))
        library = dataset.pipeline.transforms[-1].library
        assert sorted(zip(library.labels.tolist(), library.sizes[:, 0].tolist(), strict=True)) == \
            [(0, 3)] * 8 + [(1, 5)] * 32
        for index in range(8):
            np.random.seed(index)
            sample = dataset[index]
            boxes, labels = sample['gt_bboxes'].tensor.int().numpy()[5:], sample['gt_bboxes_labels'][5:]
            assert len(boxes)
            levels = [sample['img'][y1, x1] for x1, y1, _, _ in boxes]
            assert [{150: 0, 220: 1}[level] for level in levels] == labels.tolist()


def test_a_library_of_other_classes_is_built_again_and_one_without_is_of_the_first(copy, tmp_path):
    two_classes(copy)
    read_own(copy, metainfo=dict(classes=('drone', 'bird')))
    other = read_own(copy, metainfo=dict(classes=('bird', 'drone'))).pipeline.transforms[-1].library
    assert sorted(other.labels.tolist()) == [0] * 32 + [1] * 8
    save_library(tmp_path / 'own.npz', [np.full((2, 2), 7, np.uint8)], {})
    given = read_own(copy, dict(library=str(tmp_path / 'own.npz')), metainfo=dict(classes=('bird', 'drone')))
    assert given.pipeline.transforms[-1].library.labels.tolist() == [0]


@pytest.mark.parametrize('meta', [dict(classes=['a', 'b']), dict(classes='ab', labels=[0]),
                                  dict(classes=['a'], labels=[0, 0]), dict(classes=['a'], labels=[1]),
                                  dict(classes=['a'], labels=[-1]), dict(classes=['a'], labels=['0'])])
def test_labels_that_are_none_are_refused(tmp_path, meta):
    save_library(tmp_path / 'own.npz', [np.full((2, 2), 7, np.uint8)], meta)
    with pytest.raises(InputError, match='own.npz: not a target library .*labels'):
        BAGCopyPaste(library=str(tmp_path / 'own.npz'))


def test_data_without_any_target_say_so(copy):
    shutil.rmtree(copy / 'SIRST/PaletteMask')
    for file in (copy / 'SIRST/BBox').glob('*.xml'):
        file.write_text(voc_xml([]))
    with pytest.raises(InputError, match='no target in 8 images.*prob=0'):
        read_own(copy)
