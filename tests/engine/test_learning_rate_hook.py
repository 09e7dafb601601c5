"""The log gives the step size that the optimizer applies."""
import json
from pathlib import Path

import pytest
from mmengine.hooks import Hook
from toy_runs import toy_runner


class RecordsSteps(Hook):
    """Notes factor and estimate of the step that the optimizer is about to take."""

    def __init__(self):
        self.steps = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        group = runner.optim_wrapper.optimizer.param_groups[-1]
        self.steps.append((group['lr'], group.get('d')))


@pytest.mark.parametrize('name', ['AdamW', 'DAdaptAdam', 'Prodigy'])
def test_the_log_gives_the_step_size_that_is_applied(tmp_path, name):
    records = RecordsSteps()
    wrapper = {'optimizer': {'type': name, 'lr': 1.0, 'weight_decay': 0.05}, 'paramwise_cfg': {'norm_decay_mult': 0}}
    scheduler = {'type': 'ConstantLR', 'factor': 0.25, 'by_epoch': False, 'end': 5}
    runner = toy_runner(tmp_path, epochs=3, optim_wrapper=wrapper, param_scheduler=scheduler)
    runner.register_hook(records)
    runner.train()
    log_dir = Path(runner.log_dir)
    logged = [json.loads(line)['lr'] for line in (log_dir / 'vis_data' / 'scalars.json').read_text().splitlines()]

    assert {factor for factor, _ in records.steps} == {0.25, 1.0}
    if name == 'AdamW':
        expected = [factor for factor, _ in records.steps]
    else:
        assert len({estimate for _, estimate in records.steps}) > 3
        expected = [factor * estimate for factor, estimate in records.steps]
    assert logged == pytest.approx(expected, rel=1e-6)
    text = next(log_dir.glob('*.log')).read_text()
    assert f'[3][3/3]  base_lr: 1.0000e+00 lr: {expected[-1]:.4e}' in text
    assert len(runner.message_hub.get_scalar('train/lr').data[0]) == len(expected)
