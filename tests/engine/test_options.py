"""Configs and ``--cfg-options``: wrong keys are refused, right ones reach the config."""
import gc
import os
import tempfile

import pytest
from conftest import ROOT
from mmengine.config import Config
from mmengine.logging import MMLogger

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
    ('model.test_cfg.calibration=dict(scores=[0.2],shares=[0.5])', dict(scores=[0.2], shares=[0.5])),
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
    ('=3', 'must be KEY=VALUE'),
    ('model..depth=3', 'the key has an empty part'),
    ('.model=3', 'the key has an empty part'),
    ('model.=3', 'the key has an empty part'),
    (' model=3', 'the key has an empty part'),
    ('train_dataloader.dataset.pipeline.-1.prob=1', "has no '-1'; it has 6 entries"),
    ('train_dataloader.dataset.pipeline.99999999999999999999.prob=1', 'it has 6 entries'),
    ('train_dataloader.dataset.pipeline.².prob=1', 'it has 6 entries'),
    ('train_dataloader.dataset.pipeline.02.prob=1', 'it has 6 entries'),
    ('train_dataloader.dataset.pipeline.prob=1', 'it has 6 entries'),
    ('model.0.depth=1', "model (BAFENet) has no '0'"),
    ('model.__class__=1', "'__class__' is no setting"),
    ('_base_=x', "'_base_' is no setting"),
    ('model._delete_=True', "'_delete_' is no setting"),
    ('model._scope_=x', "'_scope_' is no setting"),
    ('filename=x', "the config has no 'filename'"),
    ('model.pop=x', "model (BAFENet) has no 'pop'"),
    ('mo\x1b[31mdel=3', r'mo\x1b[31mdel'),
    ('model.type=\x1b[31m[]', r'\x1b[31m'),
    ('model.backbone.depth=[1', 'Imbalanced brackets'),
    ('model.backbone.depth=)(', 'Imbalanced brackets'),
    ('model.backbone.depth=[(1,2])', 'Imbalanced brackets'),
    ('model.backbone.depth=' + '[' * 20 + ']' * 20, 'more than 8 brackets'),
    ('model.backbone.depth=' + '1' * 5000, 'the value has 5000 characters'),
    ('model.backbone.depth=' + '9' * 30, 'more than 64 bits'),
    ('model.' * 500 + 'a=1', "model (BAFENet) has no 'model'"),
    ("optim_wrapper.clip_grad={'max_norm':}", 'no Python literal'),
    ('optim_wrapper.clip_grad={max_norm:35}', 'with names and text in quotes'),
    ('optim_wrapper.clip_grad={1,2}', 'no Python literal'),
    ('optim_wrapper.clip_grad={1:2}', '1 is no setting'),
    ('input_size=[640,512]', 'set train_dataloader.dataset.pipeline.3.scale, val_dataloader'),
    ('input_size.0=640', 'complexity.py --shape HEIGHT WIDTH'),
    ('max_epochs=3', 'set train_cfg.max_epochs, param_scheduler.1.end'),
    ('data_root=/x', 'set train_dataloader.dataset.data_root, val_dataloader.dataset.data_root'),
    ('train_pipeline=[(1,2]', 'Imbalanced brackets'),
])
def test_a_wrong_option_is_one_line(option, message):
    with pytest.raises(InputError) as caught:
        load_config(BAFENET, [option])
    assert message in str(caught.value) and str(caught.value).isprintable()


def test_a_config_that_does_not_exist_names_those_that_are_close():
    with pytest.raises(InputError, match=r'densisrst.py: no such config; close: .*bafenet_r50_densesirst.py'):
        load_config('configs/bafenet/bafenet_r50_densisrst.py')


@pytest.mark.parametrize(('options', 'message'), [
    (['train_cfg.max_epochs=3', 'train_cfg.max_epochs=4'], 'train_cfg.max_epochs=3 is given too'),
    (['model.neck=None', 'model.neck.out_channels=3'], 'model.neck is given too, of which it is a part'),
    (['train_cfg.max_epochs=3', 'train_cfg=None'], 'train_cfg is given too, of which it is a part'),
    (['a\x1b=3', 'a\x1b=4'], r'a\x1b=3 is given too'),
])
def test_options_that_contradict_each_other_are_refused(options, message):
    with pytest.raises(InputError) as caught:
        load_config(BAFENET, options)
    assert message in str(caught.value) and str(caught.value).isprintable()


def test_the_same_option_twice_is_one():
    assert load_config(BAFENET, ['train_cfg.max_epochs=3'] * 2).train_cfg.max_epochs == 3


def test_an_option_sets_one_setting_alone(tmp_path):
    file = tmp_path / 'own.py'
    file.write_text(f"_base_ = '{BAFENET}'\nsteps = [dict(type='LoadInfraredImage')]\ntest_evaluator = "
                    "val_evaluator = dict(type='DenseSIRSTMetric')\nval_dataloader = test_dataloader = dict("
                    "dataset=dict(pipeline=steps))\n")
    for config in (BAFENET, str(file)):
        cfg = load_config(config, ['val_evaluator.fppi_score=0.5', 'val_dataloader.dataset.pipeline.0.cache_mb=7'])
        assert cfg.val_evaluator.fppi_score == 0.5 and cfg.val_dataloader.dataset.pipeline[0].cache_mb == 7
        assert 'fppi_score' not in cfg.test_evaluator and 'cache_mb' not in cfg.test_dataloader.dataset.pipeline[0]


