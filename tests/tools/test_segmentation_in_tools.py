"""Networks of TargetSegmentor in every tool: what works as with a detector, and what is refused in one line."""
import csv
import json

import cv2
import numpy as np
import pytest
import torch
from conftest import ROOT, load_tool
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image
from scipy import ndimage

import bafenet
from bafenet.apis.tiles import tiles_of
from bafenet.engine.options import load_config

CONFIG = str(ROOT / 'configs/segmentation/additive_unet_nudt.py')


@pytest.fixture(scope='module')
def frames(tmp_path_factory):
    """Three frames with dim and bright squares, laid out as NUDT-SIRST."""
    root, rng = tmp_path_factory.mktemp('set'), np.random.default_rng(0)
    for folder in ('images', 'masks', 'splits'):
        (root / folder).mkdir()
    for name in 'abc':
        mask = np.zeros((40, 56), np.uint8)
        for row in (5, 25):
            left = int(rng.integers(4, 46))
            mask[row:row + 4, left:left + 5] = 255
        image = np.where(mask > 0, rng.integers(90, 250), 60).astype(np.uint8)
        cv2.imwrite(str(root / f'images/{name}.png'), image)
        cv2.imwrite(str(root / f'masks/{name}.png'), mask)
    for part in ('train', 'test'):
        (root / f'splits/{part}.txt').write_text('a\nb\nc\n')
    return root


@pytest.fixture(scope='module')
def checkpoint(frames, tmp_path_factory):
    """An untrained network whose logits are both above and below 0."""
    options = [f'{loader}_dataloader.{setting}' for loader in ('train', 'val', 'test') for setting in (
        f'dataset.data_root={frames}', 'num_workers=0')]
    cfg = load_config(CONFIG, [*options, 'model.backbone.widths=[16,24]', 'model.backbone.blocks=[1,1]',
                               'train_dataloader.dataset.holdout=1'])
    init_default_scope('mmdet')
    torch.manual_seed(0)
    network = MODELS.build(cfg.model)
    frame = cv2.imread(str(frames / 'images/a.png')).transpose(2, 0, 1)[None, :, :32, :48].astype(np.float32)
    with torch.no_grad():
        logits = network.eval()(torch.from_numpy((frame - 107.81) / 33.03))[-1]
        network.backbone.heads[-1].bias -= (logits.max() + logits.min()) / 2
    file = tmp_path_factory.mktemp('weights') / 'epoch_1.pth'
    torch.save(dict(meta=dict(cfg=Config(cfg._cfg_dict).pretty_text, epoch=1, dataset_meta=dict(
        classes=('Target', ))), state_dict=network.state_dict()), file)
    return str(file)


def call(name, *arguments):
    return load_tool(name).main(list(map(str, arguments)))


def refused(capsys, name, *arguments):
    """The one line of a tool that refuses."""
    with pytest.raises(SystemExit) as end:
        call(name, *arguments)
    lines = capsys.readouterr().err.splitlines()
    assert end.value.code == 2 and len([line for line in lines if line.startswith('error: ')]) == 1
    return lines[-1]


