"""Resuming with another schedule, which is refused, or another learning rate, which is taken."""
import pytest
import torch
from test_epoch_length import resume, trained  # noqa: F401
from toy_runs import toy_runner

from bafenet.errors import InputError


def steps(*milestones):
    return [{'type': 'MultiStepLR', 'by_epoch': True, 'milestones': list(milestones), 'gamma': 0.1}]


def cosine(epochs, **more):
    return [{'type': 'CosineAnnealingLR', 'by_epoch': True, 'T_max': epochs, 'end': epochs, **more}]


@pytest.mark.parametrize(('before', 'after', 'said'), [
    (steps(2, 3), steps(3), r'milestones=\[2, 3\], and here \[3\]'),
    (cosine(4), cosine(6), 'T_max=4, and here 6|end=4, and here 6'),
    (cosine(4, convert_to_iter_based=True), cosine(6, convert_to_iter_based=True), 'T_max=12, and|end=12, and'),
    (cosine(4), [*cosine(4), *steps(3)], '1 param_scheduler and 2 here'),
    (cosine(4), None, '1 param_scheduler and 0 here')])
def test_another_schedule_is_refused_and_not_silently_the_old_one(trained, tmp_path, before, after, said):  # noqa: F811
    checkpoint = trained(param_scheduler=before)
    with pytest.raises(InputError, match=said) as caught:
        resume(tmp_path, checkpoint, epochs=6, param_scheduler=after)
    assert '\n' not in str(caught.value) and not list((tmp_path / 'after').glob('*.pth'))


@pytest.mark.parametrize('epoch', [2, 3, 4])
@pytest.mark.parametrize('milestones', [(2, ), (1, 4), (2, 5), (3, 4, 5)])
def test_more_epochs_of_the_same_steps_are_those_of_a_run_of_so_many(tmp_path, epoch, milestones):
    schedule = {'param_scheduler': steps(*milestones)}
    for name, epochs in (('short', 4), ('long', 6)):
        toy_runner(tmp_path / name, epochs=epochs, **schedule).train()
    resume(tmp_path, str(tmp_path / 'short' / f'epoch_{epoch}.pth'), epochs=6, **schedule)
    for number in range(epoch + 1, 7):
        states = [torch.load(tmp_path / name / f'epoch_{number}.pth', weights_only=True) for name in ('long', 'after')]
        rates = [state['optimizer']['param_groups'][0]['lr'] for state in states]
        assert rates[0] == pytest.approx(rates[1])
        for key, value in states[0]['state_dict'].items():
            assert torch.allclose(value, states[1]['state_dict'][key])


def test_more_epochs_of_the_same_schedule_and_a_warm_up_that_is_over_are_resumed(trained, tmp_path):  # noqa: F811
    warm_up = {'type': 'ConstantLR', 'by_epoch': False, 'factor': 0.5, 'begin': 0, 'end': 3}
    checkpoint = trained(param_scheduler=[warm_up, *steps(2)])
    runner, _ = resume(tmp_path, checkpoint, epochs=5, param_scheduler=[{**warm_up, 'end': 2}, *steps(2)])
    assert runner.epoch == 5 and runner.optim_wrapper.get_lr()['lr'] == [pytest.approx(0.001)]


@pytest.mark.parametrize('schedule', [steps(2), cosine(4), None])
def test_another_learning_rate_is_taken(trained, tmp_path, schedule):  # noqa: F811
    checkpoint = trained(param_scheduler=schedule)
    factors = []
    for name, rate in (('same', 0.01), ('smaller', 0.001)):
        runner, log = resume(tmp_path / name, checkpoint, epochs=3, param_scheduler=schedule,
                             optim_wrapper={'optimizer': {'type': 'AdamW', 'lr': rate}})
        factors.append(runner.optim_wrapper.get_lr()['lr'][0] / rate)
        assert ('The learning rate is 0.001 from here on, and was 0.01' in log) == (rate == 0.001)
        saved = torch.load(tmp_path / name / 'after' / 'epoch_3.pth', weights_only=True)
        assert saved['optimizer']['param_groups'][0].get('initial_lr', rate) == pytest.approx(rate)
    assert factors[0] == pytest.approx(factors[1])


def test_other_settings_of_the_optimizer_are_taken_and_its_state_is_kept(trained, tmp_path):  # noqa: F811
    adam = {'type': 'AdamW', 'lr': 0.01, 'betas': (0.9, 0.999), 'weight_decay': 0.01}
    checkpoint = trained(param_scheduler=steps(2), optim_wrapper={'optimizer': adam})
    runner, _ = resume(tmp_path, checkpoint, epochs=3, param_scheduler=steps(2),
                       optim_wrapper={'optimizer': {**adam, 'betas': (0.8, 0.99), 'weight_decay': 0.2}})
    group = runner.optim_wrapper.optimizer.param_groups[0]
    assert (group['weight_decay'], tuple(group['betas'])) == (0.2, (0.8, 0.99))
    before = torch.load(checkpoint, weights_only=True)['optimizer']['state'][0]['step']
    assert next(iter(runner.optim_wrapper.optimizer.state.values()))['step'] > before > 0
