"""Settings changed by dotted keys: dicts that merge or replace, and every check inside them too."""
from copy import deepcopy

import pytest
from conftest import ROOT

from bafenet.engine.config_changes import apply_settings
from bafenet.engine.option_text import as_option
from bafenet.engine.options import load_config
from bafenet.errors import InputError

R50 = str(ROOT / 'configs/bafenet/bafenet_r50_densesirst.py')
DEMO = str(ROOT / 'configs/demo/bafenet_r18_demo_bagcp.py')
CUT = "{'_delete_': True, 'type': 'FinestFPN', 'in_channels': [256, 512, 1024, 2048], 'out_channels': 256}"


def test_a_dict_is_merged_and_with_delete_replaces():
    before = load_config(R50).model
    cfg = load_config(R50, ["model.bbox_head={'stacked_convs': 2, 'exchange': {'ratio': 0.25}}"]).model
    expected = deepcopy(before)
    expected.bbox_head.stacked_convs, expected.bbox_head.exchange.ratio = 2, 0.25
    assert cfg == expected
    assert load_config(R50, [f'model.neck={CUT}']).model.neck == dict(
        type='FinestFPN', in_channels=[256, 512, 1024, 2048], out_channels=256)


def test_delete_works_within_a_dict_and_leaves_no_trace():
    option = ("model={'bbox_head': {'exchange': {'_delete_': True, 'type': 'ChannelExchange', 'adapter': None}}, "
              f"'neck': {CUT}, 'test_cfg': {{'_delete_': False, 'nms_pre': 500}}}}")
    before, cfg = load_config(R50), load_config(R50, [option])
    assert cfg.model.bbox_head.exchange == dict(type='ChannelExchange', adapter=None)
    assert cfg.model.neck.type == 'FinestFPN' and cfg.model.test_cfg == dict(before.model.test_cfg, nms_pre=500)
    assert cfg.model.bbox_head.strides == before.model.bbox_head.strides
    assert '_delete_' not in cfg.pretty_text


def test_a_dict_stands_where_none_did():
    cfg = load_config(R50, ['optim_wrapper.clip_grad=dict(max_norm=35, norm_type=2)',
                            "model.bbox_head.exchange=None"])
    assert cfg.optim_wrapper.clip_grad == dict(max_norm=35, norm_type=2) and cfg.model.bbox_head.exchange is None
    apply_settings(cfg, {'model.bbox_head.exchange': dict(type='SpatialExchange')}, 'here')
    # As attributes, which the other settings are too.
    assert cfg.model.bbox_head.exchange.type == 'SpatialExchange' and cfg.optim_wrapper.clip_grad.max_norm == 35


def test_a_list_is_replaced_and_keys_with_dots_are_given_in_a_dict():
    cfg = load_config(R50, ["optim_wrapper.paramwise_cfg={'_delete_': True, 'custom_keys': {'backbone.layer1': "
                            "{'lr_mult': 0.1}}}", "param_scheduler=[{'type': 'ConstantLR', 'factor': 0.5}]",
                            'model.bbox_head.regress_ranges=((-1, 32), (32, 64), (64, 1e8))'])
    assert cfg.optim_wrapper.paramwise_cfg == dict(custom_keys={'backbone.layer1': dict(lr_mult=0.1)})
    assert cfg.param_scheduler == [dict(type='ConstantLR', factor=0.5)]
    assert cfg.model.bbox_head.regress_ranges == ((-1, 32), (32, 64), (64, 1e8))


def test_an_empty_dict_changes_nothing_and_empties_with_delete():
    assert load_config(R50, ['optim_wrapper.paramwise_cfg={}']).to_dict() == load_config(R50).to_dict()
    cfg = load_config(R50, ["optim_wrapper.paramwise_cfg={'_delete_': True}"])
    assert cfg.optim_wrapper.paramwise_cfg == {}


def test_quoted_paths_are_taken_as_they_are():
    options = [as_option('work_dir', 'it\'s "here", (1'), "train_dataloader.dataset.data_root='2024'",
               as_option('load_from', "'quoted'")]
    cfg = load_config(DEMO, options)
    assert (cfg.work_dir, cfg.train_dataloader.dataset.data_root, cfg.load_from) == (
        'it\'s "here", (1', '2024', "'quoted'")