def test_predict_writes_masks_and_the_boxes_of_their_components(frames, checkpoint, tmp_path):
    assert call('predict.py', frames / 'images', '--weights', checkpoint, '--masks', '--pictures', '--score', '0',
                '--out', tmp_path / 'out') == 0
    with open(tmp_path / 'out/detections.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    images = json.loads((tmp_path / 'out/predictions.json').read_text())['images']
    assert len(images) == 3 and rows
    for image in images:
        png = Image.open(tmp_path / 'out' / image['target_mask'])
        mask = np.asarray(png)
        assert png.mode == 'P' and mask.shape == (40, 56) and set(np.unique(mask)) <= {0, 1}
        labels, count = ndimage.label(mask, np.ones((3, 3)))
        extents = {(columns.start, lines.start, columns.stop, lines.stop)
                   for lines, columns in ndimage.find_objects(labels)}
        own = [row for row in rows if row['frame'] == image['file_name']]
        assert len(own) == count
        assert {tuple(int(row[key]) for key in ('x1', 'y1', 'x2', 'y2')) for row in own} == extents
        scores = [float(row['score']) for row in own]
        assert scores == sorted(scores, reverse=True) and min(scores) >= 0.5
        assert (tmp_path / 'out' / image['picture']).is_file()


def test_a_result_has_the_mask_and_draws_it(frames, checkpoint):
    detector = bafenet.load(checkpoint)
    frame = cv2.imread(str(frames / 'images/a.png'), cv2.IMREAD_GRAYSCALE)
    result = detector(frame)
    padded = np.zeros((1, 1, 48, 64), np.float32)
    padded[0, 0, :40, :56] = (frame - 107.81) / 33.03
    with torch.no_grad():
        logits = detector.model.backbone(torch.from_numpy(padded))[-1][0, 0, :40, :56].numpy()
    assert detector.marks_targets and not detector.segments_sky and result.sky is None
    np.testing.assert_array_equal(result.target_mask, logits > 0)
    np.testing.assert_allclose(result.target_probability, 1 / (1 + np.exp(-logits)), atol=1e-3)
    assert (result.plot() != result.plot(mask=None)).any()


def test_a_large_frame_is_cut_into_tiles_and_a_target_on_a_seam_is_one(checkpoint):
    detector = bafenet.load(checkpoint)
    frame = np.full((64, 760), 60, np.uint8)
    tiles, expected = tiles_of(64, 760, 512), np.zeros((64, 760), np.float32)
    seam = tiles[0].columns.core_end
    frame[30:34, seam - 3:seam + 3] = 240
    for tile in tiles:
        tile.paste(detector(tile.cut(frame)).target_probability, expected)
    result = detector(frame, tile=512)
    assert len(tiles) == 2
    np.testing.assert_allclose(result.target_probability, expected, atol=1e-6)
    assert len(result) == ndimage.label(expected > 0.5, np.ones((3, 3)))[1]


def test_browse_complexity_and_benchmark_take_the_config(frames, tmp_path, capsys):
    assert call('dataset/browse.py', CONFIG, '--data', frames, '--count', 2, '--cell', 96, '--out',
                tmp_path / 'sheet.png') == 0
    assert '2 samples with' in capsys.readouterr().out and (tmp_path / 'sheet.png').is_file()
    assert call('analysis/complexity.py', CONFIG, '--out', tmp_path / 'cost.json') == 0
    row, = json.loads((tmp_path / 'cost.json').read_text())
    assert row['params'] == 525_169 and capsys.readouterr().out
    assert call('benchmark.py', 'predict', CONFIG, '--data-root', frames, '--shape', 40, 56, '--images', 1) == 0
    assert 'give a size that it has by --shape H W' in refused(
        capsys, 'benchmark.py', 'predict', CONFIG, '--data-root', frames)


def test_maps_of_modules_are_drawn_and_those_of_a_head_refused(frames, checkpoint, tmp_path, capsys):
    arguments = [checkpoint, '--frames', 'b', '--data-root', frames, '--out', tmp_path / 'maps.png']
    assert call('analysis/feature_maps.py', *arguments, '--layers', 'backbone.encoder.0') == 0
    assert (tmp_path / 'maps.png').is_file()
    assert 'a layer of a detection head, and TargetSegmentor has none; name modules, as backbone.encoder.0' in refused(
        capsys, 'analysis/feature_maps.py', *arguments)


@pytest.fixture(scope='module')
def results(tmp_path_factory):
    file = tmp_path_factory.mktemp('results') / 'of_masks.json'
    images = [dict(img_id='a', shape=[9, 9], target_overlap=[1, 2], targets=1, detected=1, alarms=0, alarm_pixels=0)]
    file.write_text(json.dumps(dict(config='c.py', checkpoint='a.pth', checkpoint_sha256='0', split='s', images=images,
                                    environment={}, metrics={'irstd/IoU': 0.5})))
    return str(file)


@pytest.mark.parametrize('tool', [['analysis/error_types.py'], ['analysis/detection_curves.py', '--out', 'OUT/c.png'],
                                  ['analysis/calibrate.py']], ids=lambda tool: tool[0])
def test_results_of_masks_are_named_where_boxes_are_needed(results, tool, tmp_path, capsys):
    options = [option.replace('OUT', str(tmp_path)) for option in tool[1:]]
    assert 'of_masks.json: results of target masks, and boxes are needed here' in refused(
        capsys, tool[0], results, *options)


def test_what_is_of_detectors_alone_is_one_line(frames, checkpoint, results, tmp_path, capsys):
    assert 'networks with a detection head, and a TargetSegmentor has none' in refused(
        capsys, 'export.py', checkpoint, '--onnx', tmp_path / 'a.onnx')
    own = [f'train_dataloader.dataset.{setting}' for setting in (f'data_root={frames}', 'holdout=1')]
    assert 'loads no boxes to measure; give the config of a detector' in refused(
        capsys, 'analysis/box_edges.py', CONFIG, '--cfg-options', *own)
    assert 'the tool knows FCOSHead' in refused(capsys, 'analysis/assignment.py', CONFIG)
    assert 'exchange' in refused(capsys, 'analysis/exchange.py', CONFIG, checkpoint)
    assert call('export.py', checkpoint, tmp_path / 'a.pth', '--command', 'c', '--commit', 'c') in (0, None)
    capsys.readouterr()
    assert 'results of target masks, and what a card says is of a detector' in refused(
        capsys, 'model_card.py', tmp_path / 'a.pth', '--results', results)
