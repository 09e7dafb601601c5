"""The rows of our own tables train: each takes a step on its own pipelines, and predicts."""
import pytest
from conftest import ROOT, a_third, train_a_step_and_predict

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
    sample = train_a_step_and_predict(cfg, devkit)
    assert ('pred_sem_seg' in sample) == cfg.model.bbox_head.get('with_seg', True)
