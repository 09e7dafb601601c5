"""Hard negatives: which peaks are false alarms, where they lie in the frame, and crops that visit them, resumed too."""
import json
import random
from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import TRANSFORMS
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.structures import InstanceData

from bafenet.datasets.hard_negatives import Place, read_places, write_places
from bafenet.engine.hard_negative_hook import HardNegativeHook, _in_frame, false_alarms
from bafenet.engine.options import load_config
from bafenet.engine.runner import DetectionRunner
from bafenet.errors import InputError


def sample_of(boxes, shape=(32, 48), ignored=()):
    sample = DetDataSample(metainfo=dict(img_shape=shape))
    for name, corners in (('gt_instances', boxes), ('ignored_instances', ignored)):
        corners = torch.tensor(corners, dtype=torch.float32).reshape(-1, 4)
        setattr(sample, name, InstanceData(bboxes=HorizontalBoxes(corners)))
    return sample


def logits_of(*peaks, size=(16, 24)):
    """Levels of -9 but for peaks: (sample, row, column, score)."""
    level = torch.full((2, 1, *size), -9.0)
    for number, row, column, score in peaks:
        level[number, 0, row, column] = float(np.log(score / (1 - score)))
    return level


def found(logits, samples, score=0.3, distance=4):
    points, scores = false_alarms(logits, [2 * 2**i for i in range(len(logits))], samples, score, distance)
    return [sorted((tuple(place), round(value, 3)) for place, value in zip(*both, strict=True) if value)
            for both in zip(points.tolist(), scores.tolist(), strict=True)]


def test_peaks_far_from_targets_are_false_alarms():
    level = logits_of((0, 3, 4, 0.9), (0, 3, 5, 0.8), (0, 10, 10, 0.5), (0, 14, 2, 0.2), (1, 3, 4, 0.9),
                      (1, 8, 20, 0.6))
    # In the first a target at the first peak; in the second one that is ignored, and what is padding.
    samples = [sample_of([[8, 6, 11, 9]]), sample_of([], shape=(32, 40), ignored=[[14, 5, 18, 9]])]
    assert found([level], samples, distance=6) == [[((21.0, 21.0), 0.5)], []]
    # The peak at x = 9 is 5 px from the ignored box.
    assert found([level], samples, distance=5) == [[((21.0, 21.0), 0.5)], [((9.0, 7.0), 0.9)]]
    assert found([level], [sample_of([])] * 2)[1] == [((9.0, 7.0), 0.9), ((41.0, 17.0), 0.6)]


def test_levels_have_points_of_their_own_stride():
    levels = [logits_of((0, 2, 2, 0.9)), logits_of((0, 5, 9, 0.7), size=(8, 12))]
    assert found(levels, [sample_of([])] * 2) == [[((5.0, 5.0), 0.9), ((38.0, 22.0), 0.7)], []]


@pytest.mark.parametrize('seed', range(12))
def test_places_lead_back_into_the_frame_through_crops_flips_and_scales(seed):
    random.seed(seed)
    np.random.seed(seed)
    image = np.zeros((60, 90), np.uint8)
    row, column = random.randrange(10, 50), random.randrange(10, 80)
    image[row, column] = 255
    scale = 2 if seed % 3 == 0 else 1
    sample = dict(img=cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST),
                  scale_factor=(float(scale), float(scale)), img_path='a.png', img_id='a', ori_shape=(60, 90),
                  gt_bboxes=HorizontalBoxes(torch.tensor([[column, row, column + 1, row + 1]]) * float(scale)),
                  gt_bboxes_labels=np.zeros(1, np.int64), gt_ignore_flags=np.zeros(1, bool))
    steps = [dict(type='BalancedCrop', size=(40, 50), target_prob=1.0, other_prob=0.0),
             dict(type='RandomFlip', prob=[0.3, 0.3, 0.3], direction=['horizontal', 'vertical', 'diagonal']),
             dict(type='PackInfraredInputs')]
    for step in steps:
        sample = TRANSFORMS.build(step)(sample)
    y, x = np.argwhere(sample['inputs'][0].numpy() == 255).mean(axis=0) + 0.5
    assert _in_frame(x, y, sample['data_samples'].metainfo) == pytest.approx((column + 0.5, row + 0.5))


def test_crops_visit_the_places_of_their_epoch(tmp_path):
    write_places(tmp_path, 2, {'a.png': [Place(70.5, 20.5, 0.9, 2), Place(5.5, 50.5, 0.4, 1)]})
    crop = TRANSFORMS.build(dict(type='BalancedCrop', size=(16, 16), target_prob=0.0, other_prob=0.0, hard_prob=1.0))
    crop.hard_negatives = str(tmp_path)

    def cut(seed, **more):
        random.seed(seed)
        image = np.zeros((60, 90), np.uint8)
        image[20, 70] = image[50, 5] = 255
        return crop(dict(img=image, gt_bboxes=HorizontalBoxes(torch.zeros(0, 4)), gt_bboxes_labels=np.zeros(0),
                         gt_ignore_flags=np.zeros(0, bool), img_path='a.png', **more))

    samples = [cut(seed, epoch=2) for seed in range(60)]
    assert all((sample['img'] == 255).sum() == 1 for sample in samples)
    right = [sample['crop_start'][0] > 40 for sample in samples]
    assert 15 < sum(right) < 45
    # No file, no epoch, no place of this image: anywhere.
    for more in (dict(epoch=1), {}):
        assert 0 < sum((cut(seed, **more)['img'] == 255).any() for seed in range(60)) < 20


