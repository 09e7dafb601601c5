"""Checks of a run: other settings, boxes beside their targets, losses that are not finite."""
from pathlib import Path

import pytest
import torch
from conftest import a_third, voc_xml
from mmdet.registry import MODELS
from test_training_images import CONFIG, options
from toy_runs import ToyModel, toy_runner

from bafenet.engine import test, train
from bafenet.engine.run_checks import differences, validation_faults
from bafenet.errors import InputError


@MODELS.register_module()
class DivergingModel(ToyModel):
    """A network whose loss, or whose weights, become what a script says in the third step."""

    def __init__(self, value: float, in_weights: bool = False, **kwargs) -> None:
        super().__init__(**kwargs)
        self.value, self.in_weights, self.steps = value, in_weights, 0

    def forward(self, points: torch.Tensor, target: torch.Tensor, mode: str = 'tensor') -> object:
        output = super().forward(points, target, mode)
        self.steps += mode == 'loss'
        if mode == 'loss' and self.steps >= 6:
            if self.in_weights:
                with torch.no_grad():
                    self.head.bias.fill_(self.value)
            else:
                output['loss'] = output['loss'] * self.value
        return output


HOOKS = {'checkpoint': {'type': 'AtomicCheckpointHook', 'interval': 1}, 'finite': {'type': 'FiniteHook'}}


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
@pytest.mark.parametrize('in_weights', [False, True])
def test_a_loss_that_is_not_finite_ends_the_training(tmp_path, value, in_weights):
    """The sixth step is the last of the second epoch: its weights would be written."""
    model = {'type': 'DivergingModel', 'backbone': {'type': 'ToyBackbone'}, 'value': value, 'in_weights': in_weights}
    with pytest.raises(InputError, match='after 6 iterations' if in_weights else 'epoch 2, iteration 6') as caught:
        toy_runner(tmp_path, epochs=3, model=model, default_hooks=HOOKS).train()
    assert '\n' not in str(caught.value)
    assert {file.name for file in tmp_path.glob('*.pth')} == {'epoch_1.pth'}


def test_the_images_of_a_bad_batch_are_named(devkit, tmp_path, monkeypatch):
    monkeypatch.setattr('bafenet.models.bafe_head.BAFEHead.loss_by_feat',
                        lambda self, *args, **kwargs: {'loss_cls': self.conv_cls.bias.sum() * torch.nan})
    with pytest.raises(InputError, match=r'loss, loss_cls not finite in epoch 1, iteration 1, on the images scene_\d'):
        train.train(CONFIG, work_dir=str(tmp_path), cfg_options=options(devkit))


@pytest.fixture(scope='module')
def trained(devkit, tmp_path_factory) -> Path:
    """A checkpoint trained on the tiny devkit. Not to be changed."""
    folder = tmp_path_factory.mktemp('trained')
    train.train(CONFIG, work_dir=str(folder), cfg_options=options(devkit))
    return folder / 'epoch_1.pth'


def log_of(work_dir: Path) -> str:
    return max(work_dir.glob('*/*.log')).read_text()


def test_test_settings_unlike_the_checkpoints_are_one_warning(trained, devkit, tmp_path):
    changed = {'test_dataloader.dataset.box_origin': 1, 'model.test_cfg.max_per_img': 7,
               'test_dataloader.dataset.pipeline.Resize.scale': '(96,96)', 'test_evaluator.fppi_score': 0.5}
    test.test(CONFIG, str(trained), work_dir=str(tmp_path / 'other'), cfg_options=options(devkit, **changed))
    lines = [line for line in log_of(tmp_path / 'other').splitlines() if 'other settings' in line]
    assert len(lines) == 1
    for text in ('box_origin: 0 in the checkpoint, 1 here', 'max_per_img: 100 in the checkpoint, 7 here',
                 'pipeline.1.scale', 'test_evaluator.fppi_score'):
        assert text in lines[0]
    test.test(CONFIG, str(trained), work_dir=str(tmp_path / 'same'), cfg_options=options(devkit))
    assert 'other settings' not in log_of(tmp_path / 'same')


def test_settings_unlike_those_of_the_run_that_is_resumed_are_one_warning(trained, devkit, tmp_path):
    changed = {'train_cfg.max_epochs': 2, 'optim_wrapper.optimizer.lr': 0.5, 'train_dataloader.batch_size': 5,
               'train_dataloader.dataset.box_origin': 1}
    train.train(CONFIG, work_dir=str(tmp_path), resume=str(trained), cfg_options=options(devkit, **changed))
    line, = [line for line in log_of(tmp_path).splitlines() if 'other settings' in line]
    for text in ('batch_size', 'optimizer.lr', 'box_origin'):
        assert text in line


