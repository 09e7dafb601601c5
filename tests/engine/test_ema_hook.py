"""EMA: the average follows its formula and is what is validated, saved and tested; resumed runs are equal."""
from pathlib import Path

import pytest
import torch
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from toy_runs import checkpoint_hook, toy_config, toy_runner, validation

from bafenet.engine.checkpoints import find_checkpoint
from bafenet.engine.ema_hook import WeightAverageHook
from bafenet.engine.runner import DetectionRunner
from bafenet.errors import InputError

MOMENTUM = 0.3


@HOOKS.register_module()
class WatchHook(Hook):
    """Notes the weights after each step, and those that are validated and tested."""

    def __init__(self) -> None:
        self.stepped, self.validated, self.tested = [], [], []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.stepped.append(state_of(runner))

    def before_val_iter(self, runner, batch_idx, data_batch=None):
        if batch_idx == 0:
            self.validated.append(state_of(runner))

    def before_test_iter(self, runner, batch_idx, data_batch=None):
        if batch_idx == 0:
            self.tested.append(state_of(runner))


def state_of(runner):
    return {name: value.clone() for name, value in runner.model.state_dict().items()}


def averaged(**options):
    return [dict(type='EMAHook', momentum=MOMENTUM, **options), dict(type='WatchHook')]


def watch_of(runner):
    return next(hook for hook in runner.hooks if isinstance(hook, WatchHook))


def mean_of(stepped, steps, momentum=MOMENTUM):
    """The average after so many steps: what the first step left, then a part of each further one."""
    mean = {name: value.double() for name, value in stepped[0].items()}
    for state in stepped[1:steps]:
        mean = {name: (1 - momentum) * old + momentum * state[name] for name, old in mean.items()}
    return mean


def load(file):
    return torch.load(file, weights_only=True)


def assert_close(found, expected):
    names = [name for name in expected if not name.endswith('num_batches_tracked')]
    assert names and found.keys() == expected.keys()
    for name in names:
        torch.testing.assert_close(found[name].double(), expected[name].double(), rtol=1e-5, atol=1e-6)


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def differ(one, other):
    return any(not torch.equal(one[name], other[name]) for name in one)


def test_the_average_is_validated_and_saved_and_training_goes_on_from_the_weights(tmp_path):
    runner = toy_runner(tmp_path, epochs=3, custom_hooks=averaged(), **validation())
    runner.train()
    watch = watch_of(runner)
    assert len(watch.stepped) == 9 and len(watch.validated) == 3
    for epoch in (1, 2, 3):
        expected = mean_of(watch.stepped, 3 * epoch)
        assert_close(watch.validated[epoch - 1], expected)
        saved = load(tmp_path / f'epoch_{epoch}.pth') if epoch > 1 else None
        if saved:
            assert_close(saved['state_dict'], expected)
            raw = {name.removeprefix('module.'): value for name, value in saved['ema_state_dict'].items()
                   if name != 'steps'}
            assert_close(raw, watch.stepped[3 * epoch - 1])
    assert_same(state_of(runner), watch.stepped[-1])
    # Without it every step is the same.
    plain = toy_runner(tmp_path / 'plain', epochs=3, custom_hooks=[dict(type='WatchHook')], **validation())
    plain.train()
    for ours, theirs in zip(watch.stepped, watch_of(plain).stepped, strict=True):
        assert_same(ours, theirs)


@pytest.mark.parametrize('options', [{}, dict(ema_type='MomentumAnnealingEMA', gamma=2), dict(begin_epoch=2),
                                     dict(ema_type='StochasticWeightAverage'), dict(interval=2),
                                     dict(ema_type='StartAverage', start_share=0.25)])
