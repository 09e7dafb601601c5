"""Target masks of a detector on a user's frames: as the network gives them, from tiles, as files; refused without."""
import json

import cv2
import numpy as np
import pytest
from conftest import load_tool
from mmdet.apis import inference_detector
from onnx_networks import frames_of, write_network
from PIL import Image

import bafenet
from bafenet.apis.tiles import tiles_of


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    return str(write_network('hr_tiny_masks', tmp_path_factory.mktemp('network') / 'a.pth'))


def test_a_result_has_the_networks_mask_at_every_pixel(checkpoint):
    detector = bafenet.load(checkpoint)
    frame = frames_of(1, 67, 91, 1)[0, ..., 0]
    result, expected = detector(frame), inference_detector(detector.model, frame).pred_target_mask
    assert detector.marks_targets and result.target_mask.dtype == np.uint8
    assert result.target_mask.shape == result.sky.shape == (67, 91) and 0 < result.target_mask.mean() < 1
    np.testing.assert_array_equal(result.target_mask, expected.sem_seg[0])
    np.testing.assert_array_equal(result.target_probability, expected.prob[0])
    np.testing.assert_array_equal(result.target_mask, result.target_probability > 0.5)
    assert bafenet.load('bafenet_hr_tiny')(frame).target_mask is None


def test_a_frame_in_tiles_has_the_mask_of_each_where_it_counts(checkpoint):
    detector = bafenet.load(checkpoint)
    frame = frames_of(1, 64, 760, 1)[0, ..., 0]
    expected = np.full(frame.shape, np.nan, np.float32)
    tiles = tiles_of(*frame.shape, 512)
    for tile in tiles:
        tile.paste(detector(tile.cut(frame)).target_probability, expected)
    found = detector(frame, tile=512)
    assert len(tiles) == 2
    np.testing.assert_allclose(found.target_probability, expected, atol=1e-6)


def call(*arguments):
    return load_tool('predict.py').main(list(arguments))


def test_masks_are_written_beside_the_sky_and_once(checkpoint, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'in/sub').mkdir(parents=True)
    frames = dict(zip(('in/a.png', 'in/sub/b.png'), frames_of(2, 40, 56, 1)[..., 0], strict=True))
    for name, frame in frames.items():
        cv2.imwrite(name, frame)
    options = ['in', '--weights', checkpoint, '--masks', '--sky-maps', '--out', 'out']
    assert call(*options) == 0
    images = {image['file_name']: image for image in json.loads((tmp_path / 'out/predictions.json').read_text())[
        'images']}
    detector = bafenet.load(checkpoint)
    for name, frame in frames.items():
        file = images[name]['target_mask']
        assert file == name.replace('in/', 'masks/') and images[name]['sky_map'] == name.replace('in/', 'sky/')
        png = Image.open(tmp_path / 'out' / file)
        assert png.mode == 'P'
        np.testing.assert_array_equal(np.asarray(png), detector(frame).target_mask)
    # One that is gone is made again, and the other frame is not predicted again.
    (tmp_path / 'out/masks/a.png').unlink()
    capsys.readouterr()
    assert call(*options) == 0 and '2 frames (1 of an earlier call)' in capsys.readouterr().out
    assert (tmp_path / 'out/masks/a.png').is_file()
    with pytest.raises(SystemExit) as end:
        call(*options[:3], '--out', 'out')
    assert end.value.code == 2 and 'masks=True, and now None' in capsys.readouterr().err
    with pytest.raises(SystemExit):
        call('in', '--masks', '--out', 'other')
    assert '--masks: this network gives no masks of targets; take one of' in capsys.readouterr().err
