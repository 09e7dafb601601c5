"""The rows of our own tables train: each takes a step on its own pipelines, and predicts."""
import pytest
import torch
from conftest import ROOT, a_third
from mmdet.registry import DATASETS, MODELS

from bafenet.reproduction.plan import row_config
from bafenet.reproduction.tables import select_tables

# tests/test_ablations.py has those of the paper's tables.
ROWS = {row.key: row for name in ('hr', 'differences') for table in select_tables(name) for row in table.runnable}


@pytest.mark.parametrize('key', a_third(ROWS))
def test_every_row_trains_a_step_and_predicts(key, devkit, monkeypatch):
    monkeypatch.chdir(ROOT)
    # The demo's images are small.
    cfg = row_config(ROWS[key], 'demo' if 'demo' in ROWS[key].base else 'ours')
    loaders = cfg.train_dataloader, cfg.test_dataloader
    for step in (step for loader in loaders for step in loader.dataset.pipeline if step.type == 'Resize'):
        step.scale = (64, 64)
    torch.manual_seed(0)
    network = MODELS.build(cfg.model)
    # Serialising two samples collects the garbage of the whole test run.
    own = dict(data_root=str(devkit), ann_file='Splits/test_v2.txt', serialize_data=False)
    train, test = (DATASETS.build({**loader.dataset, **own}) for loader in loaders)
    batch = [train[0], train[1]]
    batch = {name: [sample[name] for sample in batch] for name in batch[0]}
    total, _ = network.train().parse_losses(network(**network.data_preprocessor(batch, True), mode='loss'))
    total.backward()
    assert torch.isfinite(total)
    with torch.no_grad():
        sample, = network.eval().test_step({name: [value] for name, value in test[0].items()})
    assert sample.pred_instances.bboxes.shape[1] == 4
    assert ('pred_sem_seg' in sample) == cfg.model.bbox_head.get('with_seg', True)
