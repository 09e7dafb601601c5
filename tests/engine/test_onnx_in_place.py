"""``test`` with an ONNX file gives what it gives with the checkpoint, and knows its training images."""
import json
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT
from small_checkpoints import write_checkpoint, write_config

from bafenet.engine import test, train
from bafenet.engine.pipeline_steps import without_steps
from bafenet.engine.training_images import Images
from bafenet.errors import InputError
from bafenet.release.onnx_build import Trained, build_onnx

HR = str(ROOT / 'configs/bafenet/bafenet_hr_tiny_densesirst.py')


@pytest.fixture(scope='module')
def files(devkit, tmp_path_factory):
    """Config, checkpoint and ONNX file of the demo's network, which resizes; it says that it saw the training split."""
    folder = tmp_path_factory.mktemp('onnx')
    config = write_config(folder / 'tiny.py', devkit)
    checkpoint = write_checkpoint(config)
    trained = Trained.read(checkpoint)
    names = (devkit / 'Splits/train_v2.txt').read_text().split()
    infos = [dict(img_path=str(devkit / 'PNGImages' / f'{name}.png')) for name in names]
    dataset = type('Files', (), dict(__len__=lambda self: len(infos), get_data_info=lambda self, index: infos[index]))()
    trained.meta['training_images'] = Images.of(dataset).to_meta()
    (folder / 'tiny.onnx').write_bytes(build_onnx(trained))
    return config, checkpoint, str(folder / 'tiny.onnx')


def results(config, checkpoint, folder, *options):
    out = folder / 'out.json'
    test.test(config, checkpoint, work_dir=str(folder / 'work'), out=str(out), cfg_options=list(options) or None)
    return json.loads(out.read_text())


def assert_equal(ours, theirs, sky=1e-4):
    assert ours['metrics'].keys() == theirs['metrics'].keys()
    for key, value in theirs['metrics'].items():
        assert ours['metrics'][key] == pytest.approx(value, abs=sky if key.endswith('sky_iou') else 1e-4), key
    for own, expected in zip(ours['images'], theirs['images'], strict=True):
        assert len(own['boxes']) == len(expected['boxes'])
        np.testing.assert_allclose(np.sort(own['scores']), np.sort(expected['scores']), atol=1e-4)


@pytest.mark.faults
def test_a_test_gives_the_same(files, tmp_path):
    config, checkpoint, file = files
    theirs, ours = (results(config, one, tmp_path) for one in (checkpoint, file))
    assert_equal(ours, theirs)
    assert ours['checkpoint'] == file and sum(len(image['boxes']) for image in ours['images']) > 10
    assert ours['training_images'] == 0


@pytest.mark.faults
def test_training_images_are_refused_and_an_onnx_file_is_not_trained(files, devkit, tmp_path):
    config, _, file = files
    wrong = 'test_dataloader.dataset.ann_file=Splits/train_v2.txt'
    with pytest.raises(InputError, match='8 of the 8 images .* tested on were trained on'):
        results(config, file, tmp_path, wrong)
    with pytest.raises(InputError, match='gives the 1000 best-scored points'):
        results(config, file, tmp_path, 'model.test_cfg.nms_pre=2000')
    with pytest.raises(InputError, match='cannot be trained'):
        train.train(config, work_dir=str(tmp_path / 'run'), cfg_options=[f'load_from={file}'])


def test_steps_are_left_out_wherever_they_stand():
    step, other = dict(type='Resize', scale=(64, 64)), dict(type='LoadInfraredImage')
    settings = dict(dataset=dict(datasets=[dict(pipeline=[other, step])], transforms=(step, )), sizes=[1, 2])
    assert without_steps(settings, 'Resize') == dict(dataset=dict(datasets=[dict(pipeline=[other])], transforms=()),
                                                     sizes=[1, 2])
    assert settings['dataset']['datasets'][0]['pipeline'] == [other, step]


@pytest.mark.faults
def test_real_frames_give_the_same_metrics_and_predictions(real_data, tmp_path):
    file = str(tmp_path / 'tiny.onnx')
    export = subprocess.run([sys.executable, str(ROOT / 'tools/export.py'), 'bafenet_hr_tiny', '--onnx', file],
                            cwd=ROOT, capture_output=True, text=True)
    assert not export.returncode, export.stderr
    report = json.loads(export.stdout)
    assert report['difference'] <= 1e-4 and report['missing'] == 0 and report['boxes'] > 30
    names = (real_data / 'Splits/test_v2.txt').read_text().split()[::16]
    (tmp_path / 'some.txt').write_text('\n'.join(names))
    options = [f'test_dataloader.dataset.data_root={real_data}',
               f'test_dataloader.dataset.ann_file={tmp_path / "some.txt"}',
               'test_dataloader.num_workers=0', 'test_dataloader.persistent_workers=False']
    theirs, ours = (results(HR, one, tmp_path, *options) for one in ('bafenet_hr_tiny', file))
    # A file takes whole grey levels of the frame made smaller, too.
    assert_equal(ours, theirs, sky=1e-3)
    assert [image['boxes'] for image in ours['images']] == [image['boxes'] for image in theirs['images']]
    # The command line on the same frames.
    frames = [str(real_data / 'PNGImages' / f'{name}.png') for name in names[:4]]
    made = []
    for weights in ('bafenet_hr_tiny', file):
        out = tmp_path / f'predictions of {weights[-4:]}'
        done = subprocess.run([sys.executable, str(ROOT / 'tools/predict.py'), *frames, '--weights', weights, '--out',
                               str(out)], cwd=ROOT, capture_output=True, text=True)
        assert not done.returncode, done.stderr
        made.append([line.split(',') for line in (out / 'detections.csv').read_text().splitlines()])
    assert len(made[0]) == len(made[1]) > 10
    for own, expected in zip(*reversed(made), strict=True):
        assert own[:5] == expected[:5] and own[6:] == expected[6:]
