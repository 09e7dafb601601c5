"""What crosses between the tasks: against Eq. 4-7 with a silent partner, and against the evaluator of tools/test.py."""
import json

import numpy as np
import pytest
import torch
from conftest import ROOT, load_tool
from mmdet.registry import MODELS
from PIL import Image

from bafenet.analysis.exchange import (
    AS_IS,
    COLUMNS,
    OWN_SKY,
    SILENT,
    TRUE_SKY,
    Points,
    SilencedExchange,
    in_the_input,
    readable,
    report,
)
from bafenet.engine import test
from bafenet.engine.options import load_config
from bafenet.errors import InputError
from bafenet.models import ChannelExchange

TINY = str(ROOT / 'configs/bafenet/bafenet_hr_tiny_densesirst.py')


def write_weights(config, path, sky_bias=None, changes=None):
    """A network that finds something: its logits vary, which those of a new one hardly do."""
    torch.manual_seed(0)
    network = MODELS.build(load_config(config, changes).model)
    network.init_weights()
    head = network.bbox_head
    for layer in head.modules():
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight)
    torch.nn.init.constant_(head.conv_cls.bias, 1.0)
    if sky_bias is not None:
        torch.nn.init.zeros_(head.conv_seg.weight)
        torch.nn.init.constant_(head.conv_seg.bias, sky_bias)
    torch.save(dict(state_dict=network.state_dict()), path)
    return str(path)


def options(devkit):
    return [f'{split}_dataloader.dataset.data_root={devkit}' for split in ('val', 'test')]


@pytest.mark.parametrize('receiver', ['classification', 'segmentation'])
def test_a_silenced_task_gets_the_mean_of_what_the_other_would_send(receiver):
    x1, x2 = torch.randn(2, 3, 8, 5, 4, dtype=torch.float64)
    exchange = ChannelExchange(8, 0.5)
    found = SilencedExchange(exchange, receiver)(x1, x2)
    expected = [x1.numpy().copy(), x2.numpy().copy()]
    expected[0][:, ::2], expected[1][:, ::2] = x2[:, ::2], x1[:, ::2]
    to, sender = (0, x2) if receiver == 'classification' else (1, x1)
    expected[to][:, ::2] = sender.numpy()[:, ::2].mean(axis=(2, 3), keepdims=True)
    for ours, truth in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours.numpy(), truth, atol=1e-12)


def test_the_sky_is_read_off_one_half_of_the_images_and_tested_on_the_other():
    rng = np.random.default_rng(0)
    points = []
    for image in range(6):
        in_sky = rng.random(400) < 0.3
        noise = rng.normal(size=(400, 3))
        sign = np.where(in_sky, 1.0, -1.0) * (1 if image < 3 else -1)
        points.append(Points({'noise': noise, 'told': np.column_stack([noise, 3 + 5 * np.abs(sign + 1)])[:, ::-1],
                              'turned': sign[:, None], 'plain': np.where(in_sky, 7.0, 5.0)[:, None]}, in_sky))
    found = readable(points)
    assert found['plain'] == 1 and found['turned'] == found['told'] == 0
    assert found['noise'] == pytest.approx(0.5, abs=0.05)


def test_the_truth_is_read_where_a_resized_input_has_its_points():
    sky = torch.zeros(1, 30, 50, dtype=torch.uint8)
    sky[:, :12] = 1
    resized = in_the_input(sky, (20, 25))
    assert resized.shape == (1, 20, 25) and resized.dtype == torch.uint8
    assert resized[0].all(dim=1).tolist() == [True] * 8 + [False] * 12
    assert in_the_input(sky, (30, 50)) is sky


def test_images_without_both_sides_are_refused():
    with pytest.raises(InputError, match='needs both in either half'):
        readable([Points({'a': np.ones((4, 1))}, np.ones(4, bool))] * 2)


