"""Several datasets at once through every tool: trained, tested, looked at, measured, exported; no worker processes."""
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from conftest import ROOT
from mmdet.apis import DetInferencer, inference_detector, init_detector

import bafenet
from bafenet.analysis import assignment, benchmark, box_edges, exchange, feature_maps, prediction_benchmark
from bafenet.engine import test, train
from bafenet.engine.options import load_config
from bafenet.errors import InputError
from bafenet.release import model_card
from bafenet.release.export import export
from bafenet.visualization.browse import write_contact_sheet

pytestmark = pytest.mark.faults  # a network is trained, resumed and tested

DEMO = ROOT / 'configs/demo/bafenet_r18_demo_bagcp.py'
CONFIG = """
_base_ = {base!r}
part, test_part = _base_.train_dataloader.dataset, _base_.test_dataloader.dataset
train_dataloader = dict(num_workers=0, dataset=dict(_delete_=True, type='ConcatDataset', datasets=[
    dict(type='RepeatDataset', times=2, dataset=dict(part, data_root={here!r})),
    dict(part, data_root={there!r}, ann_file='Splits/more.txt')]))
val_dataloader = dict(num_workers=0, dataset=dict(_delete_=True, type='ConcatDataset', datasets=[
    dict(test_part, data_root={here!r}, ann_file='Splits/val_v2.txt')]))
test_dataloader = dict(num_workers=0, dataset=dict(_delete_=True, type='ConcatDataset', datasets=[
    dict(test_part, data_root={here!r}), dict(test_part, data_root={there!r}, ann_file='Splits/others.txt')]))
train_cfg = dict(max_epochs=1)
model = dict(test_cfg=dict(score_thr=0.001))
"""


@pytest.fixture(scope='module')
def run(devkit, tmp_path_factory):
    """A config of two devkits, and the folder of its run. Not to be changed."""
    folder = tmp_path_factory.mktemp('several')
    there = shutil.copytree(devkit, folder / 'other')
    for i in range(12):
        for file in there.rglob(f'scene_{i}.*'):
            if file.suffix == '.png' and file.parent.name == 'PNGImages':
                cv2.imwrite(str(file), 255 - cv2.imread(str(file)))
            file.rename(file.with_stem(f'other_{i}'))
    (there / 'Splits/more.txt').write_text('other_0\nother_1\nother_2\n')
    (there / 'Splits/others.txt').write_text('other_10\n')
    config = folder / 'several.py'
    config.write_text(CONFIG.format(base=str(DEMO), here=str(devkit), there=str(there)))
    train.train(str(config), work_dir=str(folder / 'run'))
    return str(config), str(folder / 'run' / 'epoch_1.pth'), folder


def test_it_was_trained_on_all_parts(run):
    meta = torch.load(run[1], weights_only=True)['meta']
    assert set(meta['training_images']['names']) == {f'scene_{i}' for i in range(8)} | {f'other_{i}' for i in range(3)}
    assert meta['iter'] == meta['schedule']['iterations'] and meta['dataset_meta']['classes'] == ('Target', )


def test_it_is_resumed_and_tested_on_all_parts(run, tmp_path):
    config, checkpoint, _ = run
    train.train(config, work_dir=str(tmp_path / 'on'), resume=checkpoint, cfg_options=['train_cfg.max_epochs=2'])
    test.test(config, str(tmp_path / 'on' / 'epoch_2.pth'), work_dir=str(tmp_path), out=str(tmp_path / 'out.json'),
              show_dir=str(tmp_path / 'shown'))
    results = json.loads((tmp_path / 'out.json').read_text())
    assert results['split'] == 'Splits/test_v2.txt, Splits/others.txt'
    assert [image['img_id'] for image in results['images']] == ['scene_10', 'scene_11', 'other_10']
    assert len(list((tmp_path / 'shown').rglob('*.png'))) == 3


def test_images_of_one_name_are_no_results_by_name(run, tmp_path):
    config, checkpoint, _ = run
    twice = ['test_dataloader.dataset.datasets.1.data_root=' + load_config(
        config).test_dataloader.dataset.datasets[0].data_root,
        'test_dataloader.dataset.datasets.1.ann_file=Splits/test_v2.txt']
    for more in (dict(out=str(tmp_path / 'out.json')), dict(show_dir=str(tmp_path / 'shown'))):
        with pytest.raises(InputError, match='2 images of test_dataloader are called scene_10: '):
            test.test(config, checkpoint, work_dir=str(tmp_path), cfg_options=twice, **more)
    assert not (tmp_path / 'out.json').exists()


