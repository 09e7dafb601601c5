"""The splits of a config: one root key that every ``ann_file`` refers to."""
from pathlib import Path

import pytest
from conftest import ROOT
from mmdet.registry import DATASETS
from mmengine.config import Config

from bafenet.devkit import find_split
from bafenet.engine.config_changes import apply_settings
from bafenet.engine.options import load_config, parse_config
from bafenet.errors import InputError

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
R18 = str(ROOT / 'configs/bafenet/bafenet_r18_densesirst.py')


def files(cfg):
    return [cfg[loader].dataset.ann_file for loader in LOADERS]


@pytest.mark.parametrize(('name', 'parts'), [
    ('bafenet/bafenet_r18_densesirst.py', ('train', 'val', 'test')),
    ('bafenet/bafenet_r18_paper_densesirst.py', ('trainval', 'test', 'test')),
    ('bafenet/bafenet_hr_tiny_densesirst.py', ('train', 'val', 'test')),
    ('demo/bafenet_r18_demo_bagcp.py', ('train', 'val', 'test')),
])
def test_one_key_selects_them_in_every_loader(name, parts):
    config = str(ROOT / 'configs' / name)
    for splits, cfg in (('v2', load_config(config)), ('rec', load_config(config, splits='rec')),
                        ('rec', load_config(config, ['splits=rec'])),
                        ('rec', load_config(config, settings=[('a row', {'splits': 'rec'})])),
                        ('2024', load_config(config, ['splits=2024'])),
                        ('rec', load_config(config, ['splits=rec'], splits='rec'))):
        assert files(cfg) == [f'Splits/{part}_{splits}.txt' for part in parts] and cfg.splits == splits
        # As a checkpoint keeps it.
        assert parse_config(cfg.pretty_text, 'a.pth').splits == splits
    # These come with the package.
    assert all(Path(find_split('nowhere', file)).is_file() for file in files(load_config(config, splits='rec')))


def test_files_of_the_users_own_stay_as_they_are(tmp_path):
    file = tmp_path / 'own.py'
    file.write_text(f"_base_ = '{R18}'\nsplits = 'mine'\n"
                    "train_dataloader = dict(dataset=dict(ann_file='lists/a_v2.txt'))\n"
                    "test_dataloader = dict(dataset=dict(_delete_=True, type='ConcatDataset', datasets=["
                    "dict(type='DenseSIRSTDataset', ann_file=f'Splits/{part}_{{splits}}.txt') "
                    "for part in ('a', 'b')]))\n")
    cfg = load_config(str(file))
    assert cfg.train_dataloader.dataset.ann_file == 'lists/a_v2.txt'
    assert cfg.val_dataloader.dataset.ann_file == 'Splits/val_mine.txt'
    assert [part.ann_file for part in cfg.test_dataloader.dataset.datasets] == [
        'Splits/a_mine.txt', 'Splits/b_mine.txt']


@pytest.mark.parametrize('splits', ['a/b', '../v2', '', '.hidden', 'a b', 'a\0', '%', 'a\\b', '-v2'])
def test_what_stands_in_no_file_name_is_one_line(splits):
    for given in (dict(splits=splits), dict(options=[f'splits={splits}'])):
        with pytest.raises(InputError, match='must be a text that can stand in the name of a file') as caught:
            load_config(R18, **given)
        assert str(caught.value).isprintable()


def test_splits_that_change_nothing_or_contradict_are_refused(tmp_path):
    file = tmp_path / 'own.py'
    own = ''.join(f"{loader} = dict(dataset=dict(ann_file='mine.txt'))\n" for loader in LOADERS)
    file.write_text(f"_base_ = '{R18}'\n{own}")
    load_config(str(file))
    for given in (dict(splits='rec'), dict(options=['splits=rec'])):
        with pytest.raises(InputError, match="splits='rec' changes nothing: no ann_file has {splits}"):
            load_config(str(file), **given)
    with pytest.raises(InputError, match='--splits rec: splits=v2 is given too'):
        load_config(R18, ['splits=v2'], splits='rec')
    file.write_text("train_dataloader = dict(dataset=dict(type='DenseSIRSTDataset', ann_file='a_{splits}.txt'))\n")
    with pytest.raises(InputError, match='the config has no splits; add splits'):
        load_config(str(file), needs=())


def test_settings_of_a_loaded_config_are_filled_too():
    cfg = load_config(R18, splits='rec')
    apply_settings(cfg, {'train_dataloader.dataset.ann_file': 'Splits/trainval_{splits}.txt'}, 'a row')
    assert files(cfg)[0] == 'Splits/trainval_rec.txt'
    with pytest.raises(InputError, match='changes nothing'):
        apply_settings(cfg, {'splits': 'v2'}, 'a row')


def test_a_dataset_of_a_config_that_was_read_otherwise_says_what_to_do(devkit):
    cfg = Config.fromfile(R18, import_custom_modules=False)
    with pytest.raises(InputError, match=r'\{splits\} stands for splits of the config; read it by'):
        DATASETS.build({**cfg.test_dataloader.dataset, 'data_root': str(devkit)})
