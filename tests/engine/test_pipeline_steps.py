"""Steps of a pipeline by their type: in configs, and in keys of options."""
import pytest
from conftest import ROOT
from mmengine.config import Config

from bafenet.engine.options import load_config
from bafenet.engine.pipeline_steps import (
    change_step,
    change_steps,
    insert_steps,
    remove_step,
    step_index,
    without_steps,
)
from bafenet.errors import InputError

R50 = str(ROOT / 'configs/bafenet/bafenet_r50_densesirst.py')
TINY = str(ROOT / 'configs/bafenet/bafenet_hr_tiny_densesirst.py')
TRAIN = 'train_dataloader.dataset.pipeline'


def types(steps):
    return [step['type'] for step in steps]


def test_the_helpers_of_configs_leave_their_input_as_it_is():
    steps = [dict(type='A', x=1), dict(type='mmdet.B'), dict(type='A')]
    assert step_index(steps, 'B') == 1
    assert change_step(steps, 'B', y=2)[1] == dict(type='mmdet.B', y=2)
    assert types(remove_step(steps, 'B')) == ['A', 'A']
    assert steps == [dict(type='A', x=1), dict(type='mmdet.B'), dict(type='A')]
    with pytest.raises(InputError, match=r"the pipeline has 2 entries of type A: 0, 2; give"):
        change_step(steps, 'A', x=2)
    with pytest.raises(InputError, match="has no 'C'; it has 3 entries, by type or number: 0 A, 1 B, 2 A"):
        remove_step(steps, 'C')


def test_steps_of_all_pipelines_below_settings_are_changed_or_left_out():
    pipeline = [dict(type='A', x=1), dict(type='mmdet.B', parts=[[dict(type='A', x=2)], [dict(type='C')]])]
    loader = dict(name='A', datasets=[dict(type='D', pipeline=pipeline), dict(dataset=dict(pipeline=(pipeline[0], )))])
    changed = change_steps(loader, 'A', x=3, y=4)
    new = dict(type='A', x=3, y=4)
    assert changed == dict(name='A', datasets=[
        dict(type='D', pipeline=[new, dict(type='mmdet.B', parts=[[new], [dict(type='C')]])]),
        dict(dataset=dict(pipeline=(new, )))])
    assert change_steps(loader, 'B', parts=[])['datasets'][0]['pipeline'][1] == dict(type='mmdet.B', parts=[])
    more = insert_steps(loader, 'B', dict(type='N'), dict(type='M'))['datasets'][0]['pipeline']
    assert types(more) == ['A', 'N', 'M', 'mmdet.B'] and more[3] == pipeline[1]
    left = without_steps(loader, 'A')
    assert [part.get('pipeline') for part in left['datasets']] == [[dict(type='mmdet.B', parts=[[], [dict(type='C')]])],
                                                                   None]
    assert loader['datasets'][0]['pipeline'] == [dict(type='A', x=1), pipeline[1]]


def test_a_config_of_the_users_own_changes_a_step(tmp_path):
    file = tmp_path / 'own.py'
    file.write_text(f"_base_ = '{R50}'\nfrom bafenet.engine.pipeline_steps import change_step\n"
                    "train_dataloader = dict(dataset=dict(pipeline=change_step(\n"
                    "    _base_.bag_cp_pipeline, 'BAGCopyPaste', prob=0.5)))\n")
    cfg, base = load_config(str(file)), load_config(R50)
    assert cfg.train_dataloader.dataset.pipeline.pop(2) == dict(base.train_dataloader.dataset.pipeline.pop(2), prob=0.5)
    assert cfg.train_dataloader == base.train_dataloader and 'change_step' not in cfg
    assert 'change_step' not in Config.fromfile(file, import_custom_modules=False)


@pytest.mark.parametrize(('config', 'by_type', 'by_number'), [
    (R50, f'{TRAIN}.BAGCopyPaste.prob=0.5', f'{TRAIN}.2.prob=0.5'),
    (R50, f'{TRAIN}.Resize.scale=(640,512)', f'{TRAIN}.3.scale=(640,512)'),
    (R50, 'param_scheduler.MultiStepLR.milestones=[1,2]', 'param_scheduler.1.milestones=[1,2]'),
    (R50, 'custom_hooks.SyncBuffersHook.type=EMAHook', 'custom_hooks.0.type=EMAHook'),
    (R50, f"{TRAIN}.BAGCopyPaste={{'prob': 0.5}}", f'{TRAIN}.2.prob=0.5'),
    (R50, "train_dataloader={'dataset': {'pipeline': {'BAGCopyPaste': {'prob': 0.5}}}}", f'{TRAIN}.2.prob=0.5'),
    (TINY, f'{TRAIN}.BalancedCrop.size=[64,64]', f'{TRAIN}.2.size=[64,64]'),
])
def test_a_type_stands_for_its_number(config, by_type, by_number):
    assert load_config(config, [by_type]).to_dict() == load_config(config, [by_number]).to_dict()
    assert load_config(config, [by_type]).to_dict() != load_config(config).to_dict()


