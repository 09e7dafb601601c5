"""Predicting in bfloat16: weights and features are, scores and boxes are not, and the numbers stay close."""
import copy

import pytest
import torch
from conftest import ROOT
from mmdet.registry import MODELS

from bafenet.engine import precision
from bafenet.engine.options import load_config
from bafenet.engine.precision import set_precision
from bafenet.errors import InputError
from bafenet.models.fuse import fuse_for_prediction


@pytest.mark.parametrize('config', ['demo/bafenet_r18_demo', 'bafenet/bafenet_hr_tiny_densesirst'])
@torch.no_grad()
def test_bfloat16_is_close_and_ends_in_float32(config):
    torch.manual_seed(0)
    network = MODELS.build(load_config(str(ROOT / f'configs/{config}.py')).model).eval()
    fuse_for_prediction(network)
    half = copy.deepcopy(network)
    set_precision(half, 'bfloat16')
    assert next(half.neck.parameters()).dtype == torch.bfloat16
    images = torch.randn(1, 3, 64, 64)
    assert half.extract_feat(images)[0].dtype == torch.bfloat16
    for ours, theirs in zip(*(net.bbox_head(net.extract_feat(images)) for net in (half, network)), strict=True):
        assert ours[0].dtype == torch.float32
        assert (ours[0] - theirs[0]).abs().max() < 0.05 * max(theirs[0].abs().max(), 1)


def test_a_cpu_that_emulates_says_so(monkeypatch):
    said = []
    monkeypatch.setattr(precision, 'print_log', lambda text, *_: said.append(text))
    monkeypatch.setattr(precision, 'multiplies_bfloat16', lambda: False)
    network = MODELS.build(load_config(str(ROOT / 'configs/demo/bafenet_r18_demo.py')).model).eval()
    set_precision(network)
    assert not said and next(network.parameters()).dtype == torch.float32
    set_precision(network, 'bfloat16')
    assert len(said) == 1 and 'emulates' in said[0]


def test_other_precisions_and_networks_are_refused():
    with pytest.raises(InputError, match='bfloat16'):
        set_precision(torch.nn.Conv2d(1, 1, 1), 'int4')
    with pytest.raises(InputError, match='one-stage'):
        set_precision(torch.nn.Conv2d(1, 1, 1), 'bfloat16')