def test_a_resumed_run_is_equal(tmp_path, options):
    whole = toy_runner(tmp_path / 'whole', epochs=4, custom_hooks=averaged(**options), **validation())
    whole.train()
    toy_runner(tmp_path / 'part', epochs=2, custom_hooks=averaged(**options), **validation()).train()
    resumed = toy_runner(tmp_path / 'part', epochs=4, custom_hooks=averaged(**options), resume=True, **validation())
    resumed.train()
    one, other = load(tmp_path / 'whole/epoch_4.pth'), load(tmp_path / 'part/epoch_4.pth')
    for part in ('state_dict', 'ema_state_dict'):
        assert_same(one[part], other[part])
    assert differ(one['state_dict'], state_of(whole))


def test_a_run_killed_before_its_validation_validates_the_average(tmp_path):
    toy_runner(tmp_path, epochs=2, custom_hooks=averaged()).train()  # no validation: its last epoch is due
    resumed = toy_runner(tmp_path, epochs=3, custom_hooks=averaged(), resume=True, **validation())
    expected = load(tmp_path / 'epoch_2.pth')['state_dict']
    resumed.train()
    assert_same(watch_of(resumed).validated[0], expected)


def test_the_plain_mean_and_a_late_begin_follow_their_formula(tmp_path):
    runner = toy_runner(tmp_path, epochs=3, custom_hooks=averaged(ema_type='StochasticWeightAverage', begin_iter=5))
    runner.train()
    late = watch_of(runner).stepped[4:]  # the fifth step is the first
    mean = {name: sum(state[name].double() for state in late) / len(late) for name in late[0]}
    assert_close(load(tmp_path / 'epoch_3.pth')['state_dict'], mean)


@pytest.mark.parametrize('share', [0, 0.4, 0.9])
@pytest.mark.parametrize('buffers', [True, False])
def test_a_share_of_the_start_stays_in_what_is_validated_and_saved(tmp_path, share, buffers):
    toy_runner(tmp_path / 'before', epochs=1).train()
    start = load(tmp_path / 'before/epoch_1.pth')['state_dict']
    hooks = averaged(ema_type='StartAverage', start_share=share, update_buffers=buffers)
    runner = toy_runner(tmp_path / 'after', epochs=2, custom_hooks=hooks, **validation(),
                        load_from=str(tmp_path / 'before/epoch_1.pth'))
    runner.train()
    watch = watch_of(runner)
    weights = {name for name, _ in runner.model.named_parameters()}
    for epoch in (1, 2):
        stepped = watch.stepped[3 * epoch - 1]
        expected = {name: (1 - share) * value.double() + share * start[name].double()
                    if value.is_floating_point() and (buffers or name in weights) else value
                    for name, value in stepped.items()}
        assert_close(watch.validated[epoch - 1], expected)
    assert_close(load(tmp_path / 'after/epoch_2.pth')['state_dict'], expected)
    assert not share or differ(watch.validated[1], watch.stepped[-1])
    assert_same(state_of(runner), watch.stepped[-1])


def test_the_best_checkpoint_holds_the_average_that_was_validated(tmp_path):
    script = [{'a': 1.0}, {'a': 3.0}, {'a': 2.0}]
    hook = checkpoint_hook(save_best='toy/a', rule='greater')
    runner = toy_runner(tmp_path, epochs=3, custom_hooks=averaged(), **hook, **validation(script))
    runner.train()
    best = find_checkpoint(str(tmp_path))
    assert Path(best).name == 'best_toy_a_epoch_2.pth'
    assert_same(load(best)['state_dict'], watch_of(runner).validated[1])


def test_a_test_takes_the_saved_average_and_one_after_training_the_average_too(tmp_path):
    runner = toy_runner(tmp_path, epochs=2, custom_hooks=averaged())
    runner.train()
    saved = load(tmp_path / 'epoch_2.pth')['state_dict']
    runner.test()
    assert_same(watch_of(runner).tested[0], saved)
    assert_same(state_of(runner), watch_of(runner).stepped[-1])
    bare = tmp_path / 'bare.pth'
    torch.save({f'module.{name}': value for name, value in saved.items()}, bare)
    for file in (tmp_path / 'epoch_2.pth', bare):
        config = toy_config(tmp_path / 'test', custom_hooks=averaged(), load_from=str(file))
        for key in ('train_dataloader', 'train_cfg', 'optim_wrapper'):
            config.pop(key)
        tester = DetectionRunner.from_cfg(config)
        tester.test()
        assert_same(watch_of(tester).tested[0], saved)


