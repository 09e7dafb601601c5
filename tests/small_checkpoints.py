"""The checkpoint that the tests of the export and of model cards share: the demo's network on the tiny devkit."""
from pathlib import Path

import torch
from conftest import ROOT
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmengine.registry import init_default_scope
from torch import nn

NAME = 'bafenet_test'
PROVENANCE = dict(command='python tools/train.py configs/demo/bafenet_r18_demo.py --seed 3 | tee log', commit='0123abc')


def write_config(file, devkit):
    """The demo's network on the tiny devkit, given by an absolute path as on the machine that trains."""
    cfg = Config.fromfile(ROOT / 'configs/demo/bafenet_r18_demo.py', import_custom_modules=False)
    pipeline = [dict(step, scale=(64, 64)) if step['type'] == 'Resize' else step.to_dict()
                for step in cfg.test_dataloader.dataset.pipeline]
    file.write_text(f"""
_base_ = {str(ROOT / 'configs/demo/bafenet_r18_demo.py')!r}
train_dataloader = dict(dataset=dict(data_root={str(devkit)!r}))
val_dataloader = dict(dataset=dict(data_root={str(devkit)!r}))
test_dataloader = dict(num_workers=0, persistent_workers=False,
                       dataset=dict(data_root={str(devkit)!r}, pipeline={pipeline!r}))
model = dict(test_cfg=dict(score_thr=0.001))
""")
    return str(file)


def write_checkpoint(config):
    """What training leaves: weights with lived-in statistics, laid out channels_last, an optimizer, a history."""
    init_default_scope('mmdet')
    cfg = Config.fromfile(config)
    cfg.work_dir = '/somewhere/work_dirs/tiny'
    torch.manual_seed(0)
    text = cfg.pretty_text
    network = MODELS.build(cfg.model)
    network.init_weights()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
            module.num_batches_tracked.fill_(70_001)
    file = Path(config).with_name('epoch_14.pth')
    meta = dict(cfg=text, seed=3, epoch=14, dataset_meta=dict(CLASSES=('Target',), palette=[(255, 64, 64)]))
    state = network.to(memory_format=torch.channels_last).state_dict()
    torch.save(dict(meta=meta, state_dict=state, message_hub=dict(loss=HistoryBuffer([1.0], [1])),
                    optimizer=dict(state={0: torch.ones(1000)})), file)
    return str(file)
