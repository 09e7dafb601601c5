"""--from: what becomes of a config; runs on devkits of users from end to end, resumed, tested and predicted with."""
import json

import pytest
import torch
from conftest import ROOT, load_tool
from mmengine.logging import MMLogger
from own_devkits import own_devkit

from bafenet.engine import test, train
from bafenet.engine.checkpoints import load_from_local
from bafenet.engine.fine_tune import fine_tune_settings, require_same_network
from bafenet.engine.options import load_config
from bafenet.engine.own_training import OwnTraining
from bafenet.errors import InputError

HR = str(ROOT / 'configs/bafenet/bafenet_hr_tiny_densesirst.py')
R18 = str(ROOT / 'configs/bafenet/bafenet_r18_densesirst.py')
NAMES = [f'clip {number // 2}.mp4_{number}' for number in range(12)]
SMALL = ['train_dataloader.num_workers=0', 'val_dataloader.num_workers=0', 'test_dataloader.num_workers=0',
         'train_dataloader.dataset.pipeline.BalancedCrop.size=(64,64)']


@pytest.fixture(autouse=True)
def _loggers():
    yield
    MMLogger._instance_dict.clear()


def tuned(config, iterations, epochs=None):
    return load_config(config, settings=[('--from', lambda cfg: fine_tune_settings(cfg, 'w.pth', iterations, epochs))])


@pytest.mark.parametrize(('iterations', 'epochs', 'late', 'interval'), [
    (1, 60, 54, 6), (12, 33, 30, 4), (40, 10, 9, 1), (125, 3, 2, 1), (2000, 3, 2, 1)])
