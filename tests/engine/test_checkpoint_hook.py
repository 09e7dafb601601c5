"""Checkpoints are replaced after their successors are written, and a kill costs none."""
import os
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook
from toy_runs import checkpoint_hook, checkpoints_in, toy_runner, validation

from bafenet.engine.checkpoint_hook import AtomicCheckpointHook, Runner, checkpoint_folder
from bafenet.errors import InputError


@pytest.mark.parametrize('number', [0, 1])
def test_fewer_than_two_checkpoints_are_refused(number):
    with pytest.raises(InputError, match='max_keep_ckpts'):
        AtomicCheckpointHook(interval=1, max_keep_ckpts=number)


def test_only_the_latest_checkpoints_are_kept(tmp_path):
    toy_runner(tmp_path, epochs=4, **checkpoint_hook(max_keep_ckpts=2)).train()
    assert checkpoints_in(tmp_path) == {'epoch_3.pth', 'epoch_4.pth'}
    assert Path((tmp_path / 'last_checkpoint').read_text()) == tmp_path / 'epoch_4.pth'
    # A resumed run knows from the checkpoint which ones there are.
    hub = torch.load(tmp_path / 'epoch_4.pth', weights_only=True)['message_hub']
    assert hub['runtime_info']['keep_ckpt_ids'] == [3, 4]


def test_the_best_by_each_of_two_keys_is_kept(tmp_path):
    script = [{'a': 1.0, 'b': 5.0}, {'a': 0.5, 'b': 6.0}, {'a': 2.0, 'b': 1.0}, {'a': 0.1, 'b': 0.1}]
    overrides = checkpoint_hook(save_best=['toy/a', 'toy/b'], rule='greater', max_keep_ckpts=2)
    toy_runner(tmp_path, epochs=4, **overrides, **validation(script)).train()
    assert checkpoints_in(tmp_path) == {
        'epoch_3.pth', 'epoch_4.pth', 'best_toy_a_epoch_3.pth', 'best_toy_b_epoch_2.pth'}
    # Epoch 4 brought no new best, so its checkpoint holds the two before.
    info = torch.load(tmp_path / 'epoch_4.pth', weights_only=True)['message_hub']['runtime_info']
    assert (info['best_score_toy/a'], info['best_score_toy/b']) == (2.0, 6.0)
    assert Path(info['best_ckpt_toy/a']).name == 'best_toy_a_epoch_3.pth'


def run_from_start(work_dir: Path, scores: list[float], rule: str = 'greater', **more) -> str:
    """Train with the weights at the start validated too, and give back the log."""
    script = [{'a': score, 'b': 0.} for score in scores]
    overrides = checkpoint_hook(save_best='toy/a', rule=rule, max_keep_ckpts=2, validate_start=True)
    toy_runner(work_dir, **overrides, **validation(script), **more).train()
    return max(work_dir.glob('*/*.log'), key=os.path.getmtime).read_text()


@pytest.mark.parametrize(('scores', 'rule', 'best', 'warned'), [
    ([0.6, 0.5, 0.4], 'greater', 0, ['No epoch is better']),
    ([0.6, 0.7, 0.4], 'greater', 1, []),
    ([0.6, 0.5, 0.4], 'less', 2, []),
    ([0., 0., 0.], 'greater', 0, ['No epoch is better', 'of the best checkpoint is 0']),
    ([0.1, 0., 0.2], 'less', 1, []),
])
def test_the_weights_at_the_start_are_epoch_0(tmp_path, scores, rule, best, warned):
    log = run_from_start(tmp_path, scores, rule, epochs=2)
    assert checkpoints_in(tmp_path) == {'epoch_1.pth', 'epoch_2.pth', f'best_toy_a_epoch_{best}.pth'}
    assert f'toy/a before the training: {scores[0]:.4f}; best: {scores[best]:.4f} (best_toy_a_epoch_{best})' in log
    assert [text for text in ('No epoch is better', 'of the best checkpoint is 0') if text in log] == warned


def test_a_resumed_run_knows_the_score_of_its_start(tmp_path):
    run_from_start(tmp_path, [0.3, 0.5], epochs=1)
    log = run_from_start(tmp_path, [0.4], epochs=2, resume=True)
    assert 'as epoch 0' not in log
    assert 'toy/a before the training: 0.3000; best: 0.5000 (best_toy_a_epoch_1)' in log


