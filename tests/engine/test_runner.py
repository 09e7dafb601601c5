"""The runner answers mistakes in one line, and runs in several processes without a GPU."""
import json
import multiprocessing
import os
import shutil
import socket
from pathlib import Path

import pytest
import torch
from mmengine.registry import RUNNERS, DefaultScope
from toy_runs import ToyBackbone, toy_config, toy_runner, validation

from bafenet.engine.runner import DetectionRunner
from bafenet.errors import InputError

PRETRAINED = 'weights.pth'


@pytest.fixture(scope='module')
def trained(tmp_path_factory) -> Path:
    """Folder of a run of one epoch. Not to be changed."""
    folder = tmp_path_factory.mktemp('trained')
    toy_runner(folder, epochs=1).train()
    return folder


def pretrained_model(checkpoint: object) -> dict:
    """A network whose backbone asks for pretrained weights."""
    return {
        'type': 'ToyModel',
        'backbone': {'type': 'ToyBackbone', 'init_cfg': {'type': 'Pretrained', 'checkpoint': str(checkpoint)}},
    }


WIDE = {'model': {'type': 'ToyModel', 'backbone': {'type': 'ToyBackbone', 'width': 5}}}
NO_NORM = {'model': {'type': 'ToyModel', 'backbone': {'type': 'ToyBackbone', 'norm': False}}}


def one_line(caught) -> str:
    message = str(caught.value)
    assert '\n' not in message
    return message


def test_a_config_finds_the_runner_before_any_scope_is_set(tmp_path, monkeypatch):
    monkeypatch.setattr(DefaultScope, '_instance_dict', DefaultScope._instance_dict.__class__())
    runner = RUNNERS.build({**toy_config(tmp_path), 'runner_type': 'DetectionRunner'})
    assert type(runner) is DetectionRunner


# --- Loading ----------------------------------------------------------------------------------------------------------


def test_testing_loads_what_was_trained(trained, tmp_path):
    checkpoint = trained / 'epoch_1.pth'
    runner = toy_runner(tmp_path, load_from=str(checkpoint))
    metrics = runner.test()
    weights = torch.load(checkpoint, weights_only=True)['state_dict']
    for name, value in runner.model.state_dict().items():
        assert torch.equal(value, weights[name]), name
    assert metrics['toy/samples'] == 6


@pytest.mark.parametrize('how', ['test', 'val', 'resume'])
@pytest.mark.parametrize(('network', 'mismatch'), [
    (WIDE, '7 of another shape or kind (backbone.linear.weight, …)'),
    (NO_NORM, '5 unknown to the network (backbone.norm.weight, …)'),
], ids=['wide', 'no norm'])
def test_a_checkpoint_of_another_network_is_refused(trained, tmp_path, how, network, mismatch):
    checkpoint = str(trained / 'epoch_1.pth')
    runner = toy_runner(tmp_path, load_from=checkpoint, resume=how == 'resume', **network, **validation())
    with pytest.raises(InputError) as caught:
        runner.train() if how == 'resume' else getattr(runner, how)()
    message = one_line(caught)
    assert checkpoint in message and 'does not fit' in message and mismatch in message


def test_missing_weights_are_counted(trained, tmp_path):
    state = torch.load(trained / 'epoch_1.pth', weights_only=True)['state_dict']
    torch.save({'state_dict': {key: value for key, value in state.items() if 'norm' not in key}}, tmp_path / 'part.pth')
    with pytest.raises(InputError, match=r'4 missing in the checkpoint \(backbone.norm.weight, …\)'):
        toy_runner(tmp_path, load_from=str(tmp_path / 'part.pth')).test()


def test_fine_tuning_takes_what_fits_and_reports_the_rest(trained, tmp_path):
    runner = toy_runner(tmp_path, epochs=0, load_from=str(trained / 'epoch_1.pth'), **NO_NORM)
    runner.train()
    weights = torch.load(trained / 'epoch_1.pth', weights_only=True)['state_dict']
    for name, value in runner.model.state_dict().items():
        assert torch.equal(value, weights[name]), name
    log = next(Path(runner.log_dir).glob('*.log')).read_text()
    assert '4 weights were loaded' in log
    for name in weights.keys() - runner.model.state_dict().keys():
        assert name in log


