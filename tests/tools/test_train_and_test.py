"""``tools/train.py`` and ``tools/test.py`` from end to end on a tiny devkit."""
import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
from conftest import ROOT
from mmengine.config import Config

from bafenet.engine import test, train
from bafenet.errors import InputError
from bafenet_command import one_line_errors

METRICS = {'mAP_07', 'mAP_12', 'recall', 'mAP_07_iou75', 'mAP_12_iou75', 'recall_iou75', 'precision', 'f1',
           'score_threshold', 'FPPI_sky', 'FPPI_other', 'sky_iou'}


@pytest.fixture(scope='module')
def config(devkit, tmp_path_factory):
    """The demo's network on the tiny devkit, for two epochs."""
    file = tmp_path_factory.mktemp('configs') / 'tiny.py'
    data = dict(data_root=str(devkit))
    train, test = small_pipeline('train'), small_pipeline('test')
    loader = 'num_workers=0, persistent_workers=False'
    file.write_text(f"""
_base_ = {str(ROOT / 'configs/demo/bafenet_r18_demo.py')!r}
train_dataloader = dict({loader}, batch_size=4, dataset=dict(pipeline={train!r}, **{data!r}))
val_dataloader = dict({loader}, dataset=dict(pipeline={test!r}, **{data!r}))
test_dataloader = dict({loader}, batch_size=1, dataset=dict(pipeline={test!r}, **{data!r}))
train_cfg = dict(max_epochs=2, val_interval=1)
model = dict(test_cfg=dict(score_thr=0.001))
""")
    return str(file)


def small_pipeline(stage):
    cfg = Config.fromfile(ROOT / 'configs/demo/bafenet_r18_demo.py', import_custom_modules=False)
    steps = [step.to_dict() for step in cfg[f'{stage}_dataloader'].dataset.pipeline]
    return [dict(step, scale=(64, 64)) if step['type'] == 'Resize' else step for step in steps]


@pytest.fixture(scope='module')
def trained(config, tmp_path_factory):
    """A work dir after training."""
    work_dir = tmp_path_factory.mktemp('trained')
    train.train(config, work_dir=str(work_dir))
    return work_dir


def weights(work_dir, epoch=2):
    return torch.load(work_dir / f'epoch_{epoch}.pth')['state_dict']


def assert_equal_weights(ours, expected):
    assert ours.keys() == expected.keys()
    assert all(torch.equal(ours[key], expected[key]) for key in expected)


def call(*args, **env):
    return subprocess.run([sys.executable, *args], cwd=ROOT, capture_output=True, text=True, timeout=300,
                          env={**os.environ, 'PYTHONPATH': str(ROOT), **env})


def test_training_leaves_checkpoints_and_logs_what_a_user_looks_for(trained):
    names = {path.name for path in trained.iterdir()}
    assert {'epoch_1.pth', 'epoch_2.pth', 'last_checkpoint', 'tiny.py'} <= names
    assert len([name for name in names if name.startswith('best_densesirst_mAP_12')]) == 1
    records = [json.loads(line) for line in next(trained.glob('*/vis_data/scalars.json')).read_text().splitlines()]
    training = [record for record in records if 'loss' in record]
    assert {'loss', 'loss_cls', 'loss_bbox', 'loss_centerness', 'loss_seg', 'lr', 'time', 'data_time',
            'memory'} <= set(training[0])
    noted = json.loads(next(trained.glob('*/run.json')).read_text())
    assert noted['finished'] is True and noted['seed'] == 0 and noted['seconds'] > 0
    assert noted['config'].endswith('tiny.py') and 'max_epochs=2' in noted['resolved_config']
    log = next(trained.glob('*/*.log')).read_text()
    assert any('eta' in line for line in log.splitlines() if 'Epoch(train)' in line)


@pytest.mark.faults
def test_the_same_seed_gives_the_same_weights_whatever_the_workers(config, trained, tmp_path):
    options = ['train_dataloader.num_workers=2', 'train_dataloader.persistent_workers=True']
    train.train(config, work_dir=str(tmp_path / 'same'), cfg_options=options)
    assert_equal_weights(weights(tmp_path / 'same'), weights(trained))
    train.train(config, work_dir=str(tmp_path / 'other'), seed=5, cfg_options=['train_cfg.max_epochs=1'])
    other, ours = weights(tmp_path / 'other', 1), weights(trained, 1)
    assert not all(torch.equal(other[key], ours[key]) for key in ours)


def test_a_resumed_run_ends_where_an_uninterrupted_one_does(config, trained, tmp_path):
    shutil.copy(trained / 'epoch_1.pth', tmp_path)
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_1.pth'))
    train.train(config, work_dir=str(tmp_path), resume='auto')
    assert_equal_weights(weights(tmp_path), weights(trained))


def test_testing_writes_every_metric_and_detection(config, trained, tmp_path, capsys):
    metrics = test.test(config, str(trained), work_dir=str(tmp_path), out=str(tmp_path / 'out.json'),
                       show_dir=str(tmp_path / 'pictures'))
    results = json.loads((tmp_path / 'out.json').read_text())
    assert results['metrics'] == metrics
    assert {key.removeprefix('densesirst/') for key in metrics} >= METRICS
    assert [image['img_id'] for image in results['images']] == ['scene_10', 'scene_11']
    assert all(len(image['boxes']) == len(image['scores']) for image in results['images'])
    assert sum(len(image['boxes']) for image in results['images']) > 0
    assert {'commit', 'machine', 'seed', 'started', 'seconds', 'resolved_config'} <= set(results)
    overlap = [sum(image['sky_overlap'][i] for image in results['images']) for i in (0, 1)]
    assert overlap[0] / overlap[1] == metrics['densesirst/sky_iou']
    assert [image['shape'] for image in results['images']] == [[64, 64]] * 2
    assert sorted(path.name for path in (tmp_path / 'pictures').iterdir()) == ['scene_10.png', 'scene_11.png']
    assert (tmp_path / 'predictions.png').stat().st_size > 10_000
    assert 'sky IoU' in capsys.readouterr().out