@pytest.mark.parametrize('save_best', ['toy/a', ['toy/a', 'toy/b']])
def test_nothing_is_removed_before_its_successor_is_written(tmp_path, monkeypatch, save_best):
    """At each removal there are two whole checkpoints that are newer, and a best one of the same key."""
    removed = []
    remove = os.remove

    def watch(path):
        name = Path(path).name
        removed.append(name)
        last = torch.load((tmp_path / 'last_checkpoint').read_text(), weights_only=True)
        kind, epoch = name.removesuffix('.pth').rsplit('_', 1)
        newer = tmp_path / f'{kind}_{last["meta"]["epoch"]}.pth'
        assert last['meta']['epoch'] >= int(epoch) + (2 if kind == 'epoch' else 1)
        assert torch.load(newer, weights_only=True)['state_dict']
        remove(path)

    monkeypatch.setattr(os, 'remove', watch)
    overrides = checkpoint_hook(save_best=save_best, rule='greater', max_keep_ckpts=2)
    toy_runner(tmp_path, epochs=3, **overrides, **validation([{'a': e, 'b': e} for e in (1.0, 2.0, 3.0)])).train()
    keys = ['a'] if save_best == 'toy/a' else ['a', 'b']
    assert sorted(removed) == sorted(['epoch_1.pth', *(f'best_toy_{k}_epoch_{e}.pth' for k in keys for e in (1, 2))])


@pytest.mark.parametrize(('rule', 'sign'), [('greater', 1), ('less', -1)])
@pytest.mark.parametrize(('later', 'epoch'), [(False, 2), (True, 4)])
def test_which_of_equals_is_the_best(rule, sign, later, epoch, tmp_path):
    overrides = checkpoint_hook(save_best='toy/a', rule=rule, later_of_equals=later)
    scores = [{'a': sign * score} for score in (0.5, 1.0, 0.9, 1.0, 0.8)]
    toy_runner(tmp_path, epochs=5, **overrides, **validation(scores)).train()
    assert [path.name for path in tmp_path.glob('best_*')] == [f'best_toy_a_epoch_{epoch}.pth']


def test_a_best_checkpoint_that_is_written_again_stays(tmp_path):
    """Validating twice in one epoch gives the second best the name of the first."""
    overrides = checkpoint_hook(save_best='toy/a', rule='greater')
    runner = toy_runner(tmp_path, epochs=1, **overrides, **validation([{'a': 1.0}, {'a': 2.0}]))
    runner.train()
    runner.val_loop.run()
    assert 'best_toy_a_epoch_1.pth' in checkpoints_in(tmp_path)


def test_a_kill_after_the_new_best_keeps_both(tmp_path, monkeypatch):
    """Where the run dies between the new best and the update of ``epoch_2.pth``, nothing is lost."""
    saved = []
    save = Runner.save_checkpoint

    def die_at_the_update(self, out_dir, filename, *args, **kwargs):
        saved.append(filename)
        if saved.count('epoch_2.pth') == 2:
            raise KeyboardInterrupt
        save(self, out_dir, filename, *args, **kwargs)

    monkeypatch.setattr(Runner, 'save_checkpoint', die_at_the_update)
    overrides = {**checkpoint_hook(save_best='toy/a', rule='greater'), **validation([{'a': 1.0}, {'a': 2.0}])}
    with pytest.raises(KeyboardInterrupt):
        toy_runner(tmp_path, epochs=2, **overrides).train()
    assert checkpoints_in(tmp_path) == {
        'epoch_1.pth', 'epoch_2.pth', 'best_toy_a_epoch_1.pth', 'best_toy_a_epoch_2.pth'}
    best = torch.load(tmp_path / 'epoch_2.pth', weights_only=True)['message_hub']['runtime_info']['best_ckpt']
    assert Path(best) == tmp_path / 'best_toy_a_epoch_1.pth'


class Validations(Hook):
    """Notes epoch and metrics of each validation; in that of ``last_words`` the run dies, after its first batch."""

    def __init__(self, last_words=None):
        self.done, self.last_words = [], last_words

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.epoch == self.last_words:
            raise KeyboardInterrupt

    def after_val_epoch(self, runner, metrics=None):
        self.done.append((runner.epoch, metrics))


def train(folder, last_words=None, **overrides):
    """Train a toy run; returns its runner and what it has validated."""
    runner, validations = toy_runner(folder, **overrides), Validations(last_words)
    runner.register_hook(validations)
    if last_words:
        with pytest.raises(KeyboardInterrupt):
            runner.train()
    else:
        runner.train()
    return runner, validations.done