def test_fine_tuning_takes_fitting_weights_beside_reshaped_ones(trained, tmp_path):
    runner = toy_runner(tmp_path, epochs=0, load_from=str(trained / 'epoch_1.pth'), **WIDE)
    runner.train()
    weights = torch.load(trained / 'epoch_1.pth', weights_only=True)['state_dict']
    assert torch.equal(runner.model.head.bias, weights['head.bias'])
    assert runner.model.backbone.linear.weight.shape == (5, 4)


def test_a_warning_of_weights_that_do_not_fit_is_no_longer_than_a_screen(trained, tmp_path):
    checkpoint = torch.load(trained / 'epoch_1.pth', weights_only=True)
    checkpoint['state_dict'].update({f'{number}' + 'x' * 10**6: torch.zeros(1) for number in range(3)})
    torch.save(checkpoint, tmp_path / 'long.pth')
    runner = toy_runner(tmp_path, epochs=0, load_from=str(tmp_path / 'long.pth'))
    runner.train()
    log = next(Path(runner.log_dir).glob('*.log')).read_text()
    assert '3 unknown to the network (0x' in log and 'x' * 1000 not in log


def test_weights_of_none_are_no_weights(tmp_path):
    torch.save({'state_dict': None}, tmp_path / 'none.pth')
    with pytest.raises(InputError, match='none.pth: its state_dict is None'):
        toy_runner(tmp_path, load_from=str(tmp_path / 'none.pth')).test()


@pytest.mark.parametrize(('spoil', 'warning'), [
    ({}, None), (dict(iter=2, schedule={}), 'is of 1 epochs and 2 iterations; an epoch has 3 here'),
    (dict(epoch=2, iter=6), 'Nothing is left to train')])
def test_where_a_resumed_run_stands_is_compared_with_its_schedule(trained, tmp_path, spoil, warning):
    checkpoint = torch.load(trained / 'epoch_1.pth', weights_only=True)
    checkpoint['meta'].update(spoil)
    torch.save(checkpoint, tmp_path / 'epoch_1.pth')
    runner = toy_runner(tmp_path, epochs=2, load_from=str(tmp_path / 'epoch_1.pth'), resume=True)
    runner.train()
    log = next(Path(runner.log_dir).glob('*.log')).read_text()
    assert warning in log if warning else 'epochs and' not in log and 'Nothing is left' not in log


@pytest.mark.parametrize('kind', ['folder', 'pipe', 'device', 'binary', 'empty', 'huge', '..', 'other'])
def test_a_note_of_the_latest_checkpoint_that_is_none_begins_no_new_run(trained, tmp_path, kind):
    run = shutil.copytree(trained, tmp_path / 'run')
    note = run / 'last_checkpoint'
    note.unlink()
    if kind in ('folder', 'pipe', 'device'):
        dict(folder=note.mkdir, pipe=lambda: os.mkfifo(note), device=lambda: note.symlink_to('/dev/zero'))[kind]()
    else:
        note.write_bytes({'binary': b'\xff\0\x1b[31m', 'empty': b'', 'huge': b'x' * 10**7}.get(kind, kind.encode()))
    before = (run / 'epoch_1.pth').read_bytes()
    with pytest.raises(InputError, match='last_checkpoint') as caught:
        toy_runner(run, epochs=2, resume=True).train()
    assert len(one_line(caught)) < 500 and (run / 'epoch_1.pth').read_bytes() == before


def test_fine_tuning_from_nothing_that_fits_is_refused(tmp_path):
    torch.save({'state_dict': {'other': torch.ones(1)}}, tmp_path / 'other.pth')
    with pytest.raises(InputError, match='does not fit'):
        toy_runner(tmp_path, load_from=str(tmp_path / 'other.pth')).train()