@pytest.mark.parametrize(('key', 'value', 'words'), [
    ('model.bbox_head', {'stacked_conv': 2}, 'did you mean model.bbox_head.stacked_convs?'),
    ('model.bbox_head', {'exchange': {'ratio': 7}}, 'model.bbox_head.exchange.ratio=7 must be'),
    ('model.bbox_head.exchange', {'_delete_': True, 'type': 'ChannelExchange', 'ratoi': 0.5},
     "'ChannelExchange' takes no ratoi; did you mean ratio?"),
    ('model.bbox_head.exchange', {'_delete_': True, 'type': 'ChannelExchang'}, 'is not known; close: ChannelExchange'),
    ('model.bbox_head.exchange', {'_delete_': True, 'ratio': 0.5}, 'must be a'),
    ('model.bbox_head.exchange', {'_delete_': 'yes'}, "_delete_='yes' must be True or False"),
    ('model.bbox_head', {'exchange': {'adapter': {'_delete_': 1}}}, '_delete_=1 must be True or False'),
    ('model.bbox_head', {'_scope_': 'mmdet'}, "'_scope_' is no setting"),
    ('model.neck', {'_delete_': True, 'type': 'FPN', '_base_': 'x'}, "'_base_' is no setting"),
    ('model.bbox_head', {3: 4}, '3 is no setting'),
    ('model.backbone', {'type': 'CompactResNet'}, 'it takes no depth, frozen_stages'),
    ('model.bbox_head.loss_bbox', {'type': 'L1Loss', 'eps': 0.1}, "model.bbox_head.loss_bbox (L1Loss) has no 'eps'"),
    ('model.bbox_head.loss_cls', {'type': 'IoULoss'}, "give model.bbox_head.loss_cls={'_delete_': True, 'type'"),
    ('train_dataloader.dataset.pipeline', [{'type': 'LoadInfraredImage', 'cache': 3}], 'takes no cache'),
    ('train_dataloader.dataset.pipeline', [{'type': 'RandomFlip', 'prob': 'x'}], 'pipeline.0.prob=\'x\' must be'),
    ('train_dataloader.dataset.pipeline', [3], 'must be a list of'),
    ('model.backbone', {'depth': 'no'}, "model.backbone.depth='no' must be a whole number, as in"),
    ('model.backbone', {'deep_stem': 0}, 'must be True or False'),
    ('custom_hooks', [{'type': 'EMAHook', 'update_buffers': 'no'}], "update_buffers='no' must be True or False"),
    ('optim_wrapper', {'optimizer': {'lr': '2e-3'}}, "optim_wrapper.optimizer.lr='2e-3' must be"),
    ('train_dataloader', {'dataset': {'pipeline': {'Mosaic': None}}}, "has no 'Mosaic'"),
    ('max_epochs', 3, 'max_epochs is a variable'),
    ('train_dataloader.dataset.data_root', 2024, 'must be text'),
    ('model.backbone.depth', {18}, 'no plain value'),
    ('model.backbone.depth', object(), 'no plain value'),
    ('model..depth', 18, 'is no dotted key'),
    (3, 18, 'is no dotted key'),
])
def test_a_wrong_setting_is_one_line_that_names_its_source_and_changes_nothing(key, value, words):
    cfg = load_config(R50)
    before = cfg.to_dict()
    with pytest.raises(InputError) as caught:
        apply_settings(cfg, {'train_cfg.max_epochs': 3, key: value}, 'own.yaml: row b')
    message = str(caught.value)
    assert message.startswith('own.yaml: row b: ') and words in message and message.isprintable()
    assert cfg.to_dict() == before


def test_a_value_within_itself_is_refused():
    value: dict = {}
    value['exchange'] = value
    with pytest.raises(InputError, match='nested deeper'):
        apply_settings(load_config(R50), {'model.bbox_head': value}, 'here')


@pytest.mark.parametrize(('settings', 'words'), [
    ({'model.bbox_head': {'stacked_convs': 2}, 'model.bbox_head.stacked_convs': 3}, 'stacked_convs=2 is given too'),
    ({'model.bbox_head': {'exchange': None}, 'model.bbox_head.exchange.ratio': 0.5}, 'of which it is a part'),
    ({'model.neck': {'_delete_': True, 'type': 'FPN'}, 'model.neck.num_outs': 5}, 'of which it is a part'),
])
def test_settings_that_contradict_each_other_are_refused(settings, words):
    with pytest.raises(InputError, match=words):
        apply_settings(load_config(R50), settings, 'here')


def test_dicts_that_say_different_things_of_one_part_go_together():
    cfg = load_config(R50)
    apply_settings(cfg, {'model.bbox_head': {'stacked_convs': 2}, 'model.bbox_head.exchange.ratio': 0.25}, 'here')
    assert (cfg.model.bbox_head.stacked_convs, cfg.model.bbox_head.exchange.ratio) == (2, 0.25)


