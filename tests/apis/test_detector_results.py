"""A detector called on frames: the numbers of tools/test.py, every form of a frame, streams, threads, results."""
import io
import json
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
import torch
from conftest import ROOT
from PIL import Image

import bafenet
from bafenet.apis import Frame, Result, read_frames
from bafenet.engine.test import test as run_test
from bafenet.errors import InputError

NAME = 'bafenet_hr_tiny'


@pytest.fixture(scope='module')
def detector():
    return bafenet.load(NAME)


@pytest.fixture(scope='module')
def frame():
    """A frame (H, W) of whose squares some are found."""
    rng = np.random.default_rng(0)
    image = rng.integers(20, 40, (96, 160), dtype=np.uint8)
    image[64:] += 60
    for x in range(8, 150, 24):
        image[20:23, x:x + 3] = 200
    return image


def arrays(result: Result) -> list[np.ndarray]:
    return [result.boxes, result.scores, result.labels, result.sky, result.sky_probability]


def assert_same(result, expected, **tolerance) -> None:
    for ours, truth in zip(arrays(result), arrays(expected), strict=True):
        if tolerance:
            np.testing.assert_allclose(ours, truth, **tolerance)
        else:
            np.testing.assert_array_equal(ours, truth)


def test_numbers_are_those_of_a_test(detector, copy, tmp_path, frame):
    names = (copy / 'Splits/test_v2.txt').read_text().split()
    for name, image in zip(names, (frame[:64, :64], np.dstack([frame[:64, 20:84]] * 3)), strict=True):
        cv2.imwrite(str(copy / f'PNGImages/{name}.png'), image)
    run_test(str(ROOT / 'configs/bafenet/bafenet_hr_tiny_densesirst.py'), NAME, str(tmp_path / 'work'),
             out=str(tmp_path / 'out.json'),
             cfg_options=[f'test_dataloader.dataset.data_root={copy}', 'test_dataloader.num_workers=0',
                          'test_dataloader.persistent_workers=False'])
    images = json.loads((tmp_path / 'out.json').read_text())['images']
    results = detector([copy / f'PNGImages/{name}.png' for name in names])
    assert sum(map(len, results)) > 2
    for result, image in zip(results, images, strict=True):
        np.testing.assert_array_equal(result.boxes, np.array(image['boxes'], np.float32).reshape(-1, 4))
        np.testing.assert_array_equal(result.scores, np.array(image['scores'], np.float32))


def test_what_a_result_holds(detector, frame, tmp_path):
    result = detector(frame)
    count = len(result)
    assert count > 3 and result.boxes.dtype == result.scores.dtype == result.sky_probability.dtype == np.float32
    assert result.boxes.shape == (count, 4) and result.in_sky.shape == result.labels.shape == (count, )
    assert result.sky.shape == result.sky_probability.shape == frame.shape and result.sky.dtype == np.uint8
    np.testing.assert_array_equal(result.sky == 1, result.sky_probability >= 0.5)
    assert (np.diff(result.scores) <= 0).all() and result.size == (160, 96) and result.milliseconds > 0
    assert min(abs(result.boxes - [8, 20, 11, 23]).max(axis=1)) <= 1  # exclusive ends
    coco = result.to_coco(7)[0]
    assert coco.keys() == {'image_id', 'category_id', 'bbox', 'score'} and (coco['image_id'], coco['category_id']) == (
        7, 1)
    x1, y1, x2, y2 = result.boxes[0].tolist()
    assert coco['bbox'] == [x1, y1, x2 - x1, y2 - y1]
    plain = result.plot(insets=0, min_score=0, stretch_to=None)
    zoom = 1279 // 160
    assert plain.shape[1] == 160 * zoom and plain.shape[0] > 96 * zoom  # a caption below
    kept = np.repeat(np.repeat(frame, zoom, 0), zoom, 1)[..., None] == plain[:96 * zoom]
    assert kept.all(axis=2).mean() > 0.5
    assert result.plot(insets=3, min_score=0).shape[1] > plain.shape[1]
    result.save(tmp_path / 'a.png', min_score=0, insets=0, stretch_to=None)
    result.save(tmp_path / 'a.json')
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / 'a.png')), plain)
    assert json.loads((tmp_path / 'a.json').read_text()) == json.loads(json.dumps(result.to_dict()))
    for name in ('a.xyz', '/proc/a.png'):
        with pytest.raises(InputError, match='cannot be written'):
            result.save(name)
    with pytest.raises(InputError, match=r'a.csv: .* ends in .png, or in .json for the numbers$'):
        result.save('a.csv')