def test_the_network_as_it_is_has_the_metrics_of_the_evaluator(devkit, tmp_path, capsys):
    weights = write_weights(TINY, tmp_path / 'w.pth')
    out = tmp_path / 'report.json'
    argv = [TINY, weights, '--split-from', 'test', '--out', str(out), '--cfg-options', *options(devkit)]
    assert load_tool('analysis/exchange.py').main(argv) == 0
    found = json.loads(out.read_text())
    expected = test.test(TINY, weights, work_dir=str(tmp_path), cfg_options=options(devkit))
    expected = {key: expected[f'densesirst/{key}'] for key in COLUMNS if f'densesirst/{key}' in expected}
    assert found['metrics'][AS_IS] == pytest.approx(expected) and expected['FPPI_other'] > 0
    assert list(found['metrics']) == [AS_IS, *SILENT.values(), OWN_SKY, TRUE_SKY]
    assert found['metrics'][TRUE_SKY]['FPPI_other'] == 0
    # What one task does not get changes its own predictions alone.
    deaf_classes, deaf_sky = (found['metrics'][label] for label in SILENT.values())
    assert deaf_classes['sky_iou'] == expected['sky_iou'] != deaf_sky['sky_iou']
    assert deaf_sky['FPPI_other'] == expected['FPPI_other'] != deaf_classes['FPPI_other']
    alarms = found['alarms']['score 0.3']
    assert alarms['alarms'] == round(2 * expected['FPPI_other']) and 0 <= alarms['in_own_sky'] <= 1
    assert set(found['readable']) == {'shared', 'classification', 'segmentation'}
    assert 'sky read off them' in capsys.readouterr().out


@pytest.mark.parametrize(('sky_bias', 'in_own_sky'), [(0.0, 1), (-2.0, 0)])
def test_scores_are_multiplied_by_the_probability_of_sky(devkit, tmp_path, sky_bias, in_own_sky):
    """The same probability everywhere, so that the order of the boxes stays."""
    weights = write_weights(TINY, tmp_path / 'w.pth', sky_bias)
    found = report(TINY, weights, cfg_options=options(devkit))
    plain, weighed = found['metrics'][AS_IS], found['metrics'][OWN_SKY]
    for key in ('mAP_12', 'recall', 'FPPI_other_recall90'):
        assert weighed.get(key) == plain.get(key)
    assert weighed['FPPI_other'] < plain['FPPI_other']
    assert found['alarms']['score 0.3']['in_own_sky'] == in_own_sky


def test_images_without_a_known_sky_are_left_out_and_counted(copy, tmp_path, capsys):
    weights = write_weights(TINY, tmp_path / 'w.pth')
    split = copy / 'Splits/val_v2.txt'
    split.write_text('scene_5\nscene_7\nscene_8\nscene_9\n')
    there = ['scene_7', 'scene_8']
    for name in ('scene_5', 'scene_9'):
        (copy / f'SkySeg/PaletteMask/{name}.png').write_bytes(unknown_sky(tmp_path))
    found = report(TINY, weights, cfg_options=options(copy))
    assert (found['images'], found['without_sky_map']) == (2, 2)
    assert '2 images without a true sky map are left out, 2 are measured' in capsys.readouterr().out
    split.write_text('\n'.join(there))
    assert report(TINY, weights, cfg_options=options(copy))['metrics'] == found['metrics']


def unknown_sky(folder):
    Image.fromarray(np.full((64, 64), 255, np.uint8)).save(folder / 'unknown.png')
    return (folder / 'unknown.png').read_bytes()


def test_a_network_without_a_sky_branch_is_asked_what_it_can_answer(devkit, tmp_path):
    no_sky = ['model.bbox_head.with_seg=False']
    weights = write_weights(TINY, tmp_path / 'w.pth', changes=no_sky)
    found = report(TINY, weights, cfg_options=[*options(devkit), *no_sky])
    assert list(found['metrics']) == [AS_IS, TRUE_SKY] and found['alarms'] is None
    assert set(found['readable']) == {'shared', 'classification'} and 'sky_iou' not in found['metrics'][AS_IS]


def test_what_it_cannot_measure_is_one_line(devkit, tmp_path):
    weights = write_weights(TINY, tmp_path / 'w.pth')
    with pytest.raises(InputError, match='must end in .json'):
        report(TINY, weights, out='exchange.txt')
    other = tmp_path / 'other.py'
    other.write_text(f"""_base_ = {TINY!r}
steps = [step for step in _base_.test_pipeline if step['type'] != 'LoadSkyAnnotations']
val_dataloader = dict(dataset=dict(pipeline=steps))
""")
    with pytest.raises(InputError, match='put LoadSkyAnnotations before it'):
        report(str(other), weights, cfg_options=options(devkit))
    other.write_text(f"_base_ = {TINY!r}\n"
                     "model = dict(bbox_head=dict(type='FCOSHead'), test_cfg=dict(sky_side=None))\n")
    with pytest.raises(InputError, match='other.py: model.bbox_head is FCOSHead'):
        report(str(other), weights, cfg_options=options(devkit))