def test_fine_tuning_begins_at_the_loaded_weights(tmp_path):
    toy_runner(tmp_path / 'first', epochs=2, custom_hooks=averaged()).train()
    file = tmp_path / 'first/epoch_2.pth'
    for custom_hooks in (averaged(), [dict(type='WatchHook')]):
        runner = toy_runner(tmp_path / str(len(custom_hooks)), epochs=1, load_from=str(file), custom_hooks=custom_hooks,
                            optim_wrapper=dict(optimizer=dict(type='SGD', lr=1e-12)))
        runner.train()
        weights = load(tmp_path / str(len(custom_hooks)) / 'epoch_1.pth')['state_dict']
        expected = load(file)['state_dict']
        assert_close({name: weights[name] for name in expected if 'norm.running' not in name},
                     {name: value for name, value in expected.items() if 'norm.running' not in name})


def test_statistics_of_normalisation_are_averaged_unless_told_otherwise(tmp_path):
    runner = toy_runner(tmp_path, epochs=2, custom_hooks=averaged(update_buffers=False))
    runner.train()
    saved, last = load(tmp_path / 'epoch_2.pth')['state_dict'], watch_of(runner).stepped[-1]
    name = 'backbone.norm.running_mean'
    assert torch.equal(saved[name], last[name]) and not torch.equal(saved['head.weight'], last['head.weight'])


def test_resuming_a_run_that_had_none_begins_at_its_weights(tmp_path):
    toy_runner(tmp_path, epochs=1).train()
    before = load(tmp_path / 'epoch_1.pth')['state_dict']
    resumed = toy_runner(tmp_path, epochs=2, custom_hooks=averaged(), resume=True, **validation())
    resumed.train()
    assert_same(watch_of(resumed).validated[0], before)  # its due validation
    stepped = watch_of(resumed).stepped
    assert_close(load(tmp_path / 'epoch_2.pth')['state_dict'], mean_of(stepped, 3))


def test_an_average_that_does_not_fit_is_one_line(tmp_path):
    toy_runner(tmp_path, epochs=1, custom_hooks=averaged()).train()
    file = tmp_path / 'epoch_1.pth'
    whole = load(file)
    for spoil in (lambda state: state.pop('module.head.weight'),
                  lambda state: state.update({'module.x': torch.ones(1)}),
                  lambda state: state.update({'module.head.weight': torch.ones(7, 7)})):
        spoiled = {**whole, 'ema_state_dict': dict(whole['ema_state_dict'])}
        spoil(spoiled['ema_state_dict'])
        torch.save(spoiled, file)
        with pytest.raises(InputError, match='epoch_1.pth') as error:
            toy_runner(tmp_path, epochs=2, custom_hooks=averaged(), resume=True).train()
        assert '\n' not in str(error.value)


@pytest.mark.parametrize('bad', [
    *(dict(momentum=value) for value in (0, 1, -1, 2, None, '0.1', float('nan'), True)),
    *({name: value} for name in ('begin_iter', 'begin_epoch') for value in (-1, 1.5, None, '1', True)),
    *({name: value} for name in ('gamma', 'interval') for value in (0, 1.5, None, True)),
    dict(ema_type='Mean'), dict(ema_type=None), dict(update_buffers=1), dict(begin_iter=1, begin_epoch=1)])
def test_bad_settings_are_refused(bad):
    with pytest.raises(InputError, match=f'EMAHook: {next(iter(bad))}'):
        WeightAverageHook(**bad)


def test_beginning_after_the_end_is_refused(tmp_path):
    for late in (dict(begin_epoch=3), dict(begin_iter=7)):
        with pytest.raises(InputError, match=next(iter(late))):
            toy_runner(tmp_path, epochs=2, custom_hooks=[dict(type='EMAHook', **late)]).train()
