"""Renamed values: a checkpoint from before is read under the new names, a config of a user gets one line."""
import pytest
import torch
from conftest import ROOT
from mmdet.registry import MODELS

from bafenet.engine.network import build_network
from bafenet.engine.options import load_config, parse_config
from bafenet.errors import InputError
from bafenet.renamed import command_now, new_name, with_new_names

TINY = str(ROOT / 'configs/bafenet/bafenet_hr_tiny_densesirst.py')
CENTRE_SIZE = ['model.bbox_head.box_coding=centre_size', 'model.bbox_head.loss_bbox.type=GIoULoss']


def test_the_value_of_a_key_that_ends_so_is_renamed_and_no_other():
    assert new_name('model.bbox_head.assign', 'dynamic') == new_name('bbox_head.assign', 'dynamic') == 'simota'
    for key, value in (('my_bbox_head.assign', 'dynamic'), ('bbox_head.assign.type', 'dynamic'),
                       ('model.bbox_head.assign', 'nearest'), ('optim_wrapper.loss_scale', 'dynamic'),
                       ('model.bbox_head.assign', dict(type='NearestAssigner'))):
        assert new_name(key, value) is None
    config = dict(model=dict(bbox_head=dict(assign='dynamic', strides=(2, ), other=[0, None, '', 'dynamic'])))
    assert with_new_names(config) == dict(
        model=dict(bbox_head=dict(assign='simota', strides=(2, ), other=[0, None, '', 'dynamic'])))
    assert config['model']['bbox_head']['assign'] == 'dynamic'


def test_a_recorded_command_of_a_config_that_is_gone_is_given_by_an_option():
    train = 'python tools/train.py configs/bafenet/bafenet'
    assert command_now(f'{train}_hr_tiny_trainval_densesirst.py --seed 0') == (
        f'{train}_hr_tiny_densesirst.py --trainval --seed 0')
    assert command_now(f'{train}_r18_scratch_densesirst.py') == f'{train}_r18_densesirst.py --scratch'
    for same in (f'{train}_hr_tiny_densesirst.py --trainval --seed 0', 'mine.py --scratch', ''):
        assert command_now(same) == same


def test_a_checkpoint_from_before_is_read_under_the_new_name(tmp_path):
    cfg = load_config(TINY, [*CENTRE_SIZE, 'model.bbox_head.assign=simota'])
    network = MODELS.build(cfg.model)
    text = cfg.pretty_text.replace("assign='simota'", "assign='dynamic'")
    assert text != cfg.pretty_text
    torch.save(dict(state_dict=network.state_dict(), meta=dict(cfg=text)), tmp_path / 'old.pth')
    checkpoint = torch.load(tmp_path / 'old.pth')
    there = parse_config(checkpoint['meta']['cfg'], 'old.pth')
    assert there.to_dict() == cfg.to_dict()
    assert build_network(there, checkpoint, 'old.pth').bbox_head.assign == 'simota'


@pytest.mark.parametrize('place', ['option', 'file'])
def test_a_config_that_says_the_old_name_is_one_line_with_the_new_one(place, tmp_path):
    file = tmp_path / 'mine.py'
    head = "model = dict(bbox_head=dict(assign='dynamic'))\n" if place == 'file' else ''
    file.write_text(f'_base_ = {TINY!r}\n{head}')
    options = ['model.bbox_head.assign=dynamic'] if place == 'option' else []
    with pytest.raises(InputError, match="model.bbox_head.assign='?dynamic'? is called 'simota' now; write that"):
        load_config(str(file), [*CENTRE_SIZE, *options])
