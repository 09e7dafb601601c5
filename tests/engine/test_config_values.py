"""Values of configs: each wrong kind of one is one line that names the setting, before anything is built."""
import os
from pathlib import Path

import pytest
from conftest import ROOT, a_third
from mmdet.models.dense_heads import VFNetHead
from mmdet.registry import METRICS, MODELS
from mmengine.evaluator import BaseMetric

from bafenet.engine.config_rules import BY_CLASS, find_rule
from bafenet.engine.options import load_config
from bafenet.errors import InputError

DEMO = str(ROOT / 'configs/demo/bafenet_r18_demo.py')
FILES = sorted(str(file) for file in (ROOT / 'configs').rglob('*.py') if '_base_' not in file.parts)


@pytest.fixture(autouse=True)
def nothing_is_built(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError('something was built')

    monkeypatch.setattr('mmengine.registry.Registry.build', refuse)


def refusal(*options, config=DEMO, **kwargs):
    with pytest.raises(InputError) as caught:
        load_config(config, list(options), **kwargs)
    message = str(caught.value)
    assert message.isprintable() and len(message) < 700
    return message


@pytest.mark.parametrize('file', a_third(FILES), ids=lambda file: Path(file).stem)
def test_every_config_passes(file):
    assert load_config(file).model.type in MODELS


WRONG = '''
train_cfg.max_epochs abc -1 0 2.5 True None [1,2] 1e3
train_cfg.val_interval 0 -1 x
train_cfg.val_begin -1 x
train_cfg.dynamic_intervals abc [1,2]
train_dataloader.batch_size 0 -1 2.0 x None
train_dataloader.num_workers -1 257 1.5 x None
train_dataloader.prefetch_factor 0 -1 x
train_dataloader.persistent_workers 2 x
train_dataloader.dataset 3 x None
train_dataloader.dataset.box_origin 2 True 0.5 x
train_dataloader.dataset.indices -1 0 x
train_dataloader.dataset.pipeline x 3 [a]
train_dataloader.dataset.pipeline.2.scale 512 [0,5] [5] [5,5,5] [100000,5] x [5.5,5]
train_dataloader.dataset.pipeline.3.prob 2 -0.1 nan x
train_dataloader.sampler.repeats 0 -1 nan inf x
train_dataloader 3 x
val_dataloader None 3
val_cfg None x
val_evaluator None x 3
optim_wrapper.optimizer 3 x None
optim_wrapper.optimizer.lr nan 0 -1 inf x None
optim_wrapper.optimizer.weight_decay nan -1 x
optim_wrapper.optimizer.betas 0.9 [0.9] [0.9,1.0] [-1,0.9] [nan,0.9]
optim_wrapper.optimizer.eps -1 nan x
optim_wrapper.clip_grad 35 x
optim_wrapper.clip_grad.max_norm -1 0 nan x
optim_wrapper.accumulative_counts 0 -1 x
optim_wrapper.paramwise_cfg.norm_decay_mult -1 nan x
param_scheduler x 3
param_scheduler.0.begin -1 50 60 x
param_scheduler.0.end 0 x
param_scheduler.1.T_max 0 x 2.5
param_scheduler.1.eta_min_ratio -1 2 nan x
param_scheduler.0.start_factor 2 nan x
model 3 x None
model.backbone 3 x None
model.backbone.depth 19 x None 18.0
model.backbone.num_stages 3 5 x
model.backbone.out_indices 3 [0,9] [1,0] []
model.backbone.base_channels 0 -1 x 100000
model.backbone.stem_channels 0 x
model.backbone.dilations 1 [1,1] [0,1,1,1]
model.backbone.frozen_stages -2 9 x
model.backbone.style x 3
model.backbone.norm_eval 1 x
model.backbone.init_cfg x 3
model.neck.in_channels 16 x [16,-1] [1.5]
model.neck.out_channels 0 x
model.bbox_head.num_classes 0 x True
model.bbox_head.strides 2 [0] [1.5] x
model.bbox_head.regress_ranges 3 [[5,1]] [5] x
model.bbox_head.stacked_convs -1 1.5 x
model.bbox_head.feat_channels 0 x
model.bbox_head.with_seg 1 x
model.bbox_head.assign x 3
model.bbox_head.quality x 3
model.bbox_head.refine x 3
model.bbox_head.exchange x 3
model.bbox_head.exchange.ratio 0 2 nan x
model.bbox_head.exchange.adapter.hidden_channels 0 x
model.bbox_head.loss_cls x None
model.bbox_head.loss_cls.loss_weight -1 nan x
model.bbox_head.loss_cls.alpha -1 7 nan
model.bbox_head.loss_cls.gamma -1 nan x
model.test_cfg x None
model.test_cfg.score_thr 2 -1 nan x
model.test_cfg.nms_pre 0 x
model.test_cfg.max_per_img 0 -1 1.5 x
model.test_cfg.nms.iou_threshold 0 2 nan x
model.test_cfg.nms.type abc
model.test_cfg.calibration x 3 True dict(scores=[0.5]) dict(scores=[0.5,0.4],shares=[0.1,0.2])
model.data_preprocessor.mean x [1,2] [nan,1,1] None
model.data_preprocessor.std [1,1,0] [1,1,-1] [1,1,inf]
model.data_preprocessor.pad_size_divisor 0 x
default_hooks 3 x
default_hooks.checkpoint 3 x
default_hooks.checkpoint.interval 0 x
default_hooks.checkpoint.filename_tmpl x ../x{}.pth x{}{}.pth x{0}.pth
default_hooks.checkpoint.max_keep_ckpts 0 1 x
default_hooks.checkpoint.save_best 3 True
default_hooks.logger.interval 0 -1 x
custom_hooks x [a]
log_processor.window_size 0 x
log_level x 5
randomness.seed -1 4294967296 1.5 x
env_cfg x None
env_cfg.cudnn_benchmark 1 x
env_cfg.mp_cfg.mp_start_method x
auto_scale_lr.base_batch_size 0 x
test_evaluator.fppi_score -1 2 nan x
test_evaluator.legacy_coordinates 1 x
visualizer 3 x
resume x 1
launcher x
runner_type x 3
default_scope x
find_unused_parameters 3 x
model.backbone.deep_stem 1 x
model.neck.upsample_cfg x
model.backbone.norm_cfg.type XX 3 None
'''


@pytest.mark.parametrize('line', WRONG.split('\n')[1:-1], ids=lambda line: line.split()[0])
def test_a_wrong_value_is_named_with_what_is_allowed(line):
    key, *values = line.split()
    for value in values:
        message = refusal(f'{key}={value}')
        assert message.startswith(f'--cfg-options {key}='), message
        assert any(word in message for word in ('must', 'need', 'goes with', 'is no value', 'not known')), message


@pytest.mark.parametrize(('option', 'words'), [
    ('train_cfg.max_epochs=-1', 'must be a whole number of at least 1, as in train_cfg.max_epochs=14'),
    ('model=3', 'must be a dict of settings; set what is in it, as model.NAME=VALUE'),
    ('model.backbone.depth=19', 'must be one of 18, 34, 50, 101, 152'),
    ('val_dataloader=None', 'needs val_cfg=None and val_evaluator=None too'),
    ('param_scheduler.0.begin=60', 'must be below param_scheduler.0.end=50'),
    ('model.type=BAFEnet', "='BAFEnet' is not known; close: BAFENet"),
    ('optim_wrapper.optimizer.type=Adm', 'close: Adam'),
    ('optim_wrapper.optimizer.type=FPN', 'is none of the optimizers that are registered'),
    ('model.backbone.type=AdamW', 'is none of the models that are registered'),
    ('model.type=no.such.thing', 'is not known'),
    ('optim_wrapper.optimizer.type=Prodigy optim_wrapper.type=5', 'must be the name of a registered class'),
    ('optim_wrapper.optimizer.type=Adagrad optim_wrapper.optimizer.betas=[0.9,0.9]', 'has no'),
    ('model.backbone.type=CompactResNet', 'takes no base_channels, depth, frozen_stages, norm_eval'),
])
def test_the_remedy_is_named(option, words):
    assert words in refusal(*option.split())


@pytest.mark.parametrize('option', [
    'optim_wrapper.optimizer.lr=1', 'train_dataloader.sampler.repeats=0.5', 'model.backbone.init_cfg=None',
    'default_hooks.checkpoint.save_best=None', 'default_hooks.panel=None', 'model.bbox_head.exchange=None',
    'optim_wrapper.clip_grad=None', 'param_scheduler=None', 'load_from=None', 'model.bbox_head.assign=inside',
    'train_dataloader.prefetch_factor=4', 'optim_wrapper.optimizer.type=torch.optim.SGD', 'randomness.seed=None',
    'model.bbox_head.regress_ranges=[(-1,1e8)]', 'model.test_cfg.nms.type=soft_nms', 'train_dataloader.pin_memory=True',
    'val_dataloader=None val_cfg=None val_evaluator=None default_hooks.checkpoint.save_best=None',
    'model.test_cfg.calibration=None', 'model.test_cfg.calibration=False',
    'model.test_cfg.calibration=dict(scores=[0.4],shares=[0.5],likely=0.9)',
])
def test_a_right_value_passes(option):
    load_config(DEMO, option.split())


def test_paths_stay_text():
    cfg = load_config(DEMO, ['train_dataloader.dataset.data_root=2024', 'work_dir=/a b/c,d', 'load_from=1e3'])
    assert (cfg.train_dataloader.dataset.data_root, cfg.work_dir, cfg.load_from) == ('2024', '/a b/c,d', '1e3')


def test_loaders_without_workers_lose_what_needs_workers():
    options = ['train_dataloader.num_workers=0', 'train_dataloader.prefetch_factor=2']
    cfg = load_config(DEMO, options)
    assert not {'persistent_workers', 'prefetch_factor'} & set(cfg.train_dataloader)
    assert cfg.val_dataloader.persistent_workers


@pytest.mark.parametrize(('text', 'words'), [
    ("train_cfg = dict(max_epochs='abc')", "train_cfg.max_epochs='abc' must be a whole number of at least 1; set it"),
    ("model = dict(backbone=dict(type='ResNett'))", "model.backbone.type='ResNett' is not known; close: ResNet"),
    ('model = dict(backbone=dict(depth={1, 2}))', 'model.backbone.depth={1, 2} must be one of'),
    ('model = dict(type=3)', 'model.type=3 must be the name'),
    ("optim_wrapper = dict(optimizer=dict(lr=float('nan')))", 'optim_wrapper.optimizer.lr=nan must be'),
    ("optim_wrapper = dict(optimizer=dict(_delete_=True, type='SGD', lr=0.01))",
     'decay_mult=0.0 needs optim_wrapper.optimizer.weight_decay'),
    ('input_size = 5', 'input_size=5 must be a list of 2 values'),
    ("custom_hooks = [dict(tpye='EMAHook')]", 'custom_hooks='),
    ("default_hooks = {'a\\x1b[31m': 3}", r'default_hooks.a\x1b[31m=3 must be'),
    ("model = dict(neck={'type': '\\x1b[31m'})", r"model.neck.type='\x1b[31m' is not known"),
    ("x = dict()\nfor _ in range(100): x = dict(x=x)\nmodel = dict(train_cfg=x)", 'is nested deeper than 40 levels'),
])
def test_values_of_a_file_are_checked_too(tmp_path, text, words):
    file = tmp_path / 'own.py'
    file.write_text(f"_base_ = '{DEMO}'\n{text}\n")
    message = refusal(config=str(file))
    assert message.startswith(f'{file}: ') and words in message


def test_a_dotted_type_and_a_module_of_the_users_own_work(tmp_path, monkeypatch):
    (tmp_path / 'my_parts.py').write_text('from mmdet.registry import MODELS\nfrom bafenet.models import BAFENet\n'
                                          '@MODELS.register_module(force=True)\nclass MyNet(BAFENet):\n    pass\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    file = tmp_path / 'own.py'
    file.write_text(f"_base_ = '{DEMO}'\ncustom_imports = dict(imports=['bafenet', 'my_parts'])\n"
                    "model = dict(type='MyNet')\noptim_wrapper = dict(optimizer=dict(type='torch.optim.SGD'))\n")
    load_config(str(file))
    assert MODELS.get('MyNet') is not None
    file.write_text(f"_base_ = '{DEMO}'\nmodel = dict(type='my_parts.MyNet')\n")
    load_config(str(file))


def test_modules_of_an_option_are_imported(tmp_path, monkeypatch):
    (tmp_path / 'optional_part.py').write_text('import os\nos.environ["OPTIONAL_PART"] = "imported"\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv('OPTIONAL_PART', '')
    load_config(DEMO, ['custom_imports.imports=[bafenet,optional_part]'])
    assert os.environ['OPTIONAL_PART'] == 'imported'


@pytest.mark.parametrize(('name', 'text'), [
    ('absent_part', None), ('broken_part', 'def'), ('leaving_part', 'raise SystemExit(3)'),
    ('raising_part', 'raise ValueError("a\\nb\\x1b")')])
def test_a_module_that_cannot_be_imported_is_named(tmp_path, monkeypatch, name, text):
    if text:
        (tmp_path / f'{name}.py').write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert f"names '{name}', which cannot be imported" in refusal(f'custom_imports.imports=[{name}]')
    file = tmp_path / 'own.py'
    file.write_text(f"_base_ = '{DEMO}'\ncustom_imports = dict(imports=['{name}'], allow_failed_imports=False)\n")
    assert f"names '{name}', which cannot be imported" in refusal(config=str(file))


@pytest.mark.parametrize('value', ['abc', '3', '[3]'])
def test_custom_imports_of_another_form(value):
    assert 'must be dict(imports=' in refusal(f'custom_imports={value}' if value == 'abc'
                                              else f'custom_imports.imports={value}')


def test_what_a_tool_needs(tmp_path):
    file = tmp_path / 'partial.py'
    file.write_text("train_dataloader = dict(batch_size=2, dataset=dict(type='DenseSIRSTDataset'))\n")
    assert 'partial.py: the config has no model, which is needed here' in refusal(config=str(file))
    load_config(str(file), needs=['train_dataloader.dataset'])
    assert 'the config has no test_dataloader.dataset' in refusal(config=str(file), needs=['test_dataloader.dataset'])


def test_the_rules_name_classes_and_arguments_that_exist():
    from bafenet.compat.registered_types import registries
    from bafenet.engine.registered import class_names, parameters
    classes = {cls.__name__: cls for registry in registries() for kind in registry.module_dict.values()
               if isinstance(kind, type) for cls in kind.__mro__}
    for name, rules in BY_CLASS.items():
        assert name in classes, name
        below = [cls for cls in classes.values() if name in class_names(cls)]
        known = frozenset().union(*map(parameters, below))
        assert set(rules) <= known, (name, set(rules) - known)


def test_the_nearest_class_rules():
    keep = find_rule('default_hooks.checkpoint.max_keep_ckpts', ('AtomicCheckpointHook', 'CheckpointHook'))
    assert not keep.test(1) and find_rule('x.max_keep_ckpts', ('CheckpointHook', )).test(1)
    assert find_rule('model.unheard_of') is None


# --- Arguments that a class of the config's file does not take --------------------------------------------------------


@METRICS.register_module()
class OwnMetric(BaseMetric):
    """A metric as the documentation writes them."""

    def __init__(self, score=0.3, **kwargs):
        super().__init__(**kwargs)

    def process(self, data_batch, data_samples):
        """Nothing."""

    def compute_metrics(self, results):
        """Nothing."""


@MODELS.register_module()
class OwnVFNetHead(VFNetHead):
    """mmdet's VFNetHead calls its parents' constructors out of their order."""


@pytest.mark.parametrize(('text', 'message'), [
    ("test_evaluator = [_base_.test_evaluator, dict(type='OwnMetric', scor=0.2)]",
     "test_evaluator.1: 'OwnMetric' takes no scor; did you mean score?"),
    ("test_evaluator = dict(type='OwnMetric', _delete_=True, prefix='a', colect_device='cpu')",
     "test_evaluator: 'OwnMetric' takes no colect_device; did you mean collect_device?"),
    ("model = dict(bbox_head=dict(exchnge=None))",
     "model.bbox_head: 'BAFEHead' takes no exchnge; did you mean exchange?"),
    ("custom_hooks = [dict(type='AnnotationsHook', priority=49, sample=1)]",
     "custom_hooks.0: 'AnnotationsHook' takes no sample; did you mean samples?"),
])
def test_arguments_that_a_class_of_the_file_does_not_take_are_named(tmp_path, text, message):
    file = tmp_path / 'own.py'
    file.write_text(f"_base_ = '{DEMO}'\n{text}\n")
    assert refusal(config=str(file)) == f'{file}: {message}'


@pytest.mark.parametrize('part', [
    "model = dict(bbox_head=dict(_delete_=True, type='OwnVFNetHead', num_classes=1, in_channels=8, strides=[2]))",
    "model = dict(bbox_head=dict(loss_cls=dict(_delete_=True, type='CrossEntropyLoss', bg_cls_weight=0.1)))",
    "model = dict(backbone=dict(dcn=dict(type='DCNv2', fallback_on_stride=False)))",
    "test_evaluator = dict(type='OwnMetric', _delete_=True, prefix='a', collect_device='cpu')",
    "optim_wrapper = dict(constructor='DefaultOptimWrapperConstructor', paramwise_cfg=dict(norm_decay_mult=0.0))",
])
def test_what_others_read_beside_a_type_is_left_alone(tmp_path, part):
    file = tmp_path / 'own.py'
    file.write_text(f"_base_ = '{DEMO}'\n{part}\n")
    load_config(str(file))
