"""No test on training images: they are known by the bytes of their files, through any wrapper of the dataset."""
import hashlib
import json
import shutil
from pathlib import Path

import cv2
import pytest
import torch
from conftest import ROOT
from mmdet.registry import DATASETS

from bafenet.engine import test, train
from bafenet.engine.training_images import KEY, Images
from bafenet.errors import InputError

CONFIG = str(ROOT / 'configs/demo/bafenet_r18_demo.py')


def options(root: Path, **more) -> list:
    """Settings of a run of one epoch on the tiny devkit."""
    settings = {'train_cfg.max_epochs': 1, 'model.test_cfg.score_thr': 0.001}
    for loader in ('train', 'val', 'test'):
        settings.update({f'{loader}_dataloader.{key}': value for key, value in {
            'num_workers': 0, 'persistent_workers': False, 'dataset.data_root': root,
            'dataset.pipeline.Resize.scale': '(64,64)'}.items()})
    return [f'{key}={value}' for key, value in {**settings, **more}.items()]


@pytest.fixture(scope='module')
def trained(devkit, tmp_path_factory) -> Path:
    """A checkpoint trained on the tiny devkit's eight training images."""
    folder = tmp_path_factory.mktemp('trained')
    train.train(CONFIG, work_dir=str(folder), cfg_options=options(devkit))
    return folder / 'epoch_1.pth'


def test_a_checkpoint_knows_its_training_images(trained, devkit):
    noted = torch.load(trained, weights_only=True)['meta'][KEY]
    names = (devkit / 'Splits/train_v2.txt').read_text().split()
    assert noted['names'] == sorted(names)
    for name, digest in zip(noted['names'], noted['sha256'], strict=True):
        expected = hashlib.sha256((devkit / f'PNGImages/{name}.png').read_bytes()).digest()[:8]
        assert bytes(digest.tolist()) == expected


def test_a_test_on_training_images_is_refused(trained, devkit, tmp_path):
    wrong = options(devkit, **{'test_dataloader.dataset.ann_file': 'Splits/train_v2.txt'})
    with pytest.raises(InputError, match='8 of the 8 images .* tested on were trained on.*--allow-training-images'):
        test.test(CONFIG, str(trained), work_dir=str(tmp_path), cfg_options=wrong)
    mixed = options(devkit, **{'test_dataloader.dataset.ann_file': 'Splits/trainval_v2.txt'})
    with pytest.raises(InputError, match='8 of the 10 images'):
        test.test(CONFIG, str(trained), work_dir=str(tmp_path), cfg_options=mixed)


def test_where_it_is_allowed_table_and_file_say_so(trained, devkit, tmp_path, capsys):
    wrong = options(devkit, **{'test_dataloader.dataset.ann_file': 'Splits/trainval_v2.txt'})
    test.test(CONFIG, str(trained), work_dir=str(tmp_path), cfg_options=wrong, out=str(tmp_path / 'out.json'),
             allow_training_images=True)
    assert json.loads((tmp_path / 'out.json').read_text())['training_images'] == 8
    assert '8 images that were trained on' in ' '.join(capsys.readouterr().out.split())
    clean = tmp_path / 'clean.json'
    test.test(CONFIG, str(trained), work_dir=str(tmp_path), cfg_options=options(devkit), out=str(clean))
    assert json.loads(clean.read_text())['training_images'] == 0


def test_equal_bytes_under_another_name_are_found(trained, copy, tmp_path):
    for folder, suffix in (('PNGImages', '.png'), ('SkySeg/PaletteMask', '.png'), ('SIRST/BBox', '.xml')):
        shutil.copy(copy / folder / f'scene_0{suffix}', copy / folder / f'scene_10{suffix}')
    with pytest.raises(InputError, match='1 of the 2 images that are tested on were trained on .scene_10'):
        test.test(CONFIG, str(trained), work_dir=str(tmp_path), cfg_options=options(copy))


def test_an_equal_name_with_other_bytes_is_a_warning(trained, copy, tmp_path):
    for folder, suffix in (('PNGImages', '.png'), ('SkySeg/PaletteMask', '.png'), ('SIRST/BBox', '.xml')):
        shutil.copy(copy / folder / f'scene_10{suffix}', copy / folder / f'scene_0{suffix}')
    (copy / 'Splits/test_v2.txt').write_text('scene_0\nscene_11\n')
    test.test(CONFIG, str(trained), work_dir=str(tmp_path), cfg_options=options(copy))
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert '1 images that are tested on have the name of an image that' in log
    assert f'{trained} (Splits/train_v2.txt of ' in log


def resumed(checkpoint: Path, root: Path, work_dir: Path, **more) -> str:
    train.train(CONFIG, work_dir=str(work_dir), resume=str(checkpoint),
                cfg_options=options(root, **{'train_cfg.max_epochs': 2, **more}))
    return next(work_dir.glob('*/*.log')).read_text()


def test_a_run_is_not_resumed_on_other_images(trained, copy, tmp_path):
    """Other frames of the same devkit, and frames of the same names with other content."""
    other = {'train_dataloader.batch_size': 5, 'train_dataloader.dataset.ann_file': 'Splits/trainval_v2.txt',
             'val_dataloader.dataset.ann_file': 'Splits/test_v2.txt'}
    with pytest.raises(InputError, match='2 of the 10 images to train on are not those of the run.*scene_8, ….*--from'):
        resumed(trained, copy, tmp_path / 'a', **other)
    for number in range(5):
        change(copy / f'PNGImages/scene_{number}.png')
    with pytest.raises(InputError, match=r'5 of the 8 images to train on are not those of the run .*\(scene_0, …\)'):
        resumed(trained, copy, tmp_path / 'b')
    assert not list(tmp_path.glob('?/*.pth'))