@pytest.mark.parametrize('text', ['[]', '{}', '{"places": 3}', '{"places": {"a": [[1, 2]]}}',
                                  '{"places": {"a": [[1, 2, "x", 1]]}}', '{"places": {"a": [[-1, 2, 0.5, 1]]}}', '{'])
def test_a_file_of_something_else_is_one_line(tmp_path, text):
    (tmp_path / 'epoch_1.json').write_text(text)
    with pytest.raises(InputError, match='epoch_1.json') as error:
        read_places(tmp_path, 1)
    assert '\n' not in str(error.value)
    assert read_places(tmp_path, 2) == {}


def run(work_dir, devkit, epochs, workers=0, **more):
    """Train hr_tiny on small crops of the tiny devkit."""
    data = f'train_dataloader.dataset.data_root={devkit}'
    crop = 'train_dataloader.dataset.pipeline.BalancedCrop'
    hook = "custom_hooks=[{'type': 'HardNegativeHook', 'score': 0.001, 'distance': 6}]"
    cfg = load_config('configs/bafenet/bafenet_hr_tiny_densesirst.py', [
        data, f'{crop}.size=(48,48)', f'{crop}.late_size=None', f'{crop}.hard_prob=0.2', hook, 'val_dataloader=None',
        'val_cfg=None', 'val_evaluator=None', 'default_hooks.checkpoint.save_best=None',
        f'train_cfg.max_epochs={epochs}', f'train_dataloader.num_workers={workers}',
        f'train_dataloader.persistent_workers={workers > 0}', 'param_scheduler=[]', 'optim_wrapper.type=OptimWrapper'])
    cfg.work_dir = str(work_dir)
    cfg.update(more)
    runner = DetectionRunner.from_cfg(cfg)
    runner.train()
    return runner


@pytest.mark.faults
def test_a_resumed_run_notes_and_visits_the_same(tmp_path, devkit):
    run(tmp_path / 'whole', devkit, 3)
    run(tmp_path / 'part', devkit, 2)
    run(tmp_path / 'part', devkit, 3, workers=1, resume=True)
    for epoch in (1, 2, 3):
        whole, part = (read_places(tmp_path / name / 'hard_negatives', epoch) for name in ('whole', 'part'))
        assert whole == part and whole
        for image, places in whole.items():
            assert image.startswith(str(devkit)) and len(places) <= 8
            assert all(0 <= place.x <= 64 and 0 <= place.y <= 64 for place in places)
            assert all(max(abs(one.x - other.x), abs(one.y - other.y)) >= 6 for one, other in pairwise(places))
    assert json.loads((tmp_path / 'whole/hard_negatives/epoch_3.json').read_text())['places']
    one, other = (torch.load(tmp_path / name / 'epoch_3.pth', weights_only=True) for name in ('whole', 'part'))
    assert all(torch.equal(value, other['state_dict'][name]) for name, value in one['state_dict'].items())


def test_places_are_forgotten_and_the_latest_come_first():
    hook = HardNegativeHook(distance=5, per_image=2, epochs=2)
    places = [Place(10, 10, 0.9, 1), Place(30, 10, 0.5, 3), Place(31, 12, 0.9, 2), Place(60, 10, 0.4, 2),
              Place(80, 10, 0.3, 2)]
    assert hook._kept(places, 3) == [places[1], places[3]]
    assert hook._kept(places, 9) == []


def test_a_hook_that_nothing_reads_is_refused(tmp_path, devkit):
    with pytest.raises(InputError, match='hard_prob'):
        run(tmp_path, devkit, 1, train_dataloader=dict(
            batch_size=2, num_workers=0, sampler=dict(type='EpochSampler'), dataset=dict(
                type='DenseSIRSTDataset', data_root=str(devkit), ann_file='Splits/train_v2.txt', pipeline=[
                    dict(type='LoadInfraredImage'), dict(type='LoadSkyAnnotations'),
                    dict(type='BalancedCrop', size=(48, 48)), dict(type='PackInfraredInputs')])))


@pytest.mark.parametrize('bad', [dict(score=-0.1), dict(score=2), dict(score=None), dict(distance=-1),
                                 dict(distance='8'), dict(per_image=0), dict(per_image=1.5), dict(epochs=0),
                                 dict(epochs=True)])
def test_bad_settings_are_refused(bad):
    with pytest.raises(InputError, match=f'HardNegativeHook: {next(iter(bad))}'):
        HardNegativeHook(**bad)
