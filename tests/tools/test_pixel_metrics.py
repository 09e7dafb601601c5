"""``tools/test.py`` with IRSTDMetric: a network that gives target masks, its table and its results file."""
import json

import cv2
import numpy as np
import pytest
import torch
from conftest import ROOT
from mmdet.registry import MODELS
from mmengine.model import BaseModel
from mmengine.structures import PixelData

from bafenet.engine import test
from bafenet.errors import InputError
from bafenet.evaluation.results import read_results


@MODELS.register_module()
class BrightPixels(BaseModel):
    """Grey levels over 255 are probabilities; one weight, which a checkpoint holds."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, inputs, data_samples=None, mode='tensor'):
        for image, one in zip(inputs, data_samples, strict=True):
            prob = self.weight * image[:1].float() / 255
            one.pred_sem_seg = PixelData(sem_seg=(prob > 0.5).byte(), prob=prob)
        return data_samples


@pytest.fixture
def run(tmp_path):
    """Test frames: of three targets one is missed, and a single pixel is a false alarm."""
    root, names = tmp_path / 'set', ['a', 'b']
    for folder in ('images', 'masks', 'splits'):
        (root / folder).mkdir(parents=True)
    for name, shape in zip(names, ((20, 25), (30, 15)), strict=True):
        mask, image = np.zeros(shape, np.uint8), np.full(shape, 40, np.uint8)
        mask[3:5, 3:5] = 255
        image[3:5, 3:5] = 220
        if name == 'a':
            mask[10:12, 10:13], image[15, 20] = 255, 200
        cv2.imwrite(str(root / f'images/{name}.png'), image)
        cv2.imwrite(str(root / f'masks/{name}.png'), mask)
    (root / 'splits/test.txt').write_text('\n'.join(names))
    config, weights, out = tmp_path / 'bright.py', tmp_path / 'bright.pth', tmp_path / 'out.json'
    loader = f"dict(num_workers=0, persistent_workers=False, dataset=dict(data_root={str(root)!r}))"
    config.write_text(f"""
_base_ = [{str(ROOT / 'configs/_base_/datasets/nudt_sirst_seg.py')!r},
          {str(ROOT / 'configs/_base_/default_runtime.py')!r}]
model = dict(type='BrightPixels')
test_dataloader = {loader}
test_cfg = dict()
train_dataloader = val_dataloader = val_evaluator = None
""")
    torch.save(dict(state_dict=BrightPixels().state_dict(), meta={}), weights)

    def tested(*options):
        metrics = test.test(str(config), str(weights), work_dir=str(tmp_path / 'work'), out=str(out),
                            cfg_options=list(options))
        return metrics, json.loads(out.read_text()), str(out)

    return tested


def test_the_table_and_the_file_have_the_metrics_the_frames_and_the_curves(run, capsys):
    metrics, written, file = run()
    pixels = 20 * 25 + 30 * 15
    assert metrics['irstd/P_d'] == pytest.approx(200 / 3) and metrics['irstd/F_a'] == pytest.approx(1e6 / pixels)
    assert metrics['irstd/IoU'] == pytest.approx(8 / 15) and metrics['irstd/nIoU'] == pytest.approx((4 / 11 + 1) / 2)
    shown = capsys.readouterr().out
    assert 'P_d, %' in shown and '66.667' in shown and 'mAP' not in shown
    assert written['metrics'] == metrics
    assert [one['img_id'] for one in written['images']] == ['a', 'b']
    assert [one['shape'] for one in written['images']] == [[20, 25], [30, 15]]
    counts = [[one[key] for key in ('targets', 'detected', 'alarm_pixels')] for one in written['images']]
    assert counts == [[2, 1, 1], [1, 1, 0]]
    assert set(written['curves']) == {'roc', 'detection'}
    assert len(read_results(file, ('metrics', ), ('img_id', ))['images']) == 2


def test_a_field_that_the_network_does_not_give_is_one_line(run):
    with pytest.raises(InputError, match='image a: it has no pred_target_mask, and IRSTDMetric needs it'):
        run('test_evaluator.prediction=pred_target_mask')
    with pytest.raises(InputError, match=r'test_evaluator.prediction=3 must be text'):
        run('test_evaluator.prediction=3')
