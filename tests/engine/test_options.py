"""Configs and ``--cfg-options``: wrong keys are refused, right ones reach the config."""
import pytest
from conftest import ROOT
from mmengine.config import Config

from bafenet.engine.options import load_config, parse_options
from bafenet.errors import InputError

BAFENET = str(ROOT / 'configs/bafenet/bafenet_r50_densesirst.py')


@pytest.mark.parametrize(('option', 'value'), [
    ('model.backbone.depth=18', 18),
    ('model.backbone.init_cfg=None', None),
    ('train_cfg.max_epochs=3', 3),
    ('train_dataloader.dataset.pipeline.2.prob=0.25', 0.25),
    ('test_dataloader.dataset.pipeline.1.scale=[640,512]', [640, 512]),
    ('model.test_cfg.whole_pixels=True', True),
    ('optim_wrapper.accumulative_counts=2', 2),  # A parameter of the constructor that the config does not name.
    ('optim_wrapper.clip_grad.max_norm=35', 35),
    ('model.backbone.deep_stem=True', True),
    ('model.bbox_head.norm_on_bbox=True', True),  # A parameter of the parent class.
    ('model.test_cfg.nms.iou_threshold=0.3', 0.3),
    ('model.bbox_head.exchange=None', None),
    ('default_hooks.checkpoint.max_keep_ckpts=5', 5),
    ('param_scheduler.1.milestones=[1,2]', [1, 2]),
])
def test_a_setting_reaches_the_config(option, value):
    node = load_config(BAFENET, [option])
    for part in option.split('=')[0].split('.'):
        node = node[int(part)] if part.isdigit() else node[part]
    assert node == value


def test_an_option_may_need_a_type_that_another_sets():
    options = ['optim_wrapper.optimizer.type=Prodigy', 'optim_wrapper.optimizer.d_coef=2.0']
    assert load_config(BAFENET, options).optim_wrapper.optimizer.d_coef == 2.0
    with pytest.raises(InputError, match='d_coef'):
        load_config(BAFENET, options[1:])


@pytest.mark.parametrize(('option', 'message'), [
    ('model.backbone.dept=18', 'did you mean model.backbone.depth'),
    ('modle.backbone.depth=18', "the config has no 'modle'; did you mean model"),
    ('model.bbox_head.exchange.ration=0.25', 'did you mean model.bbox_head.exchange.ratio'),
    ('train_dataloader.dataset.pipeline.9.prob=1', "train_dataloader.dataset.pipeline has no '9'"),
    # What the config has made of its variables is in the settings already.
    ('train_pipeline.2.keep_ratio=True', 'train_pipeline is a variable of the config file'),
    ('max_epochs=3', 'max_epochs is a variable'),
    ('data_root=/x', 'data_root is a variable'),
    ('model.backbone.depth.x=1', "model.backbone.depth has no 'x'"),
    ('optim_wrapper.optimizer.momentun=1', 'momentun'),
    ('no_value', 'must be KEY=VALUE'),
    ('train_pipeline=[(1,2]', 'Imbalanced brackets'),
])
def test_a_wrong_option_is_one_line(option, message):
    with pytest.raises(InputError) as caught:
        load_config(BAFENET, [option])
    assert message in str(caught.value) and '\n' not in str(caught.value)


def test_a_config_that_does_not_exist_names_those_that_are_close():
    with pytest.raises(InputError, match=r'densisrst.py: no such config; close: .*bafenet_r50_densesirst.py'):
        load_config('configs/bafenet/bafenet_r50_densisrst.py')


@pytest.mark.parametrize('text', ['model = dict(', 'model = undefined_name', '_base_ = "./absent.py"'])
def test_a_config_that_cannot_be_read_is_one_line(tmp_path, text):
    file = tmp_path / 'broken.py'
    file.write_text(text)
    with pytest.raises(InputError, match='broken.py: the config cannot be read') as caught:
        load_config(str(file))
    assert '\n' not in str(caught.value)


def test_values_are_parsed():
    assert parse_options(['a=1', 'b.c=0.5', 'd=(1,2)', 'e=None', 'f=true', 'g=text', 'h=x=y']) == {
        'a': 1, 'b.c': 0.5, 'd': (1, 2), 'e': None, 'f': True, 'g': 'text', 'h': 'x=y'}


def test_the_package_finds_its_configs_from_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert isinstance(load_config('configs/bafenet/bafenet_r50_densesirst.py'), Config)
