"""The smoke set: what a change of PyTorch, NumPy, Python or OpenMMLab breaks first (make smoke, make matrix)."""
import json
import subprocess
import sys

import baseline_steps as steps
import numpy as np
import pytest
import torch
from conftest import ROOT, draw_scene
from mmengine.evaluator import Evaluator
from tiny_runs import DEMO, tiny_options

import bafenet
from bafenet.engine import test, train
from bafenet.release.onnx_export import export_onnx

pytestmark = pytest.mark.smoke

SHIPPED = 'bafenet_hr_tiny'
SIZE, STEPS = 128, 3
# One detector for each family of operators of mmcv.
FAMILIES = {
    'fcos_r50': 'focal loss and NMS',
    'faster_rcnn_r50': 'RoIAlign',
    'tood_r50': 'deformable convolution',
    'dyhead_r50': 'modulated deformable convolution',
    'deformable_detr_r50': 'multi-scale deformable attention',
}


@pytest.fixture(scope='module')
def options(devkit):
    """The demo's network in small: three steps an epoch."""
    batch = 'train_dataloader.batch_size='
    return [*(option for option in tiny_options() if not option.startswith(batch)), f'{batch}3',
            *(f'{stage}_dataloader.dataset.data_root={devkit}' for stage in ('train', 'val', 'test'))]


@pytest.fixture(scope='module')
def trained(options, tmp_path_factory):
    """A work dir after an epoch."""
    work_dir = tmp_path_factory.mktemp('trained')
    train.train(DEMO, work_dir=str(work_dir), cfg_options=[*options, 'default_hooks.logger.interval=1'], epochs=1)
    return work_dir


@pytest.fixture(scope='module')
def frame():
    """A frame of dark sky over ground, and boxes of its targets of 3x3 pixels."""
    image = draw_scene(np.random.default_rng(0), size=96, num_targets=0)[0]
    corners = [(8 + 24 * column, 12 + 24 * row) for column in range(4) for row in range(2)]
    for x, y in corners:
        image[y:y + 3, x:x + 3] = 200
    return image, np.array([(x, y, x + 3, y + 3) for x, y in corners])


def test_importing_the_package_says_nothing():
    """Tools print JSON on the standard output, and one line on standard error where something is wrong."""
    done = subprocess.run([sys.executable, '-c', 'import bafenet'], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')


def test_a_network_trains_and_what_it_wrote_is_tested(options, trained, tmp_path):
    log = next(trained.glob('*/vis_data/scalars.json')).read_text()
    losses = [record['loss'] for record in map(json.loads, log.splitlines()) if 'loss' in record]
    assert len(losses) == STEPS and np.isfinite(losses).all()
    metrics = test.test(DEMO, str(trained), str(tmp_path), out=str(tmp_path / 'out.json'), cfg_options=options)
    assert all(0 <= metrics[f'densesirst/{name}'] <= 1 for name in ('mAP_12', 'recall', 'sky_iou'))
    results = json.loads((tmp_path / 'out.json').read_text())
    assert results['metrics'] == metrics and sum(len(image['boxes']) for image in results['images']) > 0
    assert results['environment']['torch'] == torch.__version__


def test_training_goes_on_from_its_checkpoint(options, trained, tmp_path):
    """mmengine's checkpoints hold NumPy's numbers, whose names differ between NumPy's versions."""
    checkpoint = trained / 'epoch_1.pth'
    train.train(DEMO, work_dir=str(tmp_path), resume=str(checkpoint), cfg_options=options, epochs=2)
    before, after = (torch.load(file)['state_dict'] for file in (checkpoint, tmp_path / 'epoch_2.pth'))
    assert before.keys() == after.keys() and not all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize('name', FAMILIES)
def test_a_detector_is_built_trained_and_tested(name):
    network, data = steps.build(steps.read(name, small=True)), steps.batch(SIZE, (True, ))
    losses, _ = steps.train(network, data, STEPS)
    assert all(0 < loss < float('inf') for loss in losses) and min(losses[1:]) < losses[0]
    samples = steps.predict(network, data)
    for sample in samples:
        sample.ignored_instances = sample.gt_instances[:0]
    evaluator = Evaluator(dict(type='DenseSIRSTMetric'))
    evaluator.dataset_meta = dict(classes=('Target', ))
    evaluator.process(samples)
    assert 0 <= evaluator.evaluate(1)['densesirst/recall'] <= 1


def test_the_shipped_network_finds_targets(frame):
    image, targets = frame
    result = bafenet.load(SHIPPED)(image)
    likely = result.boxes[:len(targets)]
    distances = np.abs(targets[:, None] - likely).max(axis=2)
    assert (distances.min(axis=1) <= 1).mean() > 0.5
    assert result.sky[:32].all() and result.sky.shape == image.shape


def test_an_onnx_file_finds_what_the_network_does(frame, tmp_path):
    pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')
    pytest.importorskip('onnx', reason='onnx is not installed')
    export_onnx(SHIPPED, str(tmp_path / 'network.onnx'))
    ours, theirs = (bafenet.load(name)(frame[0]) for name in (SHIPPED, tmp_path / 'network.onnx'))
    assert len(ours)
    np.testing.assert_allclose(theirs.boxes, ours.boxes, atol=0.01)
    np.testing.assert_allclose(theirs.scores, ours.scores, atol=1e-4)