@pytest.mark.faults
def test_a_run_is_resumed_on_its_devkit_elsewhere_and_with_a_repaired_frame(trained, copy, tmp_path):
    assert 'are not those of the run' not in resumed(trained, copy, tmp_path / 'moved')
    change(copy / 'PNGImages/scene_0.png')
    log = resumed(trained, copy, tmp_path / 'repaired')
    assert '1 of the 8 images to train on are not those of the run that is resumed (scene_0): their files' in log


def change(file: Path) -> None:
    """Write an image with one other pixel."""
    image = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    image[0, 0] ^= 1
    cv2.imwrite(str(file), image)


@pytest.mark.parametrize('here', [True, False], ids=['training files here', 'training files elsewhere'])
def test_for_a_checkpoint_without_hashes_its_split_files_are_compared(trained, devkit, copy, tmp_path, here):
    checkpoint = torch.load(trained, weights_only=True)
    del checkpoint['meta'][KEY]
    if not here:
        checkpoint['meta']['cfg'] = checkpoint['meta']['cfg'].replace(str(devkit), '/nowhere')
    torch.save(checkpoint, tmp_path / 'old.pth')
    wrong = options(copy, **{'test_dataloader.dataset.ann_file': 'Splits/trainval_v2.txt'})
    with pytest.raises(InputError, match='8 of the 10 images'):
        test.test(CONFIG, str(tmp_path / 'old.pth'), work_dir=str(tmp_path), cfg_options=wrong)
    test.test(CONFIG, str(tmp_path / 'old.pth'), work_dir=str(tmp_path), cfg_options=options(copy))


def test_validation_on_training_images_is_refused_at_the_start(devkit, tmp_path):
    wrong = options(devkit, **{'val_dataloader.dataset.ann_file': 'Splits/train_v2.txt'})
    with pytest.raises(InputError, match='8 of the 8 images that are validated on were trained on'):
        train.train(CONFIG, work_dir=str(tmp_path / 'a'), cfg_options=wrong)
    assert not list((tmp_path / 'a').glob('*.pth'))
    train.train(CONFIG, work_dir=str(tmp_path / 'b'), cfg_options=wrong, allow_training_images=True)
    assert (tmp_path / 'b' / 'epoch_1.pth').is_file()


def test_what_a_fine_tuned_network_was_trained_on_before_counts(trained, devkit, tmp_path):
    other = options(devkit, load_from=trained, **{'train_dataloader.dataset.ann_file': 'Splits/val_v2.txt',
                                                  'val_dataloader.dataset.ann_file': 'Splits/test_v2.txt'})
    train.train(CONFIG, work_dir=str(tmp_path), cfg_options=other)
    assert len(torch.load(tmp_path / 'epoch_1.pth', weights_only=True)['meta'][KEY]['names']) == 10


@pytest.mark.parametrize('noted', [True, False], ids=['hashes', 'splits alone'])
@pytest.mark.parametrize('way', ['load_from', 'init_cfg'])
def test_what_weights_to_start_from_were_trained_on_counts(trained, devkit, tmp_path, way, noted):
    checkpoint = torch.load(trained, weights_only=True)
    if not noted:
        del checkpoint['meta'][KEY]
    torch.save(checkpoint, tmp_path / 'start.pth')
    start = {'load_from': tmp_path / 'start.pth'} if way == 'load_from' else {
        'model.init_cfg.type': 'Pretrained', 'model.init_cfg.checkpoint': tmp_path / 'start.pth'}
    there = {'train_dataloader.dataset.ann_file': 'Splits/val_v2.txt',
             'val_dataloader.dataset.ann_file': 'Splits/train_v2.txt'}
    with pytest.raises(InputError, match='8 of the 8 images that are validated on were trained on'):
        train.train(CONFIG, work_dir=str(tmp_path / 'run'), cfg_options=options(devkit, **start, **there))


def test_a_checkpoint_whose_training_images_cannot_be_known_says_so(trained, devkit, tmp_path):
    checkpoint = torch.load(trained, weights_only=True)
    del checkpoint['meta'][KEY]
    checkpoint['meta']['cfg'] = checkpoint['meta']['cfg'].replace('Splits/train_v2.txt', 'Splits/absent.txt')
    torch.save(checkpoint, tmp_path / 'old.pth')
    test.test(CONFIG, str(tmp_path / 'old.pth'), work_dir=str(tmp_path), cfg_options=options(devkit))
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert 'is not known (it holds no hashes, and its split Splits/absent.txt is not here)' in log


def test_images_are_found_through_wrappers(devkit):
    def part(split):
        return dict(type='DenseSIRSTDataset', data_root=str(devkit), ann_file=f'Splits/{split}_v2.txt', pipeline=[])

    wrapped = dict(type='RepeatDataset', times=2, dataset=dict(
        type='ConcatDataset', datasets=[part('train'), dict(type='RepeatDataset', times=3, dataset=part('val'))]))
    images = Images.of(DATASETS.build(wrapped))
    assert set(images.hashes) == {f'scene_{i}' for i in range(10)} and len(images) == 10
    assert Images.from_meta(images.to_meta()) == images