def test_epochs_by_the_number_of_frames(iterations, epochs, late, interval):
    cfg = tuned(HR, iterations)
    assert (cfg.train_cfg.max_epochs, cfg.train_cfg.val_interval) == (epochs, interval) and cfg.load_from == 'w.pth'
    assert cfg.train_dataloader.dataset.pipeline[2].late_epoch == late
    *warm_up, cosine = cfg.param_scheduler
    assert (cosine.type, cosine.begin, cosine.end, cosine.T_max) == ('CosineAnnealingLR', 0, epochs, epochs)
    assert [one.end for one in warm_up] == [min(50, epochs * iterations // 10)]
    assert cfg.optim_wrapper.optimizer.lr == 2e-3 / 4


def test_a_config_with_pretrained_weights_asks_for_none():
    cfg = tuned(R18, 10, 4)
    assert cfg.model.backbone.init_cfg is None and cfg.optim_wrapper.optimizer.lr == 0.25
    assert [one.type for one in cfg.param_scheduler] == ['LinearLR', 'CosineAnnealingLR']
    hook = cfg.default_hooks.checkpoint
    assert hook.save_best == 'densesirst/mAP_12' and hook.later_of_equals


def test_weights_of_another_network_are_refused(tmp_path):
    assert require_same_network(load_config(HR), HR, 'bafenet_hr_tiny') == []
    for config in (R18, str(ROOT / 'configs/bafenet/bafenet_hr_small_densesirst.py')):
        with pytest.raises(InputError, match='--from bafenet_hr_tiny: its weights are not those of the network of'):
            require_same_network(load_config(config), config, 'bafenet_hr_tiny')
    with pytest.raises(InputError, match='does not exist'):
        require_same_network(load_config(HR), HR, str(tmp_path / 'none.pth'))
    other = load_config(HR, ['model.bbox_head.quality=centerness', 'model.data_preprocessor.std=[1,1,1]'])
    line, = require_same_network(other, HR, 'bafenet_hr_tiny')
    assert 'model.bbox_head.quality: ' in line and 'model.data_preprocessor.std' in line


def test_several_datasets_have_epochs_by_their_frames_and_a_class_layer_of_their_classes(tmp_path):
    roots = [own_devkit(tmp_path / name, names, ['bird', 'drone'], splits={'train_v2': names})
             for name, names in (('first', NAMES), ('second', NAMES[:6]))]
    metainfo = dict(classes=('bird', 'drone'))
    config = tmp_path / 'several.py'
    config.write_text(f'''
_base_ = {HR!r}
parts = [dict(_base_.train_dataloader.dataset, data_root=root, sky='none', metainfo={metainfo!r})
         for root in {list(map(str, roots))!r}]
train_dataloader = dict(dataset=dict(_delete_=True, type='ConcatDataset', datasets=[
    parts[0], dict(type='RepeatDataset', times=2, dataset=parts[1])]))
model = dict(bbox_head=dict(num_classes=2))
''')
    own = OwnTraining.of(None, 'bafenet_hr_tiny', None, None, False, None, 'none')
    cfg = load_config(str(config), settings=own.settings())
    # 24 samples in 6 batches of 4.
    assert cfg.train_dataloader.batch_size == 4 and cfg.train_cfg.max_epochs == 60
    assert 'schedule: 60 epochs of about 6 iterations, 360 in all' in own.lines(cfg)[-1]
    assert require_same_network(cfg, str(config), 'bafenet_hr_tiny') == []


def test_options_that_contradict_each_other():
    for kwargs, message in ((dict(weights='bafenet_hr_tiny', scratch=True), '--from bafenet_hr_tiny and --scratch'),
                            (dict(epochs=3, cfg_options=['train_cfg.max_epochs=4']), '--epochs 3 and --cfg-options')):
        with pytest.raises(InputError, match=message):
            train.train(HR, **kwargs)


def test_fine_tuned_on_a_devkit_without_sky_or_splits(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    own_devkit(tmp_path / 'my kit', NAMES, ['drone', 'bird'], suffix='.jpg')
    call = dict(data='my kit', weights='bafenet_hr_tiny', epochs=2, cfg_options=SMALL)
    train.train(HR, **call, resume='auto')
    run, said = tmp_path / 'work_dirs/bafenet_hr_tiny_densesirst_my_kit_tuned', capsys.readouterr().out
    for line in ('data: my kit: train ', 'classes: bird (18), drone (18); sky maps: none', 'weights: bafenet_hr_tiny',
                 'schedule: 2 epochs of about 3 iterations, 6 in all; validated every 1; learning rate 0.0005',
                 'by recording',
                 'a new run begins from bafenet_hr_tiny'):
        assert line in said
    lists = {part: (run / f'splits/{part}.txt').read_text() for part in ('train', 'val')}
    content = load_from_local(run / 'epoch_2.pth', map_location='cpu')
    assert content['state_dict']['bbox_head.conv_cls.weight'].shape[0] == 2
    assert content['meta']['dataset_meta']['classes'] == ['bird', 'drone']
    assert 'class layer renewed for bird, drone' in next(run.rglob('*.log')).read_text()
    MMLogger._instance_dict.clear()

    # The same command with --resume goes on, with the same lists.
    train.train(HR, **{**call, 'epochs': 3}, resume='auto')
    assert (run / 'epoch_3.pth').is_file()
    said = capsys.readouterr().out
    assert 'weights: bafenet_hr_tiny' not in said and f'resumed: {run.relative_to(tmp_path)}' in said
    assert all('as epoch 0' in log or 'resumed epoch: 2' in log
               for log in (file.read_text() for file in run.rglob('*.log')))
    assert lists == {part: (run / f'splits/{part}.txt').read_text() for part in ('train', 'val')}
    MMLogger._instance_dict.clear()

    # Tested by what the work dir holds, with and without --data.
    dumped = str(run / 'bafenet_hr_tiny_densesirst.py')
    results = []
    for data in (None, 'my kit'):
        test.test(dumped, str(run), work_dir='tested', out='out.json', data=data)
        results.append(json.loads((tmp_path / 'out.json').read_text()))
        MMLogger._instance_dict.clear()
    assert results[0]['metrics'] == results[1]['metrics']
    assert [image['img_id'] for image in results[0]['images']] == lists['val'].split('\n')[:-1] if (
        'img_id' in results[0]['images'][0]) else len(results[0]['images']) == lists['val'].count('\n')
    capsys.readouterr()
    assert load_tool('predict.py').main(['my kit/PNGImages', '--weights', str(run), '--score', '0']) == 0
    assert '(bird ' in capsys.readouterr().out


@pytest.mark.faults
def test_the_layer_of_one_class_keeps_its_weights_and_batch_norm_its_statistics(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own_devkit(tmp_path / 'kit', NAMES, ['drone'], sky=NAMES[:5],
               splits=dict(train_v2=NAMES[:8], val_v2=NAMES[8:10], test_v2=NAMES[10:]))
    train.train(HR, data='kit', weights='bafenet_hr_tiny', epochs=1, work_dir='run',
          cfg_options=[*SMALL, 'optim_wrapper.optimizer.lr=1e-12'])
    before = load_from_local('bafenet_hr_tiny', map_location='cpu')['state_dict']
    after = load_from_local('run/epoch_1.pth', map_location='cpu')['state_dict']
    assert before.keys() == after.keys()
    for name, value in before.items():
        if not name.endswith(('running_mean', 'running_var', 'num_batches_tracked')):
            assert torch.allclose(value.float(), after[name], atol=1e-6), name
    assert not (tmp_path / 'run/splits').exists()
    MMLogger._instance_dict.clear()
    test.test(HR, 'run', data='kit', work_dir='tested', out='out.json')
    assert json.loads((tmp_path / 'out.json').read_text())['split'] == 'Splits/test_v2.txt'


@pytest.mark.faults
def test_classes_that_the_weights_do_not_know_cannot_be_tested(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    own_devkit(tmp_path / 'two', NAMES, ['drone', 'bird'])
    with pytest.raises(InputError, match='has the classes bird, drone, and bafenet_hr_tiny knows Target: fine-tune'):
        test.test(HR, 'bafenet_hr_tiny', data='two', work_dir='tested')
    own_devkit(tmp_path / 'one', NAMES[:2], ['drone'])
    test.test(HR, 'bafenet_hr_tiny', data='one', work_dir='tested')
    said = capsys.readouterr().out
    assert 'drone is tested as the only class of the weights, Target' in said and 'all frames' in said