def test_options_reach_each_part_by_its_number_and_the_types_of_its_steps(run):
    cfg = load_config(run[0], ['train_dataloader.dataset.datasets.1.pipeline.BAGCopyPaste.prob=0.25',
                               'train_dataloader.dataset.datasets.RepeatDataset.dataset.pipeline.BAGCopyPaste=None'])
    first, second = cfg.train_dataloader.dataset.datasets
    assert 'BAGCopyPaste' not in str(first) and 'prob=0.25' in str(second).replace("'prob': 0.25", 'prob=0.25')
    for wrong in ('datasets.0.times=0', 'datasets=[]', 'datasets.1.type=Resize'):
        with pytest.raises(InputError, match=r'dataset\.datasets'):
            load_config(run[0], [f'train_dataloader.dataset.{wrong}'])


def test_parts_of_different_classes_are_refused_before_anything_is_trained(run, tmp_path):
    with pytest.raises(InputError, match='ConcatDataset: its datasets have different classes') as caught:
        train.train(run[0], work_dir=str(tmp_path), cfg_options=[
            "train_dataloader.dataset.datasets.1.metainfo={'classes': ['Target', 'Bird']}"])
    assert '\n' not in str(caught.value) and not list(tmp_path.glob('*.pth'))


def test_the_contact_sheet_is_of_all_parts(run, tmp_path):
    samples = write_contact_sheet(load_config(run[0]), str(tmp_path / 'sheet.png'), 19, 5, 64, 0)
    names = [sample.name for sample in samples]
    assert names == [f'scene_{i % 8}' for i in range(16)] + ['other_0', 'other_1', 'other_2']
    assert any(sample.pasted.any() for sample in samples)
    # Copies of an image are drawn apart.
    assert not all(np.array_equal(samples[i].image, samples[i + 8].image) for i in range(8))


def test_measurements_are_of_all_parts(run, devkit, tmp_path):
    config, checkpoint, folder = run
    splits = 'Splits/train_v2.txt, Splits/more.txt'
    counted = assignment.report(config, 'train')
    assert counted['split'] == splits and counted['targets'] == 11 * 4
    edges = box_edges.report(config)
    assert edges['split'] == splits and edges['present']['targets'] > 0 and edges['pasted']['targets'] > 0
    measured = exchange.report(config, checkpoint, 'test')
    assert measured['split'] == 'Splits/test_v2.txt, Splits/others.txt'
    feature_maps.report([checkpoint], ['scene_10', 'other_10'], str(tmp_path / 'maps.png'))
    assert (tmp_path / 'maps.png').is_file()
    assert prediction_benchmark.benchmark_predict(config, checkpoint, (64, 64), 3)['predict']['runs'] == 3
    with pytest.raises(InputError, match='^--data-root: test_dataloader has datasets in several folders'):
        prediction_benchmark.benchmark_predict(config, checkpoint, (64, 64), 3, str(devkit))
    assert 'training' in benchmark.benchmark_augment(config, str(devkit), 4, 1)


def test_predictions_need_one_test_pipeline(run, devkit, tmp_path):
    config, checkpoint, folder = run
    frame = str(devkit / 'PNGImages' / 'scene_11.png')
    expected = bafenet.load(checkpoint, device='cpu')(frame)
    away = tmp_path / 'away.py'  # the data need not be at hand
    away.write_text(Path(config).read_text().replace(str(devkit), '/nowhere').replace(str(folder), '/nowhere'))
    found = inference_detector(init_detector(str(away), checkpoint, device='cpu'), frame)
    assert len(found.pred_instances) == len(expected.scores)
    assert DetInferencer(str(away), checkpoint, device='cpu', show_progress=False)(frame)['predictions']
    state = torch.load(checkpoint, weights_only=True)
    cfg = load_config(config, ['test_dataloader.dataset.datasets.1.pipeline.Resize.scale=(32,32)']
                      if 'Resize' in str(load_config(config).test_dataloader) else
                      ['test_dataloader.dataset.datasets.1.pipeline.LoadInfraredImage.cache_mb=1'])
    state['meta']['cfg'] = cfg.pretty_text
    torch.save(state, tmp_path / 'two.pth')
    with pytest.raises(InputError, match='datasets.1 has another pipeline than test_dataloader.dataset.datasets.0'):
        bafenet.load(str(tmp_path / 'two.pth'), device='cpu')


def test_it_is_exported_with_a_card(run, devkit, tmp_path):
    export(run[1], str(tmp_path / 'several.pth'), 'python tools/train.py several.py', 'a' * 40)
    text = torch.load(tmp_path / 'several.pth', weights_only=True)['meta']['cfg']
    assert str(devkit) not in text and "'data/other'" in text and "'data/SIRSTdevkit'" in text
    assert model_card._weights_record(tmp_path / 'several.pth')['trained_on'] == (
        'Splits/train_v2.txt, Splits/more.txt')