def test_other_names_of_an_only_class_and_other_sky_maps_are_no_other_settings(trained, copy, tmp_path):
    for file in (copy / 'SIRST/BBox').glob('*.xml'):
        file.write_text(file.read_text().replace('Target', 'drone'))
    changed = {'test_dataloader.dataset.metainfo.classes': "['drone']", 'test_dataloader.dataset.sky': 'optional'}
    test.test(CONFIG, str(trained), work_dir=str(tmp_path), cfg_options=options(copy, **changed))
    assert 'other settings' not in log_of(tmp_path)


class Validated:
    """A dataset of frames with labels; those that are negative are ignored."""

    def __init__(self, frames: list, classes: tuple) -> None:
        self.metainfo = {'classes': classes}
        self.frames = [{'img_path': 'frame.png', 'instances': [
            {'bbox_label': abs(label), 'ignore_flag': int(label < 0)} for label in labels]} for labels in frames]

    def __len__(self) -> int:
        return len(self.frames)

    def get_data_info(self, index: int) -> dict:
        return self.frames[index]


@pytest.mark.parametrize(('frames', 'classes', 'expected'), [
    ([[0] * 3, [0] * 3], ('drone', ), ['6 targets in 2 frames: one is 17 %']),
    ([[0] * 20], ('drone', ), []),
    ([[0] * 19, [-1] * 5], ('drone', 'bird'), ['19 targets in 2 frames: one is 5 %', 'no target of bird: no epoch']),
    ([[0] * 30, [2] * 30], ('a', 'b', 'c'), ['no target of b: ']),
    ([[], []], ('drone', ), []),
])
def test_a_validation_that_tells_little_is_named(frames, classes, expected):
    lines = validation_faults(Validated(frames, classes))
    assert len(lines) == len(expected)
    assert all(text in line for text, line in zip(expected, lines, strict=True))


def test_defaults_that_are_said_are_no_difference():
    there = {'type': 'BAFEHead', 'num_classes': 1}
    assert not list(differences(there, {**there, 'assign': 'inside'}, 'model.bbox_head', set()))
    assert list(differences(there, {**there, 'assign': 'nearest'}, 'model.bbox_head', set())) == [
        "model.bbox_head.assign: 'inside' in the checkpoint, 'nearest' here"]


@pytest.mark.parametrize('shift', a_third([1, 0, -1]))
def test_boxes_beside_their_targets_are_told_once(copy, tmp_path, shift):
    for file in (copy / 'SIRST/BBox').glob('*.xml'):
        numbers = [[float(corner.text) + shift for corner in item.find('bndbox')] for item in _objects(file)]
        file.write_text(voc_xml([list(map(int, box)) for box in numbers]))
    train.train(CONFIG, work_dir=str(tmp_path), cfg_options=options(copy))
    lines = [line for line in log_of(tmp_path).splitlines() if 'extents of their target masks' in line]
    assert len(lines) == bool(shift)
    assert not shift or f'({shift:+d}, {shift:+d}, {shift:+d}, {shift:+d})' in lines[0]


def _objects(file: Path) -> list:
    from xml.etree import ElementTree
    return ElementTree.parse(file).getroot().findall('object')


def test_classes_that_the_head_does_not_know_are_refused(devkit, tmp_path):
    two = {f'{loader}_dataloader.dataset.metainfo': "dict(classes=('Target', 'Bird'))"
           for loader in ('train', 'val', 'test')}
    with pytest.raises(InputError, match='Target, Bird and the head 1.*model.bbox_head.num_classes=2'):
        train.train(write_config(tmp_path, two), work_dir=str(tmp_path / 'run'), cfg_options=options(devkit))


def write_config(folder: Path, values: dict) -> str:
    lines = [f"_base_ = {CONFIG!r}"]
    for key, value in values.items():
        loader, dataset, name = key.split('.')
        lines.append(f'{loader} = dict({dataset}=dict({name}={value}))')
    file = folder / 'two_classes.py'
    file.write_text('\n'.join(lines) + '\n')
    return str(file)


@pytest.mark.parametrize('name', ['densesirst/nosuch', 'mAP_12', 'densesirst/mAP_12_legacy'])
def test_a_best_by_what_no_metric_gives_is_refused_at_the_start(devkit, tmp_path, name):
    with pytest.raises(InputError, match=f'save_best names {name}.*choose from densesirst/FPPI'):
        train.train(CONFIG, work_dir=str(tmp_path), cfg_options=options(
            devkit, **{'default_hooks.checkpoint.save_best': name, 'default_hooks.checkpoint.rule': 'greater'}))
    assert not list(tmp_path.glob('*.pth'))
