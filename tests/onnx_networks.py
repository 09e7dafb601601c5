"""Networks of every family at a fraction of their width, as checkpoints, for the tests of ONNX files."""
from pathlib import Path

import numpy as np
import torch
from conftest import ROOT
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn

from bafenet.engine.options import load_config
from bafenet.engine.silent_logging import quiet

FAMILIES = {
    'bafenet_r18': 'bafenet/bafenet_r18_densesirst.py',
    'hr_tiny': 'bafenet/bafenet_hr_tiny_densesirst.py',
    'hr_tiny_masks': 'bafenet/bafenet_hr_tiny_masks.py',
    'hr_base': 'bafenet/bafenet_hr_base_densesirst.py',
    'dynamic_r18': 'bafenet/bafenet_dynamic_r18_densesirst.py',
    'bafenet_r50_paper': 'bafenet/bafenet_r50_paper_densesirst.py',
    'fcos_r50': 'baselines/fcos_r50_densesirst.py',
    'nearest_r18': 'bafenet/bafenet_r18_nearest_densesirst.py',
    'dynamic_r50_paper': 'bafenet/bafenet_dynamic_r50_paper_densesirst.py',
    'fcos_r18_paper': 'baselines/fcos_r18_paper_densesirst.py',
}
TRAINED_ON = dict(names=['a', 'b'], sha256=torch.arange(16, dtype=torch.uint8).view(2, 8))
CLASSES = ('Target', 'Decoy')


def narrow_config(family: str, classes: int = 1) -> Config:
    """The family's config, narrow and shallow; networks that resize do so to 96x64."""
    cfg = load_config(str(ROOT / 'configs' / FAMILIES[family]))
    model = cfg.model
    if model.backbone.type == 'CompactResNet':
        width, channels = [8] * len(model.backbone.stage_channels), 8
        model.backbone.update(stage_channels=width, stage_blocks=[1] * len(width), stem_channels=4)
        model.bbox_head.exchange.adapter.hidden_channels = 4
        model.bbox_head.side_knots = (1, 2, 3, 4, 5, 6, 8, 16)
    else:
        expansion = 4 if model.backbone.depth == 50 else 1
        # Two channels a group: at the coarsest level a frame is one point, and GN wants two values.
        width, channels = [4 * 2**i * expansion for i in range(4)], 64
        model.backbone.update(base_channels=4, stem_channels=4, init_cfg=None)
    model.neck.update(in_channels=width[:len(model.neck.in_channels)], out_channels=channels)
    model.bbox_head.update(in_channels=channels, feat_channels=channels, stacked_convs=1, num_classes=classes)
    model.test_cfg.update(nms_pre=150, score_thr=0.02)
    for step in cfg.test_dataloader.dataset.pipeline:
        if step['type'] == 'Resize':
            step['scale'] = (96, 64)
    return cfg


def write_network(family: str, file: Path, classes: int = 1, **test_cfg) -> Path:
    """A checkpoint of the family whose weights find something."""
    init_default_scope('mmdet')
    cfg = narrow_config(family, classes)
    cfg.model.test_cfg.update(test_cfg)
    torch.manual_seed(0)
    text = cfg.pretty_text
    network = MODELS.build(cfg.model)
    with quiet():
        network.init_weights()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.running_mean, std=0.1)
                nn.init.uniform_(module.running_var, 0.5, 2)
        head = network.bbox_head
        for layer, gain, bias in ((head.conv_cls, 2.0, -1.0), (head.conv_centerness, 1.0, 0.0),
                                  (head.conv_reg, 0.3, 1.0), (getattr(head, 'conv_seg', None), 1.0, 0.0),
                                  (getattr(head, 'conv_mask', None), 3.0, -1.0)):
            if layer is not None:
                fan_in = layer.weight[0].numel()
                nn.init.normal_(layer.weight, std=gain / fan_in**0.5)
                nn.init.constant_(layer.bias, bias)
        # What may be a target may be a decoy too: neither suppresses the other.
        head.conv_cls.weight[1:] = 0.9 * head.conv_cls.weight[:1]
    meta = dict(cfg=text, dataset_meta=dict(classes=CLASSES[:classes]), training_images=TRAINED_ON)
    torch.save(dict(meta=meta, state_dict=network.state_dict()), file)
    return file


def frames_of(*shape, seed=0) -> np.ndarray:
    """Noise with spots: uint8 of this shape (N, H, W, C)."""
    rng = np.random.default_rng(seed)
    frames = rng.integers(20, 90, shape, dtype=np.uint8)
    frames[rng.random(shape) > 0.98] = 250
    return frames
