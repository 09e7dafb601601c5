"""The ONNX file of every family gives what mmdet gives for the checkpoint, at any size, in batches, in colour."""
import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx_networks import FAMILIES, TRAINED_ON, frames_of, write_network

import bafenet
from bafenet.compat.config_text import parse_config
from bafenet.errors import InputError
from bafenet.release.onnx_build import Trained, build_onnx

# None of them is a size that was traced; a batch, a coloured frame, and one smaller than a stride's cells.
SHAPES = [(2, 75, 101, 1), (1, 64, 128, 3), (1, 20, 33, 1)]


def detectors(folder, family, **options):
    checkpoint = write_network(family, folder / f'{family}.pth', **options)
    file = folder / f'{family}.onnx'
    file.write_bytes(build_onnx(Trained.read(str(checkpoint))))
    return bafenet.load(checkpoint), bafenet.load(file)


def run(file, frames):
    session = onnxruntime.InferenceSession(file if isinstance(file, bytes) else str(file))
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, dict(frames=frames)), strict=True))


def rows_of(boxes, scores, labels):
    return np.column_stack((boxes, scores, labels))


def assert_same_rows(ours, expected):
    """The same rows, but for roundings, which also decide the order of equal scores."""
    assert ours.shape == expected.shape
    differences = np.abs(ours[:, None] - expected[None]).max(2)
    assert not len(ours) or max(differences.min(0).max(), differences.min(1).max()) <= 1e-4


def assert_same(ours, expected):
    assert_same_rows(rows_of(ours.boxes, ours.scores, ours.labels),
                     rows_of(expected.boxes, expected.scores, expected.labels))
    for name in ('sky_probability', 'target_probability'):
        one, other = getattr(ours, name), getattr(expected, name)
        assert (one is None) == (other is None)
        if other is not None:
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-4)


# The others take ten times as long together.
@pytest.mark.parametrize('family', ['hr_tiny_masks', *(pytest.param(family, marks=pytest.mark.faults)
                                                      for family in FAMILIES if family != 'hr_tiny_masks')])
def test_every_family_gives_the_same_boxes_scores_and_sky(family, tmp_path):
    ours, theirs = detectors(tmp_path, family)
    found = 0
    for seed, shape in enumerate(SHAPES):
        frames = list(frames_of(*shape, seed=seed))
        for result, expected in zip(theirs(frames, batch=2), ours(frames), strict=True):
            assert_same(result, expected)
            found += len(expected.boxes)
        # Below the config's threshold, and another maximum.
        settings = dict(score=0.001, max_detections=7)
        assert_same(theirs(frames[0], **settings), ours(frames[0], **settings))
    assert found > 10 and ours.segments_sky == theirs.segments_sky == (not family.startswith('fcos'))
    assert ours.marks_targets == theirs.marks_targets == family.endswith('masks')


@pytest.mark.faults
def test_two_classes_in_both_forms(tmp_path):
    ours, theirs = detectors(tmp_path, 'hr_tiny', classes=2)
    inside = build_onnx(Trained.read(str(tmp_path / 'hr_tiny.pth')), nms=True)
    frames = frames_of(3, 75, 101, 1)
    outputs, seen = run(inside, frames), set()
    assert outputs['frame'].tolist() == sorted(outputs['frame'].tolist())
    for number, frame in enumerate(frames):
        expected, own = ours(frame), outputs['frame'] == number
        seen.update(expected.labels)
        assert_same(theirs(frame), expected)
        assert_same_rows(rows_of(*(outputs[name][own] for name in ('boxes', 'scores', 'labels'))),
                         rows_of(expected.boxes, expected.scores, expected.labels))
        assert (np.diff(outputs['scores'][own]) <= 0).all()
        np.testing.assert_allclose(outputs['sky_probability'][number], expected.sky_probability, rtol=0, atol=1e-4)
    assert seen == {0, 1}