def test_exchanges_in_a_sequence_are_addressed_by_type():
    sequence = ("model.bbox_head.exchange={'_delete_': True, 'type': 'SequentialExchange', 'exchanges': ["
                "{'type': 'SpatialExchange'}, {'type': 'ChannelExchange'}]}")
    cfg = load_config(R50, [sequence])
    from bafenet.engine.config_changes import apply_settings
    apply_settings(cfg, {'model.bbox_head.exchange.exchanges.ChannelExchange.ratio': 0.25}, 'here')
    assert cfg.model.bbox_head.exchange.exchanges == [
        dict(type='SpatialExchange'), dict(type='ChannelExchange', ratio=0.25)]


def test_a_step_is_removed_by_none():
    before = load_config(R50)
    for key in (f'{TRAIN}.BAGCopyPaste', f'{TRAIN}.2'):
        cfg = load_config(R50, [f'{key}=None'])
        assert types(cfg.train_dataloader.dataset.pipeline) == [
            'LoadInfraredImage', 'LoadSkyAnnotations', 'Resize', 'RandomFlip', 'PackInfraredInputs']
        assert cfg.val_dataloader == before.val_dataloader and cfg.model == before.model
    assert load_config(R50, ['custom_hooks.SyncBuffersHook=None']).custom_hooks == []


def test_numbers_mean_the_steps_of_the_file_whatever_is_removed():
    options = [f'{TRAIN}.BAGCopyPaste=None', f'{TRAIN}.4.prob=0.25', f'{TRAIN}.LoadSkyAnnotations=None',
               f'{TRAIN}.Resize.keep_ratio=True']
    for given in (options, options[::-1]):
        first, resize, flip, last = load_config(R50, given).train_dataloader.dataset.pipeline
        assert (first.type, resize.keep_ratio, flip.prob, last.type) == (
            'LoadInfraredImage', True, 0.25, 'PackInfraredInputs')


@pytest.mark.parametrize(('options', 'words'), [
    ([f'{TRAIN}.BagCopyPaste.prob=1'], f"{TRAIN}.BagCopyPaste.prob: {TRAIN} has no 'BagCopyPaste'; it has 6 entries, "
     'by type or number: 0 LoadInfraredImage, 1 LoadSkyAnnotations, 2 BAGCopyPaste, 3 Resize, 4 RandomFlip, '
     '5 PackInfraredInputs; did you mean BAGCopyPaste?'),
    ([f'{TRAIN}.Mosaic=None'], "has no 'Mosaic'"),
    ([f'{TRAIN}.BAGCopyPaste.prod=1'], f'{TRAIN}.BAGCopyPaste.prod: '),
    ([f'{TRAIN}.BAGCopyPaste.prob=7'], f'{TRAIN}.BAGCopyPaste.prob=7 must be a finite number'),
    ([f"{TRAIN}.BAGCopyPaste={{'prob': 7}}"], f'{TRAIN}.BAGCopyPaste.prob=7 must be a finite number'),
    ([f'{TRAIN}.BAGCopyPaste.prob=0.5', f'{TRAIN}.2.prob=0.25'], f'{TRAIN}.BAGCopyPaste.prob=0.5 is given too'),
    ([f'{TRAIN}.BAGCopyPaste=None', f'{TRAIN}.2.prob=0.25'], f'{TRAIN}.BAGCopyPaste is given too, of which'),
    ([f'{TRAIN}.\x1b[31m.prob=1'], r'\x1b[31m'),
    (['param_scheduler.ConstantLR.begin=600'], 'param_scheduler.ConstantLR.begin=600 must be below'),
])
def test_errors_name_the_step_as_it_was_given(options, words):
    with pytest.raises(InputError) as caught:
        load_config(R50, options)
    message = str(caught.value)
    assert message.startswith('--cfg-options ') and words in message and message.isprintable()


def test_two_steps_of_a_type_are_listed_with_their_numbers(tmp_path):
    file = tmp_path / 'own.py'
    file.write_text(f"_base_ = '{R50}'\nsteps = list(_base_.bag_cp_pipeline)\nsteps.insert(1, steps[4])\n"
                    "train_dataloader = dict(dataset=dict(pipeline=steps))\n")
    with pytest.raises(InputError) as caught:
        load_config(str(file), [f'{TRAIN}.RandomFlip.prob=0.1'])
    assert f'{TRAIN} has 2 entries of type RandomFlip: {TRAIN}.1, {TRAIN}.5; give the number' in str(caught.value)
    with pytest.raises(InputError, match='2 entries of type RandomFlip'):
        load_config(str(file), [f'{TRAIN}.RandomFlip=None'])
    assert load_config(str(file), [f'{TRAIN}.5.prob=0.1']).train_dataloader.dataset.pipeline[5].prob == 0.1


def test_a_type_of_a_module_is_named_by_its_last_part():
    cfg = load_config(R50, ["custom_hooks=[{'type': 'mmengine.hooks.EMAHook'}]"])
    from bafenet.engine.config_changes import apply_settings
    apply_settings(cfg, {'custom_hooks.EMAHook.begin_epoch': 2}, 'here')
    assert cfg.custom_hooks == [dict(type='mmengine.hooks.EMAHook', begin_epoch=2)]
