"""The target library that BAG-CP builds of its dataset: once, of these images and settings, kept beside them."""
import os

import numpy as np

from bafenet.datasets import DenseSIRSTDataset
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

    monkeypatch.setattr('bafenet.datasets.transforms.bag_copy_paste.save_library', refuse)
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