@pytest.mark.parametrize('rule', ['greater', 'less'])
def test_a_kill_in_a_validation_costs_nothing_once_resumed(tmp_path, rule):
    """The kill comes in the validation that finds the best."""
    overrides = {'epochs': 3, **validation(), **checkpoint_hook(save_best='toy/error', rule=rule, max_keep_ckpts=2)}
    whole, expected = train(tmp_path / 'whole', **overrides)
    by_error = sorted(expected, key=lambda validated: validated[1]['toy/error'], reverse=rule == 'greater')
    best = by_error[0][0]
    _, before = train(tmp_path / 'killed', last_words=best, **overrides)
    resumed, after = train(tmp_path / 'killed', resume=True, **overrides)

    assert [epoch for epoch, _ in before] == list(range(1, best))
    assert before + after == expected
    errors = [runner.message_hub.get_scalar('val/toy/error').data[0].tolist() for runner in (whole, resumed)]
    assert errors[0] == errors[1] == [metrics['toy/error'] for _, metrics in expected]
    assert 'validated_epoch' not in next(Path(resumed.log_dir).glob('*.log')).read_text()  # no metric
    name = f'best_toy_error_epoch_{best}.pth'
    assert checkpoints_in(tmp_path / 'killed') == checkpoints_in(tmp_path / 'whole') == {
        'epoch_2.pth', 'epoch_3.pth', name}
    for file in (name, 'epoch_3.pth'):
        pair = [torch.load(tmp_path / run / file, weights_only=True) for run in ('whole', 'killed')]
        assert all(torch.equal(pair[1]['state_dict'][key], value) for key, value in pair[0]['state_dict'].items())
        infos = [checkpoint['message_hub']['runtime_info'] for checkpoint in pair]
        assert infos[0]['best_score'] == infos[1]['best_score'] == expected[best - 1][1]['toy/error']
        assert Path(infos[1]['best_ckpt']) == tmp_path / 'killed' / name


SCORED = {'epochs': 3, **checkpoint_hook(save_best='toy/a', rule='greater')}


@pytest.fixture(scope='module')
def scored(tmp_path_factory) -> Path:
    """Folder of a run whose first epoch is the best. Not to be changed."""
    folder = tmp_path_factory.mktemp('scored')
    train(folder, **SCORED, **validation([{'a': 3.0}, {'a': 2.0}, {'a': 1.0}]))
    return folder


@pytest.mark.parametrize(('epoch', 'settings', 'expected'), [
    (1, {'val_interval': 1}, [2, 3]),  # epoch_1.pth was written again with the best score: it knows its validation
    (2, {'val_interval': 1}, [2, 3]),  # no new best, so epoch_2.pth was not written again
    (3, {'val_interval': 1}, [3]),
    (2, {'val_interval': 3}, [3]),  # mmengine's loop would not validate epoch 2 either
    (2, {'val_interval': 1, 'val_begin': 3}, [3]),
    (2, {'val_interval': 3, 'dynamic_intervals': [(2, 2)]}, [2, 3]),
])
def test_a_resumed_run_validates_what_its_checkpoint_does_not_know(scored, tmp_path, epoch, settings, expected):
    runner, done = train(
        tmp_path, **SCORED, **validation([{'a': 0.0}] * 3), train_cfg={'by_epoch': True, 'max_epochs': 3, **settings},
        load_from=str(scored / f'epoch_{epoch}.pth'), resume=True)
    assert [epoch for epoch, _ in done] == expected
    assert runner.epoch == 3


@pytest.mark.parametrize('resume', [True, False])
def test_a_new_run_validates_after_its_epochs_alone(scored, tmp_path, resume):
    source = {'resume': True} if resume else {'load_from': str(scored / 'epoch_2.pth')}
    _, done = train(tmp_path, epochs=1, **validation(), **checkpoint_hook(), **source)
    assert [epoch for epoch, _ in done] == [1]


def test_a_metric_that_is_absent_is_named(tmp_path):
    runner = toy_runner(tmp_path, epochs=1, **checkpoint_hook(save_best='toy/mAP'), **validation([{'a': 1.0}]))
    with pytest.raises(InputError, match='save_best names toy/mAP.*choose from toy/a'):
        runner.train()


def test_the_rule_follows_from_the_name_of_the_metric():
    keys = ['densesirst/mAP_07', 'densesirst/recall', 'densesirst/f1', 'densesirst/sky_iou', 'densesirst/FPPI_other',
            'densesirst/FPPI_sky_recall90', 'densesirst/found_FPPI_other', 'densesirst/found_FPPI_other_found95',
            'densesirst/found_02']
    assert AtomicCheckpointHook(save_best=keys).rules == ['greater'] * 4 + ['less'] * 4 + ['greater']


def test_the_folder_is_where_checkpoints_are(tmp_path):
    """Before the run has begun as after it."""
    work_dir, out_dir = tmp_path / 'run', tmp_path / 'elsewhere'
    assert checkpoint_folder(AtomicCheckpointHook(), str(work_dir)) == str(work_dir)
    assert checkpoint_folder(AtomicCheckpointHook(out_dir=str(out_dir)), f'{work_dir}/') == str(out_dir / 'run')
    toy_runner(work_dir, epochs=1, **checkpoint_hook(out_dir=str(out_dir))).train()
    assert checkpoints_in(out_dir / 'run') == {'epoch_1.pth'}