def test_settings_come_before_options_and_stay_as_they_were_given():
    row = {'model.bbox_head': {'exchange': {'ratio': 0.25}}, 'train_cfg.max_epochs': 3}
    given = deepcopy(row)
    cfg = load_config(R50, ['train_cfg.max_epochs=4'], settings=[('a row', row), ('another', {'randomness.seed': 5})])
    assert (cfg.model.bbox_head.exchange.ratio, cfg.train_cfg.max_epochs, cfg.randomness.seed) == (0.25, 4, 5)
    cfg.model.bbox_head.exchange.ratio = 0.75
    assert row == given


@pytest.mark.parametrize('settings', [
    {'model.neck': {'_delete_': True, 'type': 'FPN', 'in_channels': [256, 512, 1024, 2048], 'out_channels': 256,
                    'num_outs': 3, 'start_level': 1}},
    {'train_dataloader.dataset.pipeline.BAGCopyPaste': None, 'optim_wrapper.clip_grad': {'max_norm': 35}},
    {'train_dataloader.dataset.pipeline.BAGCopyPaste': {'sigma': (0.3, 0.6), 'background': 'any'}},
    {'model.bbox_head.regress_ranges': ((-1, 64), (64, 128), (128, 1e8)), 'work_dir': "it's, 'here'"},
    {'model.backbone.norm_cfg': {'_delete_': True, 'type': 'GN', 'num_groups': 8, 'requires_grad': True}},
])
def test_settings_and_their_options_give_the_same_config(settings):
    options = [as_option(key, value) for key, value in settings.items()]
    assert load_config(R50, options).to_dict() == load_config(R50, settings=[('a row', settings)]).to_dict()


PIPELINE = 'train_dataloader.dataset.pipeline'
NESTED = [{'type': 'RandomApply',
           'transforms': [{'type': 'RandomFlip', 'prob': 0.5}, {'type': 'Resize', 'scale': [9, 9]}]},
          {'type': 'RandomFlip', 'prob': 0.25}, {'type': 'PackInfraredInputs'}]


def test_delete_replaces_a_step_by_one_of_a_type():
    flip = {'type': 'RandomFlip', 'prob': [0.1, 0.2], 'direction': ['horizontal', 'vertical']}
    cfg = load_config(R50, [as_option(f'{PIPELINE}.RandomFlip', {'_delete_': True, **flip})])
    assert cfg.train_dataloader.dataset.pipeline[4] == flip
    with pytest.raises(InputError, match='RandomFlip=.* has no type'):
        load_config(R50, [f"{PIPELINE}.RandomFlip={{'_delete_': True, 'prob': 0.5}}"])


def test_steps_are_removed_from_lists_within_one_another():
    cfg = load_config(R50, [as_option(PIPELINE, NESTED)])
    inner, outer = f'{PIPELINE}.RandomApply.transforms.RandomFlip', f'{PIPELINE}.RandomFlip'
    for keys in ([inner, outer], [outer, inner]):
        changed = deepcopy(cfg)
        apply_settings(changed, dict.fromkeys(keys), 'here')
        first, last = changed.train_dataloader.dataset.pipeline
        assert [step.type for step in first.transforms] == ['Resize'] and last.type == 'PackInfraredInputs'


def test_a_list_that_needs_an_entry_keeps_one():
    exchange = {'_delete_': True, 'type': 'SequentialExchange', 'exchanges': [{'type': 'SpatialExchange'}]}
    cfg = load_config(R50, [as_option('model.bbox_head.exchange', exchange)])
    with pytest.raises(InputError, match=r'SpatialExchange=None leaves model.bbox_head.exchange.exchanges=\[\]'):
        apply_settings(cfg, {'model.bbox_head.exchange.exchanges.SpatialExchange': None}, 'here')


@pytest.mark.parametrize(('key', 'good', 'bad'), [
    ('custom_hooks.SyncBuffersHook.priority', 'LOW', 300),
    ('param_scheduler.MultiStepLR.convert_to_iter_based', True, 3),
    ('optim_wrapper.constructor', 'DefaultOptimWrapperConstructor', 'Default'),
])
def test_what_mmengine_takes_before_the_constructor_is_a_setting(key, good, bad):
    load_config(R50, [as_option(key, good)])
    with pytest.raises(InputError, match=f'{key}=.* must be'):
        load_config(R50, [as_option(key, bad)])
    with pytest.raises(InputError, match="no 'priority'"):
        load_config(R50, ['model.backbone.priority=3'])


def test_a_key_twice_in_a_dict_is_refused():
    with pytest.raises(InputError, match="'max_norm' stands there twice"):
        load_config(R50, ["optim_wrapper.clip_grad={'max_norm': 35, 'max_norm': 3}"])
