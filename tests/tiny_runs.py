"""Options that make the demo's network and loaders tiny, and runs in this process, for whole tables in seconds."""
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from conftest import ROOT
from mmengine.config import Config

from bafenet.reproduction import reproduce, worker

DEMO = str(ROOT / 'configs/demo/bafenet_r18_demo.py')


def tiny_options() -> list[str]:
    """``--cfg-options`` of a run: images of 64x64, two a step, no processes that load them."""
    options = ['model.test_cfg.score_thr=0.001', 'train_cfg.val_interval=1', 'default_hooks.panel.num_images=1']
    cfg = Config.fromfile(DEMO, import_custom_modules=False)
    for stage in ('train', 'val', 'test'):
        loader = f'{stage}_dataloader'
        step = [step.type for step in cfg[loader].dataset.pipeline].index('Resize')
        options += [f'{loader}.num_workers=0', f'{loader}.persistent_workers=False', f'{loader}.batch_size=2',
                    f'{loader}.dataset.serialize_data=False', f'{loader}.dataset.pipeline.{step}.scale=(64,64)']
    return options


@contextmanager
def runs_in_this_process() -> Iterator[None]:
    """Each run in this process, and its config as it comes: laying it out, five times, takes longer than to train."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reproduce, 'launch', worker.work)
        patch.setattr('mmengine.config.config.FormatCode', lambda text, **style: (text, True))
        patch.chdir(ROOT)
        yield