@pytest.mark.faults
def test_a_file_with_nms_inside_is_used_like_another_and_refuses_what_it_cannot_do(tmp_path):
    ours, _ = detectors(tmp_path, 'hr_tiny', max_per_img=4)
    (tmp_path / 'nms.onnx').write_bytes(build_onnx(Trained.read(str(tmp_path / 'hr_tiny.pth')), nms=True))
    inside = bafenet.load(tmp_path / 'nms.onnx')
    frames = list(frames_of(2, 75, 101, 1))
    for result, expected in zip(inside(frames, batch=2), ours(frames), strict=True):
        assert len(result.boxes) == 4
        assert_same(result, expected)
    assert len(inside(frames[0], max_detections=2).boxes) == 2
    for settings, message in ((dict(score=0.001), 'has NMS inside, above a score of 0.02: .* without --nms'),
                              (dict(tile=512), 'has NMS inside, so a frame cannot be cut into tiles')):
        with pytest.raises(InputError, match=message):
            inside(frames_of(600, 600, 1), **settings)


@pytest.mark.faults
def test_the_file_says_what_it_is_of(tmp_path):
    checkpoint = write_network('hr_tiny', tmp_path / 'a.pth')
    trained = Trained.read(str(checkpoint))
    data = build_onnx(trained)
    model = onnx.load_model_from_string(data)
    props = {item.key.removeprefix('bafenet.'): item.value for item in model.metadata_props}
    assert parse_config(props['config'], 'it').model == parse_config(torch.load(checkpoint)['meta']['cfg'], 'it').model
    assert json.loads(props['classes']) == ['Target'] and json.loads(props['nms']) is False
    assert json.loads(props['training_images']) == dict(names=['a', 'b'],
                                                        sha256=['0001020304050607', '08090a0b0c0d0e0f'])
    provenance = json.loads(props['provenance'])
    assert provenance['checkpoint'] == 'a.pth' and len(provenance['checkpoint_sha256']) == 64
    assert str(tmp_path).encode() not in data
    # Again, from another layout in memory.
    trained.network.to(memory_format=torch.channels_last)
    assert build_onnx(trained) == data
    noted = bafenet.load(write(tmp_path / 'a.onnx', data)).model.checkpoint['meta']['training_images']
    assert noted['names'] == TRAINED_ON['names'] and torch.equal(noted['sha256'], TRAINED_ON['sha256'])


def write(file, data):
    file.write_bytes(data)
    return file


@pytest.mark.faults
def test_half_precision_is_half_as_large_and_about_as_good(tmp_path):
    checkpoint = write_network('bafenet_r18', tmp_path / 'a.pth')
    trained = Trained.read(str(checkpoint))
    whole, half = build_onnx(trained), build_onnx(trained, 'float16')
    weights = sum(value.numel() for value in trained.network.parameters())
    assert len(whole) - len(half) > 1.5 * weights
    frames = frames_of(1, 75, 101, 1)
    outputs, expected = run(half, frames), run(whole, frames)
    assert all(value.dtype != np.float16 for value in outputs.values())
    assert 0 < np.abs(outputs['sky_probability'] - expected['sky_probability']).max() < 0.01
    top = slice(0, 20)
    assert np.abs(outputs['class_scores'][:, top] - expected['class_scores'][:, top]).max() < 0.01
    trained.network.bbox_head.conv_cls.weight.data[0, 0, 0, 0] = 1e5
    with pytest.raises(InputError, match='which float16 cannot hold'):
        build_onnx(trained, 'float16')


def another_step(cfg):
    cfg.test_dataloader.dataset.pipeline.insert(1, dict(type='Pad', size_divisor=32))


def keeps_ratio(cfg):
    cfg.test_dataloader.dataset.pipeline.insert(1, dict(type='Resize', scale=(64, 64), keep_ratio=True))


@pytest.mark.parametrize(('change', 'nms', 'message'), [
    (another_step, False, 'the test pipeline of the config has Pad: only Resize'),
    (keeps_ratio, False, 'the test pipeline of the config has Resize: only Resize.*keep_ratio=False'),
    (lambda cfg: cfg.model.test_cfg.update(nms=dict(type='soft_nms')), True, 'soft_nms.*export without --nms'),
])
def test_what_onnx_cannot_hold_is_one_line(tmp_path, change, nms, message):
    trained = Trained.read(str(write_network('hr_tiny', tmp_path / 'a.pth')))
    change(trained.cfg)
    trained.network.bbox_head.test_cfg = trained.cfg.model.test_cfg
    with pytest.raises(InputError, match=message):
        build_onnx(trained, nms=nms)
