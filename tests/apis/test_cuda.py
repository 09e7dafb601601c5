"""A GPU gives what the CPU does: single frames, batches, tiles, frames of 16 bits, and the whole of predict."""
import json

import cv2
import numpy as np
import pytest
import torch
from conftest import load_tool

import bafenet

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason='no GPU that CUDA knows')
TOLERANCE = 1e-3


@pytest.fixture(scope='module', autouse=True)
def full_precision():
    """Convolutions of a GPU in float32: by default they round to TF32, and a probability is off by 0.002."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = before


def scene(seed: int, height: int = 96, width: int = 160) -> np.ndarray:
    """Smooth sky above brighter ground, and soft spots of three pixels in the sky."""
    rng = np.random.default_rng(seed)
    image = np.full((height, width), 30.0) + rng.normal(0, 1, (height, width))
    image[height * 2 // 3:] += 60
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    for column in range(12, width - 10, 24):
        image += 60 * np.exp(-((x - column)**2 + (y - 20 - seed % 3)**2) / 2 / 0.9**2)
    return image.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope='module')
def detectors():
    return [bafenet.load('bafenet_hr_tiny', device) for device in ('cpu', 'cuda')]


def assert_alike(found, expected, sure: float = 0.1) -> None:
    """Equal scores of equal boxes, but for those near the threshold; equal probabilities of sky."""
    assert (expected.scores > sure).any()
    for one, other in ((found, expected), (expected, found)):
        for box, score in zip(one.boxes, one.scores, strict=True):
            if score > sure:
                # Sides are whole pixels, and one may lie just between two.
                same = abs(other.boxes - box).max(axis=1) <= 1
                assert abs(other.scores[same] - score).min(initial=1) <= TOLERANCE, (box, score)
    np.testing.assert_allclose(found.sky_probability, expected.sky_probability, atol=TOLERANCE)
    assert (found.sky == expected.sky).mean() > 0.999


def test_a_gpu_gives_what_the_cpu_does(detectors):
    cpu, gpu = detectors
    assert next(gpu.model.parameters()).is_cuda and 'cuda' in repr(gpu)
    for frame in (scene(0), scene(1).astype(np.uint16) * 100, np.dstack([scene(2)] * 3)):
        assert_alike(gpu(frame), cpu(frame))


def test_batches_of_eight_and_what_is_left_over(detectors):
    cpu, gpu = detectors
    frames = [scene(seed) for seed in range(11)]
    sizes = []
    run = gpu.model.extract_feat
    gpu.model.extract_feat = lambda inputs: sizes.append(len(inputs)) or run(inputs)
    try:
        results = gpu(frames)
    finally:
        del gpu.model.extract_feat
    assert sizes == [8, 3]
    for result, expected in zip(results, cpu(frames), strict=True):
        assert_alike(result, expected)


def test_tiles_and_settings(detectors):
    cpu, gpu = detectors
    frame = scene(3, 128, 832)
    for settings in (dict(tile=512), dict(tile=512, sky_only=True, max_detections=20), dict(score=0.2)):
        assert_alike(gpu(frame, **settings), cpu(frame, **settings), sure=0.15)


def test_predict_on_a_gpu(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'frames').mkdir()
    for seed in range(10):
        cv2.imwrite(f'frames/{seed}.png', scene(seed))
    cv2.imwrite('frames/large.png', scene(11, 128, 1100))
    contents = []
    for device in ('cpu', 'cuda'):
        assert load_tool('predict.py').main(['frames', '--device', device, '--out', device, '--pictures',
                                             '--sky-maps']) == 0
        contents.append(json.loads((tmp_path / device / 'predictions.json').read_text()))
    assert len(list((tmp_path / 'cuda/pictures').iterdir())) == len(list((tmp_path / 'cuda/sky').iterdir())) == 11
    sure = [sorted((one['image_id'], *one['bbox']) for one in content['annotations'] if one['score'] > 0.1)
            for content in contents]
    common = set(sure[0]) & set(sure[1])
    assert len(common) >= 0.98 * max(map(len, sure)) > 10
    shares = [[image['sky_share'] for image in content['images']] for content in contents]
    np.testing.assert_allclose(*shares, atol=TOLERANCE)
