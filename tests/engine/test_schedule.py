"""--epochs: rates, windows and validations keep their share of the training, whatever its length."""
import math

import pytest
import torch
from conftest import ROOT
from mmengine.config import Config
from mmengine.registry import PARAM_SCHEDULERS

from bafenet.engine.options import load_config
from bafenet.engine.schedule import epochs_settings, frames_of, iterations_of_epoch
from bafenet.errors import InputError

HR = str(ROOT / 'configs/bafenet/bafenet_hr_tiny_densesirst.py')
R18 = str(ROOT / 'configs/bafenet/bafenet_r18_densesirst.py')
DEMO = str(ROOT / 'configs/demo/bafenet_r18_demo.py')


def scaled(config, epochs, iterations=None):
    return load_config(config, settings=[('--epochs', lambda cfg: epochs_settings(cfg, epochs, iterations))])


def rates(cfg, iterations):
    """The learning rate of each iteration, by mmengine's own schedulers."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    built = []
    for scheduler in cfg.param_scheduler:
        scheduler = dict(scheduler)
        cls = PARAM_SCHEDULERS.get(scheduler.pop('type'))
        if scheduler.pop('convert_to_iter_based', False):
            built.append((True, cls.build_iter_from_epoch(optimizer=optimizer, epoch_length=iterations, **scheduler)))
        else:
            built.append((not scheduler.get('by_epoch', True), cls(optimizer=optimizer, **scheduler)))
    found = []
    for step in range(cfg.train_cfg.max_epochs * iterations):
        found.append(optimizer.param_groups[0]['lr'])
        for by_iteration, scheduler in built:
            if by_iteration or (step + 1) % iterations == 0:
                scheduler.step()
    return found


@pytest.mark.parametrize(('epochs', 'late', 'interval'), [(5, 4, 1), (10, 9, 2), (29, 26, 5), (58, 52, 10), (3, 2, 1)])
def test_each_phase_of_the_hr_networks_keeps_its_share(epochs, late, interval):
    cfg = scaled(HR, epochs, 100)
    warm_up, first, step, second = cfg.param_scheduler
    assert cfg.train_cfg.max_epochs == epochs and cfg.train_cfg.val_interval == interval
    assert (first.begin, first.end, first.T_max) == (0, late, late)
    assert step.milestones == [late] and step.gamma == 35.0
    assert (second.begin, second.end, second.T_max) == (late, epochs, epochs - late)
    assert cfg.train_dataloader.dataset.pipeline[2].late_epoch == late
    assert warm_up.end == min(50, epochs * 10)
    found = rates(cfg, 100)
    assert found[0] == pytest.approx(0.1, rel=0.01) and max(found) > 0.9
    assert found[late * 100 - 1] < 0.02 and found[-1] < 0.02
    assert found[late * 100] == pytest.approx(0.35, rel=0.05)


@pytest.mark.parametrize('epochs', [1, 2])
def test_a_training_too_short_for_late_windows_has_one_cosine(epochs):
    cfg = scaled(HR, epochs, 8)
    cosine = cfg.param_scheduler[-1]
    assert [one.type for one in cfg.param_scheduler if one.type != 'LinearLR'] == ['CosineAnnealingLR']
    assert (cosine.begin, cosine.end, cosine.T_max) == (0, epochs, epochs)
    assert cfg.train_dataloader.dataset.pipeline[2].late_epoch >= epochs and cfg.train_cfg.val_interval == 1
    assert rates(cfg, 8)[-1] < 0.2


def test_the_same_number_changes_nothing():
    for config, epochs in ((HR, 29), (R18, 20), (DEMO, 14)):
        assert scaled(config, epochs, 10**6).to_dict() == load_config(config).to_dict()


@pytest.mark.parametrize(('epochs', 'milestones'), [(10, [4, 8]), (5, [2, 4]), (40, [16, 32]), (2, [1]), (1, None)])
def test_steps_of_the_papers_schedule(epochs, milestones):
    cfg = scaled(R18, epochs, 768)
    steps = [one for one in cfg.param_scheduler if one.type == 'MultiStepLR']
    assert [one.milestones for one in steps] == ([milestones] if milestones else [])
    assert [one.end for one in steps] == ([epochs] if milestones else [])
    assert cfg.param_scheduler[0].end == min(500, epochs * 768 // 10)


def test_the_curve_over_the_share_of_the_training_is_the_same():
    long, short = rates(scaled(DEMO, 40, 50), 50), rates(scaled(DEMO, 10, 200), 200)
    assert len(long) == len(short) == 2000
    assert max(abs(a - b) for a, b in zip(long, short, strict=True)) < 0.01


def test_a_warm_up_is_never_longer_than_a_tenth_and_never_stuck():
    # mmengine's LinearLR of one iteration stays at its start for ever.
    for epochs, iterations, end in ((3, 2, None), (3, 7, 2), (10, 12, 12), (1, 10**4, 50)):
        warm_ups = [one for one in scaled(DEMO, epochs, iterations).param_scheduler if one.type == 'LinearLR']
        assert [one.end for one in warm_ups] == ([] if end is None else [end])
    assert scaled(DEMO, 7).param_scheduler[0].end == 25  # unknown iterations: by the epochs


def schedulers_of(epochs, *schedulers, old=20):
    cfg = Config(dict(train_cfg=dict(max_epochs=old), param_scheduler=list(schedulers)))
    return epochs_settings(cfg, epochs, 100)['param_scheduler']


def test_other_schedulers_follow_too():
    assert schedulers_of(10, dict(type='StepLR', step_size=6)) == [dict(type='StepLR', step_size=3)]
    assert schedulers_of(10, dict(type='PolyLR', begin=2, end=20)) == [dict(type='PolyLR', begin=1, end=10)]
    assert schedulers_of(10, dict(type='CosineRestartLR', periods=[4, 16])) == [
        dict(type='CosineRestartLR', periods=[2, 8])]
    exponential, = schedulers_of(40, dict(type='ExponentialLR', gamma=0.9))
    assert exponential['gamma']**40 == pytest.approx(0.9**20)
    # A cosine that ends before the training keeps its place in it.
    assert schedulers_of(10, dict(type='CosineAnnealingLR', T_max=15, end=15, begin=5)) == [
        dict(type='CosineAnnealingLR', T_max=8, end=8, begin=3)]
    # Warm-ups by epochs: one that vanishes leaves no gap.
    assert schedulers_of(4, dict(type='LinearLR', begin=0, end=1), dict(type='CosineAnnealingLR', begin=1, end=20)) == [
        dict(type='CosineAnnealingLR', begin=0, end=4)]
    assert schedulers_of(1, dict(type='MultiStepLR', milestones=[8, 16])) is None


def test_what_cannot_follow_is_one_line():
    by_iterations = Config(dict(train_cfg=dict(type='IterBasedTrainLoop', max_iters=100)))
    with pytest.raises(InputError, match='--epochs: train_cfg of this config .*has no max_epochs'):
        epochs_settings(by_iterations, 3)
    with pytest.raises(InputError, match=r"--epochs: param_scheduler.0 \('PolyLR'\) counts in iterations"):
        schedulers_of(3, dict(type='PolyLR', by_epoch=False, end=2000))
    for epochs in (0, -1, 10**6):
        with pytest.raises(InputError, match='--epochs'):
            schedulers_of(epochs, dict(type='PolyLR'))
    with pytest.raises(InputError, match=r'max_epochs is a variable .*--epochs N, which the whole schedule follows'):
        load_config(HR, ['max_epochs=5'])


def test_iterations_are_counted_as_the_loader_does(devkit):
    cfg = load_config(R18, [f'train_dataloader.dataset.data_root={devkit}'])
    assert frames_of(cfg) == 8 and iterations_of_epoch(cfg, 8) == math.ceil(3 * 8 / 2)
    assert iterations_of_epoch(cfg, 8, batch_size=5) == 5 and iterations_of_epoch(cfg, 8, processes=2) == 6
    assert frames_of(cfg, 'nowhere') is not None  # ann_file is filled in already
    cfg.train_dataloader.dataset.ann_file = 'Splits/none.txt'
    assert frames_of(cfg) is None


def test_frames_are_counted_through_all_that_wraps_a_dataset(tmp_path):
    (tmp_path / 'Splits').mkdir()
    for name, count in (('one', 4), ('two', 3)):
        (tmp_path / f'Splits/{name}_v2.txt').write_text('\n'.join(f'frame {number}' for number in range(count)))
    one, two = (dict(type='DenseSIRSTDataset', data_root=str(tmp_path), ann_file=f'Splits/{name}_{{splits}}.txt')
                for name in ('one', 'two'))
    thrice = dict(type='RepeatDataset', times=3, dataset=two)
    both = dict(type='ConcatDataset', datasets=[one, two])
    drawn = dict(type='ClassBalancedDataset', oversample_thr=0.1, dataset=two)
    for dataset, expected in (
            (one, 4), (thrice, 9), (dict(type='ConcatDataset', datasets=[one, thrice]), 13),
            (dict(type='MultiImageMixDataset', pipeline=[], dataset=both), 7),
            (dict(one, indices=2), 2), (dict(one, indices=-9), 4), (dict(one, indices=[0, 1, 3]), 3),
            (drawn, None), (dict(type='ConcatDataset', datasets=[one, drawn]), None),
            (dict(type='ConcatDataset', datasets=[one, dict(two, ann_file='Splits/none.txt')]), None)):
        assert frames_of(Config(dict(train_dataloader=dict(dataset=dataset)))) == expected
