"""Weights of the sky branch, a bottleneck or an exchange are never dropped without a word, whichever door they take."""
from pathlib import Path

import pytest
import torch
from conftest import ROOT
from mmdet.apis import DetInferencer, init_detector
from mmdet.registry import MODELS
from mmengine.registry import RUNNERS
from mmengine.runner import Runner, load_checkpoint

import bafenet
from bafenet.engine import test, train
from bafenet.engine.options import load_config
from bafenet.errors import InputError

DEMO = str(ROOT / 'configs/demo/bafenet_r18_demo.py')
HEAD = 'model.bbox_head.'
LACKS = {'sky branch': ([HEAD + 'with_seg=False'], 'cls_bottleneck, conv_seg, exchange, seg_bottleneck, seg_convs'),
         'bottlenecks': ([HEAD + 'bottleneck=False'], 'cls_bottleneck, seg_bottleneck'),
         'exchange': ([HEAD + 'exchange=None'], 'exchange'),
         'adapter': ([HEAD + 'exchange.adapter=None'], 'exchange')}


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A config with random weights as a run writes them, by options. Not to be changed."""
    folder = tmp_path_factory.mktemp('weights')

    def write(*options: str) -> str:
        cfg = load_config(DEMO, list(options))
        torch.manual_seed(0)
        file = folder / f'{"_".join(options).replace("/", "_") or "whole"}.pth'
        torch.save(dict(meta=dict(cfg=cfg.pretty_text, epoch=1, iter=4, dataset_meta=dict(
            classes=('Target', ), palette=[(255, 64, 64)])), state_dict=MODELS.build(cfg.model).state_dict()), file)
        return str(file)

    return write


def runner_of(options, folder: Path, plain: bool = False) -> Runner:
    cfg = load_config(DEMO, [*options, f'work_dir={folder}'])
    cfg.load_from = None
    if plain:
        cfg.pop('runner_type')
        return Runner.from_cfg(cfg)
    return RUNNERS.build(cfg)


def fine_tune(options, file: str, folder: Path, devkit: Path):
    """What a training on a devkit loads, without its steps."""
    runner = runner_of([*options, f'train_dataloader.dataset.data_root={devkit}'], folder)
    runner._strict = False
    runner.load_checkpoint(file)
    return runner


DOORS = {
    'init_detector': lambda options, file, folder: init_detector(load_config(DEMO, options), file, device='cpu'),
    'DetInferencer': lambda options, file, folder: DetInferencer(load_config(DEMO, options), file, device='cpu'),
    'load_checkpoint': lambda options, file, folder: load_checkpoint(
        MODELS.build(load_config(DEMO, options).model), file, map_location='cpu'),
    'load_state_dict': lambda options, file, folder: MODELS.build(load_config(DEMO, options).model).load_state_dict(
        torch.load(file, weights_only=True)['state_dict'], strict=False),
    'Runner of mmengine': lambda options, file, folder: runner_of(options, folder, plain=True).load_checkpoint(file),
    'init_cfg': lambda options, file, folder: MODELS.build({**load_config(
        DEMO, options).model, 'init_cfg': dict(type='Pretrained', checkpoint=file)}).init_weights(),
    'init_cfg of the head': lambda options, file, folder: MODELS.build(dict(load_config(
        DEMO, options).model.bbox_head, init_cfg=dict(type='Pretrained', checkpoint=file,
                                                      prefix='bbox_head.'))).init_weights(),
    'train --cfg-options load_from': lambda options, file, folder: train.train(
        DEMO, work_dir=str(folder), cfg_options=[*options, f'load_from={file}']),
    'test': lambda options, file, folder: test.test(DEMO, file, work_dir=str(folder), cfg_options=list(options)),
    'bafenet.load': lambda options, file, folder: bafenet.load(file, device='cpu', config=_written(options, folder)),
}


def _written(options, folder: Path) -> str:
    (folder / 'config.py').write_text(load_config(DEMO, list(options)).pretty_text)
    return str(folder / 'config.py')


@pytest.fixture
def at(devkit):
    """Options by which runs find their data."""
    return [f'{name}_dataloader.{key}' for name in ('train', 'val', 'test') for key in (
        f'dataset.data_root={devkit}', 'num_workers=0')]


@pytest.mark.parametrize('door', DOORS)
@pytest.mark.parametrize('lack', ['sky branch', pytest.param('bottlenecks', marks=pytest.mark.faults)])
def test_no_door_drops_a_part_that_detection_goes_through(trained, at, tmp_path, door, lack):
    options, _ = LACKS[lack]
    with pytest.raises(InputError) as caught:
        DOORS[door]([*options, *at], trained(), tmp_path)
    message = str(caught.value)
    assert '\n' not in message and ('bottleneck' in message or 'does not fit' in message)
    assert not list(tmp_path.glob('*.pth'))


@pytest.mark.parametrize('lack', LACKS)
def test_the_message_names_the_parts_and_the_way_out(trained, tmp_path, lack, devkit):
    options, parts = LACKS[lack]
    file = trained()
    with pytest.raises(InputError, match=f'^checkpoint {file} does not fit .* weights of {parts} of the head') as e:
        fine_tune(options, file, tmp_path, devkit)
    assert 'leave with_seg' in str(e.value) and "'optional'" in str(e.value) and '\n' not in str(e.value)


def test_a_refinement_is_a_part_too(trained, tmp_path, devkit):
    file = trained(HEAD + 'refine=lsk')
    with pytest.raises(InputError, match='has weights of refine of the head'):
        fine_tune([], file, tmp_path, devkit)


@pytest.mark.faults
def test_a_head_of_another_kind_has_none_of_the_parts(trained, tmp_path):
    cfg = load_config(DEMO)
    head = {key: value for key, value in cfg.model.bbox_head.items() if key in ('num_classes', 'in_channels', 'strides',
                                                                                'feat_channels', 'stacked_convs')}
    cfg.model = dict(cfg.model, type='FCOS', bbox_head=dict(type='FCOSHead', regress_ranges=((-1, 1e8), ), **head))
    cfg.work_dir, cfg.load_from = str(tmp_path), None
    runner = RUNNERS.build(cfg)
    runner._strict = False
    with pytest.raises(InputError, match='has weights of cls_bottleneck, conv_seg, exchange'):
        runner.load_checkpoint(trained())


@pytest.mark.parametrize('options', [
    ['model.bbox_head.num_classes=3'], ['model.bbox_head.num_classes=1']], ids=['other classes', 'the same'])
def test_fine_tuning_from_other_classes_is_allowed(trained, tmp_path, devkit, options):
    file = trained()
    runner = fine_tune(options, file, tmp_path, devkit)
    weights = torch.load(file, weights_only=True)['state_dict']
    state = runner.model.state_dict()
    assert torch.equal(state['bbox_head.cls_bottleneck.0.weight'], weights['bbox_head.cls_bottleneck.0.weight'])
    assert len(state['bbox_head.conv_cls.weight']) == int(options[0][-1])


def test_fine_tuning_from_a_backbone_or_a_head_without_a_sky_is_allowed_and_said(trained, tmp_path, devkit):
    state = torch.load(trained(), weights_only=True)['state_dict']
    torch.save({'state_dict': {name: value for name, value in state.items() if name.startswith('backbone.')}},
               tmp_path / 'backbone.pth')
    for file in (str(tmp_path / 'backbone.pth'), trained(HEAD + 'with_seg=False')):
        runner = fine_tune([], file, tmp_path / 'run', devkit)
        log = next(Path(runner.log_dir).glob('*.log')).read_text()
        assert 'missing in the checkpoint' in log and 'bbox_head.cls_bottleneck.0.weight' in log


@pytest.mark.faults
def test_weights_that_fit_take_every_door(trained, tmp_path):
    for door in ('init_detector', 'load_checkpoint', 'Runner of mmengine', 'init_cfg', 'bafenet.load'):
        for options in ([], LACKS['sky branch'][0]):
            DOORS[door](options, trained(*options), tmp_path)