@pytest.mark.parametrize(('metrics', 'score'), [
    ({'f1': 0.7, 'score_threshold': 0.20876}, '0.208'), ({'f1': 0.7, 'score_threshold': 1.0}, '1'),
    ({'f1': 0., 'score_threshold': 1.0}, None), ({'f1': 0., 'precision': 0.}, None), ({}, None)])
def test_the_score_to_predict_with_is_said(metrics, score):
    """Rounded down, so that the detection of that score is among those that are kept."""
    said = ''.join(test._score_lines({f'densesirst/{key}': value for key, value in metrics.items()}))
    assert f'--score {score} gives' in said if score else not said


@pytest.mark.faults
def test_two_processes_give_the_metrics_of_one(config, trained, tmp_path):
    run = call('-m', 'torch.distributed.run', '--nproc_per_node=2', '--standalone', 'tools/test.py', config,
               str(trained), '--launcher', 'pytorch', '--work-dir', str(tmp_path / 'two'),
               '--out', str(tmp_path / 'two.json'))
    assert run.returncode == 0, run.stderr
    test.test(config, str(trained), work_dir=str(tmp_path / 'one'), out=str(tmp_path / 'one.json'))
    one, two = (json.loads((tmp_path / name).read_text()) for name in ('one.json', 'two.json'))
    assert one['metrics'] == pytest.approx(two['metrics'])
    assert [image['img_id'] for image in one['images']] == [image['img_id'] for image in two['images']]


@pytest.mark.faults
def test_two_processes_train(config, tmp_path):
    run = call('-m', 'torch.distributed.run', '--nproc_per_node=2', '--standalone', 'tools/train.py', config,
               '--launcher', 'pytorch', '--work-dir', str(tmp_path), '--cfg-options', 'train_cfg.max_epochs=1',
               'train_dataloader.batch_size=2')
    assert run.returncode == 0, run.stderr
    assert (tmp_path / 'epoch_1.pth').is_file()


@pytest.mark.parametrize(('tool', 'args', 'message'), [
    ('train', ['configs/absent.py'], 'configs/absent.py: no such config'),
    ('train', ['CONFIG', '--cfg-options', 'model.backbone.dept=18'], 'did you mean model.backbone.depth'),
    ('test', ['CONFIG', 'absent.pth'], 'absent.pth'),
])
@pytest.mark.faults
def test_bad_input_is_one_line_and_exit_status_2(config, tmp_path, tool, args, message):
    args = [config if arg == 'CONFIG' else arg for arg in args]
    run = call(f'tools/{tool}.py', *args, '--work-dir', str(tmp_path))
    assert run.returncode == 2
    errors = [line for line in run.stderr.splitlines() if line.startswith('error: ')]
    assert len(errors) == 1 and message in errors[0] and 'Traceback' not in run.stderr


def test_a_work_dir_that_no_checkpoint_can_be_written_to_is_refused_before_the_first_epoch(config, tmp_path):
    with pytest.raises(InputError, match=r'--work-dir .*run\\udcff: the name is not UTF-8'):
        train.train(config, work_dir=f'{tmp_path}/run\udcff')
    assert not any(tmp_path.iterdir())


def test_what_a_command_line_can_get_wrong(config, trained, devkit, tmp_path):
    work_dir = str(tmp_path)
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match='BFloat16OptimWrapper'):
            train.train(config, work_dir=work_dir, cfg_options=['optim_wrapper.type=AmpOptimWrapper'])
    with pytest.raises(InputError, match='does not fit the network: it has weights of .*conv_seg.* of the head'):
        test.test(str(ROOT / 'configs/baselines/fcos_r18_densesirst.py'), str(trained), work_dir=work_dir,
                 cfg_options=[f'test_dataloader.dataset.data_root={devkit}'])
    with pytest.raises(InputError, match=r'must end in \.json'):
        test.test(config, str(trained), work_dir=work_dir, out='metrics.pkl')
    with pytest.raises(InputError, match=r'expected one best_\*\.pth'):
        test.test(config, work_dir, work_dir=work_dir)
    with pytest.raises(InputError, match='no such split'):
        train.train(config, work_dir=work_dir, cfg_options=['train_dataloader.dataset.ann_file=Splits/absent.txt'])
    with pytest.raises(InputError, match='--seed'):
        train.train(config, work_dir=work_dir, seed=-1)


def test_an_error_in_a_worker_is_one_line_too(config, devkit, tmp_path, capsys):
    root = shutil.copytree(devkit, tmp_path / 'SIRSTdevkit')
    image = root / 'PNGImages/scene_3.png'
    image.write_bytes(image.read_bytes()[:1500])
    options = [f'train_dataloader.dataset.data_root={root}', 'train_dataloader.num_workers=1']
    with pytest.raises(SystemExit) as caught, one_line_errors():
        train.train(config, work_dir=str(tmp_path / 'run'), cfg_options=options)
    assert caught.value.code == 2
    line, = [line for line in capsys.readouterr().err.splitlines() if line.startswith('error: ')]
    assert line.startswith(f'error: {image}: the image does not decode')


def test_two_runs_of_one_process_write_their_own_scalars(config, trained, tmp_path):
    train.train(config, work_dir=str(tmp_path), cfg_options=['train_cfg.max_epochs=1'])
    assert len(list(tmp_path.glob('*/vis_data/scalars.json'))) == 1
    assert len(list(trained.glob('*/vis_data/scalars.json'))) == 1