@pytest.mark.parametrize('resume', [False, True])
def test_a_missing_checkpoint_is_one_line(tmp_path, resume):
    with pytest.raises(InputError, match='nowhere.pth does not exist'):
        toy_runner(tmp_path, load_from=str(tmp_path / 'nowhere.pth'), resume=resume)


def test_a_last_checkpoint_that_is_gone_is_one_line(tmp_path):
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'gone.pth'))
    with pytest.raises(InputError, match='gone.pth does not exist'):
        toy_runner(tmp_path, resume=True).train()


def test_a_checkpoint_of_weights_alone_is_not_resumed(trained, tmp_path):
    checkpoint = torch.load(trained / 'epoch_1.pth', weights_only=True)
    del checkpoint['optimizer']
    torch.save(checkpoint, tmp_path / 'best.pth')
    with pytest.raises(InputError, match='best.pth cannot be resumed, it holds no optimizer'):
        toy_runner(tmp_path, load_from=str(tmp_path / 'best.pth'), resume=True).train()


# --- Pretrained weights -----------------------------------------------------------------------------------------------


def test_pretrained_weights_are_loaded(tmp_path):
    weights = {'linear.weight': torch.arange(12.0).view(3, 4), 'linear.bias': torch.ones(3), 'fc.weight': torch.ones(2)}
    torch.save(weights, tmp_path / PRETRAINED)
    runner = toy_runner(tmp_path, epochs=0, model=pretrained_model(tmp_path / PRETRAINED))
    runner.train()
    assert torch.equal(runner.model.backbone.linear.weight, weights['linear.weight'])


@pytest.mark.parametrize(
    'checkpoint', ['nowhere.pth', 'http://127.0.0.1:1/weights.pth', 'torchvision://resnet0', 'torn'])
def test_pretrained_weights_that_cannot_be_had_are_one_line(tmp_path, monkeypatch, checkpoint):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    monkeypatch.setenv('no_proxy', '*')
    if checkpoint == 'torn':
        checkpoint = str(tmp_path / 'torn.pth')
        Path(checkpoint).write_bytes(b'PK')
    with pytest.raises(InputError) as caught:
        toy_runner(tmp_path, model=pretrained_model(checkpoint)).train()
    message = one_line(caught)
    assert checkpoint in message
    assert 'model.backbone.init_cfg=None' in message and 'model.backbone.norm_cfg.requires_grad=True' in message
    assert 'model.backbone.norm_eval=False' in message and '--scratch' in message


@pytest.mark.parametrize('named', [True, False], ids=['named', 'auto'])
def test_resuming_asks_for_no_pretrained_weights(trained, tmp_path, named):
    if not named:
        (tmp_path / 'last_checkpoint').write_text(str(trained / 'epoch_1.pth'))
    runner = toy_runner(
        tmp_path, epochs=2, resume=True, load_from=str(trained / 'epoch_1.pth') if named else None,
        model=pretrained_model('nowhere.pth'))
    runner.train()
    assert runner.epoch == 2


def test_resuming_without_a_checkpoint_asks_for_pretrained_weights(tmp_path):
    with pytest.raises(InputError, match='nowhere.pth of model.backbone cannot be had'):
        toy_runner(tmp_path, resume=True, model=pretrained_model('nowhere.pth')).train()


# --- Devices and processes --------------------------------------------------------------------------------------------


@pytest.mark.skipif(torch.cuda.is_available(), reason='needs a machine without a GPU')
def test_mixed_precision_without_a_gpu_is_one_line(tmp_path):
    wrapper = {'type': 'AmpOptimWrapper', 'optimizer': {'type': 'SGD', 'lr': 0.01}}
    runner = toy_runner(tmp_path, optim_wrapper=wrapper)
    runner.test()
    with pytest.raises(InputError, match='needs a GPU'):
        runner.train()


