"""Tiles of large frames: where they lie, what is put together, and that a frame that fits is one tile."""
import numpy as np
import pytest
import torch
from conftest import ROOT
from mmengine.config import Config, ConfigDict
from mmengine.structures import InstanceData

import bafenet
from bafenet.apis.tiles import merge_boxes, merge_logits, tiles_of
from bafenet.engine.frame_pipeline import build_pipeline, resizes
from bafenet.errors import InputError


@pytest.mark.parametrize('size', [(4096, 4096), (1024, 1280), (1025, 1), (3000, 1100), (1024, 1024), (5, 7),
                                  (2049, 999)])
@pytest.mark.parametrize('tile', [512, 1024])
def test_cores_cover_a_frame_once_far_from_the_ends_of_their_tiles(size, tile):
    height, width = size
    covered = np.zeros(size, int)
    tiles = tiles_of(height, width, tile)
    assert len(tiles) == 1 or max(size) > tile
    for one in tiles:
        for span, length in ((one.rows, height), (one.columns, width)):
            assert span.start % 64 == 0 and 0 < span.end - span.start <= tile and span.end <= length
            assert span.core_start == 0 or span.core_start - span.start == 128
            assert span.core_end == length or span.end - span.core_end == 128
        covered[one.rows.core_start:one.rows.core_end, one.columns.core_start:one.columns.core_end] += 1
    assert (covered == 1).all()


@pytest.mark.parametrize(('size', 'tile', 'expected'), [
    ((1024, 1280), 1024, [(1024, 768)] * 2), ((4096, 4096), 1024, [(1024, 1024)] * 25),
    ((1080, 1918), 1024, [(704, 832), (704, 832), (704, 766), (632, 832), (632, 832), (632, 766)])])
def test_tiles_are_few_and_no_larger_than_that_takes(size, tile, expected):
    assert [one.cut(np.empty(size)).shape for one in tiles_of(*size, tile)] == expected


def candidates(*boxes) -> InstanceData:
    values = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 5)
    return InstanceData(bboxes=values[:, :4], scores=values[:, 4], labels=torch.zeros(len(values), dtype=torch.long))


def test_a_target_at_a_seam_counts_once():
    tiles = tiles_of(512, 760, 512)
    left, right = tiles
    seam, start = left.columns.core_end, right.columns.start
    assert (seam, start) == (384, 256) and left.columns.end == 512
    cfg = ConfigDict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=2, whole_pixels=True)
    found = merge_boxes([
        # Left of the seam as the left tile sees it and right of it as the right one does; and one of the other's core.
        candidates([seam - 2.6, 5, seam + 2.4, 9, 0.7], [seam + 20, 5, seam + 24, 9, 0.9], [3, 3, 6, 6, 0.2]),
        candidates([seam - 2.4 - start, 5, seam + 2.6 - start, 9, 0.8], [60, 60, 63, 63, 0.1])], tiles, cfg)
    assert found.bboxes.tolist() == [[seam - 2, 5, seam + 3, 9], [3, 3, 6, 6]]
    np.testing.assert_allclose(found.scores, [0.8, 0.2])
    sky = merge_logits([torch.zeros(1, 512, 512), torch.ones(1, 512, 760 - start)], tiles, (512, 760))
    assert sky.shape == (1, 512, 760) and (sky[..., :seam] == 0).all() and (sky[..., seam:] == 1).all()


def test_tiles_find_what_the_whole_frame_does():
    rng = np.random.default_rng(0)
    frame = rng.integers(20, 40, (128, 832), dtype=np.uint8)
    for x in range(20, 820, 40):
        frame[40:43, x:x + 3] = 200
    detector = bafenet.load('bafenet_hr_tiny')
    whole, tiled = detector(frame), detector(frame, tile=512, batch=2)
    fits = detector(frame[:, :512], tile=512)
    np.testing.assert_array_equal(fits.boxes, detector(frame[:, :512]).boxes)
    assert len(whole) > 5 and tiled.sky.shape == frame.shape
    one, other = ({tuple(box): score for box, score in zip(result.boxes.tolist(), result.scores, strict=True)}
                  for result in (whole, tiled))
    sure = [box for box in one.keys() | other.keys() if max(one.get(box, 0), other.get(box, 0)) > 0.2]
    assert len(sure) > 10 and max(abs(one.get(box, 0) - other.get(box, 0)) for box in sure) < 0.03
    assert abs(whole.sky_probability - tiled.sky_probability).mean() < 0.03 < 0.98 < (whole.sky == tiled.sky).mean()


def test_networks_that_resize_take_whole_frames_and_other_loaders_become_ours():
    cfg = Config.fromfile(ROOT / 'configs/bafenet/bafenet_r18_densesirst.py')
    assert resizes(cfg) and not resizes(Config.fromfile(ROOT / 'configs/bafenet/bafenet_hr_tiny_densesirst.py'))
    steps = cfg.test_dataloader.dataset.pipeline
    steps[0].value_range = [0, 65535]
    assert build_pipeline(cfg)(dict(img=np.full((60, 80), 65535, np.uint16)))['inputs'].min() == 255
    steps[0] = ConfigDict(type='LoadImageFromFile')
    steps[-1].type = 'PackDetInputs'
    packed = build_pipeline(cfg)(dict(img=np.zeros((60, 80), np.uint8)))
    assert packed['inputs'].shape == (3, 512, 512) and packed['data_samples'].ori_shape == (60, 80)
    steps[1].scale = (10**6, 10**6)
    with pytest.raises(InputError, match='has the number 1e\\+06'):
        build_pipeline(cfg)
    cfg.test_dataloader.dataset.pipeline = [dict(type='os.system')]
    with pytest.raises(InputError):
        build_pipeline(cfg)
    with pytest.raises(InputError, match='no test pipeline'):
        build_pipeline(Config())
