"""Training on both splits and from scratch: what changes of a config, and runs of such from end to end."""
import json

import pytest
import torch
from conftest import ROOT
from mmengine.logging import MMLogger

from bafenet.datasets.parts import loader_parts
from bafenet.engine import test, train
from bafenet.engine.options import load_config
from bafenet.engine.train_variants import scratch_settings, trainval_settings
from bafenet.errors import InputError

HR = ['tiny', 'small', 'base']
PRETRAINED = ['bafenet/bafenet_r18', 'bafenet/bafenet_r50', 'bafenet/bafenet_dynamic_r18',
              'bafenet/bafenet_dynamic_r50', 'baselines/fcos_r18', 'baselines/fcos_r50']
DEMO = str(ROOT / 'configs/demo/bafenet_r18_demo.py')


def path_of(name):
    return str(ROOT / 'configs' / f'{name}_densesirst.py')


@pytest.mark.parametrize('name', [*(f'bafenet/bafenet_hr_{size}' for size in HR), 'bafenet/bafenet_r50'])
@pytest.mark.parametrize('splits', ['v2', 'rec'])
def test_trainval_trains_on_both_and_picks_nothing(name, splits):
    expected = load_config(path_of(name), splits=splits)
    expected.train_dataloader.dataset.ann_file = f'Splits/trainval_{splits}.txt'
    expected.val_dataloader = expected.val_cfg = expected.val_evaluator = None
    expected.default_hooks.checkpoint.update(save_best=None, rule=None)
    cfg = load_config(path_of(name), splits=splits, settings=[('--trainval', trainval_settings)])
    assert cfg.to_dict() == expected.to_dict()
    assert cfg.test_dataloader.dataset.ann_file == f'Splits/test_{splits}.txt'


@pytest.mark.parametrize('name', PRETRAINED)
def test_scratch_starts_from_random_weights_and_trains_batch_norm(name):
    expected = load_config(path_of(name))
    expected.model.backbone.update(init_cfg=None, norm_eval=False)
    expected.model.backbone.norm_cfg.requires_grad = True
    cfg = load_config(path_of(name), settings=[('--scratch', scratch_settings)])
    assert cfg.to_dict() == expected.to_dict()
    assert cfg.model.backbone.norm_cfg.type == 'BN'


def test_what_stands_for_nothing_is_refused(tmp_path):
    for config in (DEMO, path_of('bafenet/bafenet_hr_tiny')):
        with pytest.raises(InputError, match='--scratch: .* starts from no pretrained weights'):
            load_config(config, settings=[('--scratch', scratch_settings)])
    file = tmp_path / 'own.py'
    file.write_text(f"_base_ = {DEMO!r}\ntrain_dataloader = dict(dataset=dict(_delete_=True, type='RepeatDataset', "
                    "times=2, dataset=dict(type='DenseSIRSTDataset')))\n")
    with pytest.raises(InputError, match='--trainval: train_dataloader.dataset has no ann_file'):
        load_config(str(file), settings=[('--trainval', trainval_settings)])


def test_trainval_changes_every_dataset_below_a_wrapper(tmp_path):
    file = tmp_path / 'own.py'
    file.write_text(f"_base_ = {DEMO!r}\npart = _base_.train_dataloader.dataset\n"
                    "train_dataloader = dict(dataset=dict(_delete_=True, type='ConcatDataset', datasets=[part, "
                    "dict(type='RepeatDataset', times=2, dataset=dict(part, ann_file='more/train_rec.txt'))]))\n")
    parts = loader_parts(load_config(str(file), settings=[('--trainval', trainval_settings)]), 'train')
    assert [part.settings.ann_file for part in parts] == ['Splits/trainval_v2.txt', 'more/trainval_rec.txt']


def test_an_option_has_the_last_word():
    cfg = load_config(path_of('bafenet/bafenet_r18'), ['model.backbone.norm_eval=True', 'train_cfg.max_epochs=3'],
                      settings=[('--scratch', scratch_settings), ('--trainval', trainval_settings)])
    assert cfg.model.backbone.norm_eval and cfg.model.backbone.init_cfg is None and cfg.val_cfg is None
    with pytest.raises(InputError, match="val_dataloader has no 'batch_size'"):
        load_config(DEMO, ['val_dataloader.batch_size=2'], settings=[('--trainval', trainval_settings)])