def test_every_form_of_a_frame_gives_the_same(detector, frame, tmp_path):
    expected = detector(frame)
    deep = frame.astype(np.uint16)
    range_of_8 = dict(value_range=(0, 255))
    cv2.imwrite(str(tmp_path / 'f.png'), frame)
    cv2.imwrite(str(tmp_path / 'deep.tif'), deep)
    before = frame.copy()
    for form in (frame[..., None], np.repeat(frame[..., None], 3, 2), tmp_path / 'f.png', str(tmp_path / 'f.png'),
                 Frame('f', 0, frame, None), deep, deep.astype(float), deep.astype(np.float32)[..., None],
                 tmp_path / 'deep.tif'):
        assert_same(detector(form, **range_of_8), expected)
    np.testing.assert_array_equal(frame, before)
    assert detector(deep).levels == pytest.approx((20, 200), abs=1)
    assert detector(tmp_path / 'f.png').name == str(tmp_path / 'f.png')


def test_lists_and_iterators_of_mixed_sizes(detector, frame):
    frames = [frame, frame[:, ::-1], frame[:64], frame, frame[::-1]]
    expected = [detector(one) for one in frames]
    results = detector(frames, batch=4)
    assert isinstance(results, list)
    for result, truth in zip(results, expected, strict=True):
        assert len(result) == len(truth) and result.size == truth.size
        assert_same(result, truth, rtol=1e-3, atol=1e-3)
    taken = []
    stream = detector((taken.append(i) or one for i, one in enumerate(frames)), batch=1)
    assert taken == []
    assert_same(next(stream), expected[0])
    assert taken == [0]
    assert detector([]) == []


def test_settings(detector, frame):
    everything = detector(frame, score=0, max_detections=1000)
    assert len(everything) > len(detector(frame))
    for score in (0.02, 0.3):
        chosen = detector(frame, score=score, max_detections=1000)
        np.testing.assert_allclose(chosen.scores, everything.scores[everything.scores >= score][:len(chosen)])
    assert_same(detector(frame, max_detections=2), Result('', frame, None, *(part[:2] for part in arrays(
        detector(frame))[:3]), *arrays(detector(frame))[:2:-1]))
    in_sky = detector(frame, sky_only=True)
    assert in_sky.in_sky.all() and len(in_sky) == detector(frame).in_sky.sum()
    for settings in (dict(score=2), dict(max_detections=0), dict(sky_only=1), dict(tile=1000), dict(tile=64),
                     dict(percentiles=(9, 1)), dict(value_range=(1, 1))):
        with pytest.raises(InputError):
            detector(frame, **settings)
    with pytest.raises(TypeError, match='thresh'):
        detector(frame, thresh=0.5)


def test_eight_threads_at_once(detector, frame):
    frames = [np.roll(frame, 3 * i, axis=1) for i in range(8)]
    expected = [detector(one, max_detections=i + 1) for i, one in enumerate(frames)]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(2):
            results = pool.map(lambda item: detector(item[1], max_detections=item[0] + 1), enumerate(frames))
            for result, truth in zip(results, expected, strict=True):
                assert_same(result, truth, rtol=1e-4, atol=1e-5)


def test_a_file_of_several_frames_is_read_by_name(detector, frame, tmp_path):
    np.save(tmp_path / 'stack.npy', np.stack([frame, frame[:, ::-1]]))
    with pytest.raises(InputError, match='stack.npy: holds 2 frames; give detector'):
        detector(tmp_path / 'stack.npy')
    names = [result.name for result in detector(read_frames(tmp_path / 'stack.npy'))]
    assert names == [f'{tmp_path}/stack.npy#0', f'{tmp_path}/stack.npy#1']
    for bad in ('absent.png', tmp_path, np.zeros((4, 4), bool), None, [None]):
        with pytest.raises((InputError, TypeError)):
            detector(bad)


@pytest.mark.parametrize('wrong', [torch.zeros(64, 64), b'a.png', {'frame': 1}, range(3), 7, None, [b'a.png'],
                                   ['a.png', torch.zeros(4, 4)], io.BytesIO(b'a')])
def test_what_is_no_frame_is_refused_at_once(detector, wrong):
    with pytest.raises(InputError, match='^the frame is a .*: give a path as str, an array of NumPy'):
        detector(wrong)


def test_what_results_refuse(detector, frame):
    result = detector(frame)
    for options, message in ((dict(true_sky=np.zeros((4, 5))), 'true_sky is of 4x5 and the image of 96x160'),
                             (dict(sky=np.zeros((96, 160, 3))), 'sky is of 96x160x3'),
                             (dict(true_boxes=np.full((1, 4), np.nan)), 'true_boxes holds a number that is not finite'),
                             (dict(true_boxes=np.zeros((2, 3))), r'true_boxes is float64 2x3; give numbers, \(n, 4\)')):
        with pytest.raises(InputError, match=message):
            result.plot(**options)
    assert json.loads(json.dumps(result.to_coco(np.int64(3))))[0]['image_id'] == 3
    assert result.to_coco('a')[0]['image_id'] == 'a'
    for wrong in (1.5, True, None, [1]):
        with pytest.raises(InputError, match='image_id is .*; give a whole number or a string'):
            result.to_coco(wrong)
    with pytest.raises(InputError, match='value_range is 5 twice; the second value must be larger'):
        detector(frame, value_range=(5, 5))
