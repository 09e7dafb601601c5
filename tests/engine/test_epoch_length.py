"""Resuming with another number of iterations an epoch: refused where iterations are counted, else said."""
from pathlib import Path

import pytest
import torch
from toy_runs import toy_config, toy_runner

from bafenet.errors import InputError

BY_EPOCH = [{'type': 'MultiStepLR', 'by_epoch': True, 'milestones': [2], 'gamma': 0.1}]
WARM_UP = {'type': 'ConstantLR', 'by_epoch': False, 'factor': 0.5, 'begin': 0, 'end': 3}
BY_ITERATION = {'whole schedule': [{'type': 'CosineAnnealingLR', 'by_epoch': False, 'T_max': 12, 'end': 12}],
                'converted': [{'type': 'CosineAnnealingLR', 'by_epoch': True, 'T_max': 4, 'end': 4,
                               'convert_to_iter_based': True}],
                'still warming up': [{**WARM_UP, 'end': 5}, *BY_EPOCH],
                'for ever': [{'type': 'StepLR', 'by_epoch': False, 'step_size': 3}]}
MEANT = r'resume with the batch size and the data of before, or start a new run from its weights with load_from alone'


def loader(batch_size: int = 2, length: int = 6, **more) -> dict:
    """Overrides by which six points make three iterations an epoch, or others."""
    return {'train_dataloader': {**toy_config('')['train_dataloader'], 'batch_size': batch_size,
                                 'dataset': {'type': 'ToyDataset', 'length': length}, **more}}


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A checkpoint of one epoch out of four; made once for each schedule. Not to be changed."""
    made: dict[str, str] = {}

    def train(**overrides) -> str:
        if repr(overrides) not in made:
            folder = tmp_path_factory.mktemp('before')
            toy_runner(folder, epochs=4, **overrides).train()
            made[repr(overrides)] = str(folder / 'epoch_1.pth')
        return made[repr(overrides)]

    return train


def resume(folder: Path, checkpoint: str, **overrides):
    runner = toy_runner(folder / 'after', load_from=checkpoint, resume=True, **{'epochs': 4, **overrides})
    runner.train()
    return runner, next(Path(runner.log_dir).glob('*.log')).read_text()


@pytest.mark.parametrize(('schedule', 'changed', 'here'), [
    *((schedule, loader(batch_size=3), '2 iterations of 3 images') for schedule in BY_ITERATION),
    ('whole schedule', loader(length=10), '5 iterations of 2 images'),
    ('for ever', loader(sampler={'type': 'EpochSampler', 'repeats': 2}), '6 iterations of 2 images')])
def test_a_schedule_by_iterations_is_refused_with_both_numbers(trained, tmp_path, schedule, changed, here):
    overrides = {'param_scheduler': BY_ITERATION[schedule]}
    checkpoint = trained(**overrides)
    with pytest.raises(InputError, match=f'epochs of 3 iterations of 2 images, and an epoch has {here} here.*{MEANT}'
                       ) as caught:
        resume(tmp_path, checkpoint, **overrides, **changed)
    assert '\n' not in str(caught.value) and not list((tmp_path / 'after').glob('*.pth'))


@pytest.mark.parametrize('schedule', BY_ITERATION)
def test_the_same_settings_are_resumed(trained, tmp_path, schedule):
    overrides = {'param_scheduler': BY_ITERATION[schedule]}
    runner, log = resume(tmp_path, trained(**overrides), **overrides)
    assert (runner.iter, runner.max_iters) == (12, 12) and 'goes on by epochs' not in log
    alone = toy_runner(tmp_path / 'alone', epochs=4, **overrides)
    alone.train()
    assert runner.optim_wrapper.get_lr() == alone.optim_wrapper.get_lr()


@pytest.mark.parametrize('schedule', [BY_EPOCH, [WARM_UP, *BY_EPOCH]], ids=['by epoch', 'after the warm-up'])
def test_a_schedule_by_epochs_goes_on_with_a_warning(trained, tmp_path, schedule):
    checkpoint = trained(param_scheduler=schedule)
    runner, log = resume(tmp_path, checkpoint, param_scheduler=schedule, **loader(length=10))
    assert 'is of 1 epochs and 3 iterations; an epoch has 5 here: the schedule goes on by epochs' in log
    # The iterations done, and at the end no more of them to come.
    assert (runner.epoch, runner.iter, runner.max_iters) == (4, 18, 18)
    assert runner.optim_wrapper.get_lr()['lr'] == [pytest.approx(0.001)]
    # What it has written is resumed again with the settings that it had last.
    again, log = resume(tmp_path, str(tmp_path / 'after' / 'epoch_4.pth'), epochs=5, param_scheduler=schedule,
                        **loader(length=10))
    assert (again.iter, again.max_iters) == (23, 23) and 'an epoch has' not in log


@pytest.mark.parametrize(('noted', 'refused'), [
    (dict(iterations=3, batch_size=4, processes=2), True), (dict(iterations=4, batch_size=2, processes=2), False),
    (dict(iterations=4, batch_size=2, processes=1), True), (dict(iterations=3, batch_size=2, processes=2), False),
    (dict(iterations=5, batch_size=2, processes=2), True)])
def test_another_number_of_processes_with_the_same_batch_size_in_all_is_no_other_run(trained, tmp_path, noted, refused):
    overrides = {'param_scheduler': BY_ITERATION['for ever'], 'auto_scale_lr': {'enable': True, 'base_batch_size': 2}}
    checkpoint = torch.load(trained(**overrides), weights_only=True)
    assert checkpoint['meta']['schedule'] == dict(iterations=3, batch_size=2, processes=1)
    checkpoint['meta']['schedule'] = noted
    torch.save(checkpoint, tmp_path / 'noted.pth')
    if refused:
        with pytest.raises(InputError, match='would be wrong'):
            resume(tmp_path, str(tmp_path / 'noted.pth'), **overrides)
    else:
        resume(tmp_path, str(tmp_path / 'noted.pth'), **overrides)


def test_a_learning_rate_that_was_scaled_with_another_batch_size_is_refused(trained, tmp_path):
    scale = {'auto_scale_lr': {'enable': True, 'base_batch_size': 2}, 'param_scheduler': BY_EPOCH}
    checkpoint = trained(**scale)
    for changed in (loader(batch_size=3), loader(batch_size=4, length=12)):  # the latter with as many iterations
        with pytest.raises(InputError, match=f'learning rate that auto_scale_lr has scaled would be wrong; {MEANT}'):
            resume(tmp_path, checkpoint, **scale, **changed)


@pytest.mark.parametrize(('length', 'refused'), [(6, False), (10, True), (2, True)])
def test_a_checkpoint_from_before_epochs_were_noted_is_judged_by_its_place(trained, tmp_path, length, refused):
    overrides = {'param_scheduler': BY_ITERATION['for ever']}
    checkpoint = torch.load(trained(**overrides), weights_only=True)
    del checkpoint['meta']['schedule']
    torch.save(checkpoint, tmp_path / 'old.pth')
    if refused:
        with pytest.raises(InputError, match=f'has epochs of 3 iterations, and an epoch has {length // 2} iterations'):
            resume(tmp_path, str(tmp_path / 'old.pth'), **overrides, **loader(length=length))
    else:
        resume(tmp_path, str(tmp_path / 'old.pth'), **overrides)


@pytest.mark.parametrize('changed', [False, True])
def test_a_loop_by_iterations_is_refused_with_another_batch_size(tmp_path, changed):
    loop = {'train_cfg': {'by_epoch': False, 'max_iters': 4, 'val_interval': 10},
            'log_processor': {'type': 'LogProcessor', 'by_epoch': False},
            'default_hooks': {'checkpoint': {'type': 'AtomicCheckpointHook', 'interval': 2, 'by_epoch': False}}}
    toy_runner(tmp_path / 'before', **loop).train()
    checkpoint = str(tmp_path / 'before' / 'iter_2.pth')
    if changed:
        with pytest.raises(InputError, match='the loop by iterations would be wrong'):
            resume(tmp_path, checkpoint, **loop, **loader(batch_size=3))
    else:
        assert resume(tmp_path, checkpoint, **loop)[0].iter == 4


def test_a_checkpoint_of_the_middle_of_an_epoch_is_resumed_time_and_again(tmp_path):
    hooks = {'default_hooks': {'checkpoint': {'type': 'AtomicCheckpointHook', 'interval': 2, 'by_epoch': False}},
             'param_scheduler': BY_ITERATION['for ever']}
    toy_runner(tmp_path / 'run', epochs=1, **hooks).train()
    for _ in range(3):  # each time the epoch begins anew
        toy_runner(tmp_path / 'again', epochs=1, resume=True, load_from=str(tmp_path / 'run' / 'iter_2.pth'),
                   **hooks).train()
        state = torch.load(tmp_path / 'run' / 'iter_2.pth', weights_only=True)
        state['meta']['iter'] += 2
        torch.save(state, tmp_path / 'run' / 'iter_2.pth')


@pytest.mark.parametrize('noted', [[], 3, dict(iterations='3'), dict(iterations=-1), dict(iterations=True)])
def test_a_note_of_another_kind_is_refused(trained, tmp_path, noted):
    checkpoint = torch.load(trained(), weights_only=True)
    checkpoint['meta']['schedule'] = noted
    torch.save(checkpoint, tmp_path / 'bad.pth')
    with pytest.raises(InputError, match='bad.pth: its meta.schedule'):
        resume(tmp_path, str(tmp_path / 'bad.pth'))