def test_items_of_tuples_can_be_set():
    cfg = load_config(BAFENET, ['model.bbox_head.regress_ranges.1.1=100', 'model.bbox_head.regress_ranges.2.0=100'])
    assert cfg.model.bbox_head.regress_ranges == ((-1, 64), (64, 100), (100, 256))


@pytest.fixture
def no_garbage_collection():
    """What is collected where the stack ends, by chance, cannot be taken apart there, and pytest would say so."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize(('text', 'words'), [
    ('', 'the config is empty'),
    ('model = dict(', 'SyntaxError'),
    ('model = undefined_name', 'NameError'),
    ('_base_ = "./absent.py"', 'absent.py'),
    ('_base_ = "./broken.py"', '_base_ files name one another'),
    ('_base_ = "."', 'FileNotFoundError'),
    ('_base_ = 3', 'TypeError'),
    ('import sys\nsys.exit(3)', 'SystemExit: 3'),
    ('raise ValueError("a\x1b[31m\\nb")', r'ValueError: a\x1b[31m'),
    ('def again():\n    again()\nagain()', 'RecursionError'),
    ('a = {}\na["b"] = a', 'RecursionError'),
    ('filename = 3', 'filename is reserved'),
    ('model = dict(type="{{$ABSENT_VARIABLE:}}")', 'ABSENT_VARIABLE'),
    (b'\xff\xfe\x00', 'UnicodeDecodeError'),
    (b'a = 1\0', 'null bytes'),
    ('#' * 2**21, 'larger than 1 MiB'),
])
@pytest.mark.usefixtures('no_garbage_collection')
def test_a_config_that_cannot_be_read_is_one_line(tmp_path, monkeypatch, text, words):
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path / 'temporary'))
    (tmp_path / 'temporary').mkdir()
    file = tmp_path / 'broken.py'
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError) as caught:
        load_config(str(file))
    message = str(caught.value)
    assert message.startswith(f'{file}: ') and words in message and message.isprintable()
    assert not list((tmp_path / 'temporary').iterdir())


@pytest.mark.parametrize('suffix', ['json', 'yaml', 'txt', ''])
def test_a_config_is_a_python_file(tmp_path, suffix):
    file = tmp_path / f'config.{suffix}'
    file.write_text('{"model": 3}')
    with pytest.raises(InputError, match='a config is a Python file and ends in .py'):
        load_config(str(file))


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / 'pipe.py')
    for path in (tmp_path, tmp_path / 'pipe.py', '/dev/zero'):
        with pytest.raises(InputError, match='a folder or no ordinary file'):
            load_config(str(path))
    for path in ('', 'a\0b', 'a\x1b[31m', 'x' * 5000):
        with pytest.raises(InputError, match='no such config') as caught:
            load_config(path)
        assert str(caught.value).isprintable()


def test_an_input_size_that_nothing_is_resized_to_is_a_warning(tmp_path, capsys):
    MMLogger.get_instance('input-size')
    file = tmp_path / 'own.py'
    for text, warned in (('input_size = (5, 5)', True), ('input_size = (192, 192)', False)):
        file.write_text(f"_base_ = '{ROOT / 'configs/demo/bafenet_r18_demo.py'}'\n{text}\n")
        load_config(str(file))
        assert ('input_size=(5, 5) changes nothing' in capsys.readouterr().out) == warned


def test_values_are_parsed():
    assert parse_options(['a=1', 'b.c=0.5', 'd=(1,2)', 'e=None', 'f=true', 'g=text', 'h=x=y']) == {
        'a': 1, 'b.c': 0.5, 'd': (1, 2), 'e': None, 'f': True, 'g': 'text', 'h': 'x=y'}


@pytest.mark.parametrize(('text', 'value'), [
    ('(1,2),(3,4)', [(1, 2), (3, 4)]), ('((1,2),(3,4))', ((1, 2), (3, 4))), ('1,', [1]), ('a,,b', ['a', '', 'b']),
    ('[]', []), ('()', ()), ('[1,[2,(a,b)]]', [1, [2, ('a', 'b')]]), ('/a b/c', '/a b/c'), ('"x y"', 'x y'),
    ("'1'", '1'), ('(1)', (1, )), ('f(x)', 'f(x)'), ('[ 1 , a b ]', [1, 'a b']), ('None,true', [None, True]), ('', '')])
def test_lists_are_parsed(text, value):
    assert parse_options([f'a={text}']) == {'a': value}


def test_the_package_finds_its_configs_from_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert isinstance(load_config('configs/bafenet/bafenet_r50_densesirst.py'), Config)