def run_as(rank: int, world_size: int, port: int, folder: Path) -> None:
    """Train one epoch and test, as ``torchrun`` would have one of its processes do."""
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(world_size), MASTER_ADDR='127.0.0.1',
                      MASTER_PORT=str(port))
    os.chdir(folder)
    torch.set_num_threads(1)
    runner = toy_runner(folder, epochs=1, launcher='pytorch', **parallel_overrides(world_size))
    runner.train()
    metrics = runner.test()
    if rank == 0:
        (folder / 'metrics.json').write_text(json.dumps(metrics))
    torch.distributed.destroy_process_group()


def parallel_overrides(world_size: int) -> dict:
    """Four points an iteration over all processes, in order; five points to test, which do not divide by two."""
    config = toy_config('')
    train, test = (dict(config[key]) for key in ('train_dataloader', 'test_dataloader'))
    train.update(batch_size=4 // world_size, dataset={'type': 'ToyDataset', 'length': 8}, sampler=test['sampler'])
    test.update(dataset={'type': 'ToyDataset', 'length': 5})
    return {'train_dataloader': train, 'test_dataloader': test,
            'optim_wrapper': {'optimizer': {'type': 'SGD', 'lr': 0.1}}, **NO_NORM}


@pytest.mark.skipif(torch.cuda.is_available(), reason='needs a machine without a GPU')
def test_two_processes_do_what_one_does(tmp_path):
    single, double = tmp_path / 'single', tmp_path / 'double'
    runner = toy_runner(single, epochs=1, **parallel_overrides(1))
    runner.train()
    expected = runner.test()

    double.mkdir()
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    context = multiprocessing.get_context('fork')
    processes = [context.Process(target=run_as, args=(rank, 2, port, double)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        process.kill()
    assert [process.exitcode for process in processes] == [0, 0]

    metrics = json.loads((double / 'metrics.json').read_text())
    assert metrics == pytest.approx(expected, rel=1e-5)
    assert metrics['toy/samples'] == 5
    weights = [torch.load(run / 'epoch_1.pth', weights_only=True)['state_dict'] for run in (single, double)]
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, rtol=1e-5, atol=1e-6)


def test_runs_of_the_same_second_keep_their_logs_apart(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr('mmengine.runner.runner.time.time', lambda: 1e9)
        runners = [toy_runner(tmp_path / str(i), experiment_name='same') for i in range(3)]
    assert len({runner.experiment_name for runner in runners}) == 3
    for i, runner in enumerate(runners):
        runner.logger.info(f'from run {i}')
        log, = (tmp_path / str(i)).glob('*/*.log')
        assert f'from run {i}' in log.read_text()


@pytest.mark.parametrize('level', ['INFO', 'DEBUG'])
def test_what_the_optimizer_does_with_each_weight_is_no_information(tmp_path, level, monkeypatch):
    wrapper = {'optimizer': {'type': 'AdamW', 'lr': 0.01, 'weight_decay': 0.1},
               'paramwise_cfg': {'norm_decay_mult': 0.0, 'bias_decay_mult': 0.0, 'bypass_duplicate': True}}

    def with_a_frozen_and_a_shared_weight(self, width=3):
        plain(self, width)
        self.norm.requires_grad_(False)
        self.again = torch.nn.Linear(4, width)
        self.again.weight = self.linear.weight

    plain = ToyBackbone.__init__
    monkeypatch.setattr(ToyBackbone, '__init__', with_a_frozen_and_a_shared_weight)
    toy_runner(tmp_path, epochs=1, log_level=level, optim_wrapper=wrapper).train()
    log = max(tmp_path.glob('*/*.log')).read_text()
    for line in ('paramwise_options -- ', 'backbone.norm.weight is skipped since', 'It is skipped since bypass_dup'):
        assert (line in log) == (level == 'DEBUG')
    assert 'INFO - paramwise' not in log and 'WARNING - backbone' not in log
    assert 'INFO - Epoch(train)' in log