@pytest.mark.parametrize(('train_file', 'expected'), [
    ('lists/train_a.txt', 'lists/trainval_a.txt'), ('/there/train_{splits}.txt', '/there/trainval_v2.txt'),
    ('Splits/trainval_{splits}.txt', 'Splits/trainval_v2.txt'), ('mine_train.txt', None), ('train.txt', None)])
def test_trainval_is_the_list_beside_that_of_train(train_file, expected):
    own = ('here', {'train_dataloader.dataset.ann_file': train_file})
    if expected is None:
        with pytest.raises(InputError, match=f"ann_file='{train_file}' is no train_NAME"):
            load_config(DEMO, settings=[own, ('--trainval', trainval_settings)])
    else:
        cfg = load_config(DEMO, settings=[own, ('--trainval', trainval_settings)])
        assert cfg.train_dataloader.dataset.ann_file == expected and cfg.val_dataloader is None
        # Twice changes nothing, and is refused.
        with pytest.raises(InputError, match='validates on nothing already'):
            trainval_settings(cfg)


@pytest.fixture
def config(copy, tmp_path):
    """A pretrained network on the tiny devkit, whose splits are there a second time by another name."""
    for file in list((copy / 'Splits').glob('*_v2.txt')):
        (copy / 'Splits' / file.name.replace('v2', 'again')).write_text(file.read_text())
    file = tmp_path / 'own.py'
    loader = f'num_workers=0, persistent_workers=False, batch_size=2, dataset=dict(data_root={str(copy)!r}, pipeline='
    file.write_text(f"""
_base_ = {DEMO!r}
from bafenet.engine.pipeline_steps import change_step
train, test = (change_step(steps, 'Resize', scale=(64, 64)) for steps in (_base_.train_pipeline, _base_.test_pipeline))
train_dataloader = dict({loader}train))
val_dataloader = dict({loader}test))
test_dataloader = dict({loader}test))
train_cfg = dict(max_epochs=1, val_interval=1)
model = dict(backbone=dict(norm_cfg=dict(requires_grad=False), norm_eval=True,
                           init_cfg=dict(_delete_=True, type='Pretrained', checkpoint='absent.pth')))
""")
    return str(file)


def test_a_run_of_both_is_tested_with_the_plain_config(config, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    train.train(config, splits='again', trainval=True, scratch=True)
    folder = tmp_path / 'work_dirs' / 'own_scratch_trainval_again'
    assert not list(folder.glob('best_*'))
    checkpoint = torch.load(folder / 'epoch_1.pth')
    assert "splits = 'again'" in checkpoint['meta']['cfg'] and len(checkpoint['meta']['training_images']['names']) == 10
    assert any(name.endswith('running_mean') and value.abs().max() > 0
               for name, value in checkpoint['state_dict'].items() if 'backbone' in name)
    MMLogger.get_instance('variants')
    capsys.readouterr()
    test.test(config, str(folder), work_dir=str(tmp_path / 'test'), out=str(tmp_path / 'out.json'), splits='again')
    printed = capsys.readouterr()
    assert 'picks no best checkpoint; its last one is taken, epoch_1.pth' in printed.err
    # The same network: how it was trained changes nothing about its test.
    assert 'other settings' not in printed.out + printed.err
    assert 'splits: again' in printed.out
    results = json.loads((tmp_path / 'out.json').read_text())
    assert (results['splits'], results['split'], results['training_images']) == ('again', 'Splits/test_again.txt', 0)
    # What it was trained on stays refused, by whatever name the split goes.
    with pytest.raises(InputError, match='2 of the 2 images that are tested on were trained on'):
        test.test(config, str(folder / 'epoch_1.pth'), work_dir=str(tmp_path / 'test'),
                 cfg_options=['test_dataloader.dataset.ann_file=Splits/val_v2.txt'])
