"""Samples as the evaluator gives them to a metric, and what DenseSIRSTMetric makes of them."""
import numpy as np
import torch

import bafenet  # noqa: F401  mmdet cannot be imported without it

# isort: split
from mmdet.registry import METRICS

SKY_ABOVE = np.repeat(np.array([1, 0], np.uint8), 5)[:, None].repeat(10, axis=1)
TRUTH = [[1, 1, 4, 4], [6, 1, 9, 4]]
# True, its duplicate (sky), wrong (other), true, wrong (other).
DETECTIONS = [[1, 1, 4, 4], [1, 1, 4, 4], [1, 6, 4, 9], [6, 1, 9, 4], [6, 6, 9, 9]]
SCORES = [0.9, 0.8, 0.7, 0.6, 0.2]


def instances(boxes, scores=None, labels=None):
    boxes = torch.as_tensor(np.asarray(boxes, np.float32).reshape(-1, 4))
    fields = {'bboxes': boxes, 'labels': torch.as_tensor(np.zeros(len(boxes)) if labels is None else labels).long()}
    if scores is not None:
        fields['scores'] = torch.as_tensor(np.asarray(scores, np.float32))
    return fields


def sky_map(array):
    return {'sem_seg': torch.as_tensor(array)[None]}


def sample(truth=(), detections=(), scores=(), true_sky=None, predicted_sky=None, ignored=(), img_id='0'):
    """One sample of one class as mmengine's Evaluator hands it over."""
    result = {'img_id': img_id, 'gt_instances': instances(truth), 'ignored_instances': instances(ignored),
              'pred_instances': instances(detections, scores)}
    if true_sky is not None:
        result['gt_sem_seg'] = sky_map(true_sky)
    if predicted_sky is not None:
        result['pred_sem_seg'] = sky_map(predicted_sky)
    return result


def build(num_classes=1, **kwargs):
    metric = METRICS.build(dict(type='DenseSIRSTMetric', **kwargs))
    metric.dataset_meta = {'classes': tuple('ABC'[:num_classes])}
    return metric


def evaluate(samples, num_classes=1, **kwargs):
    metric = build(num_classes, **kwargs)
    metric.process(None, samples)
    values = metric.evaluate(len(samples))
    assert all(type(value) is float for value in values.values())
    assert all(key.startswith('densesirst/') for key in values)
    return {key.removeprefix('densesirst/'): value for key, value in values.items()}


def random_samples(seed, num_images=12, num_classes=2, levels=None, num_truth=8, num_detections=30, num_ignored=0,
                   noise=0.6):
    """Random boxes of 3 to 9 px; the detections lie around true and ignored boxes or anywhere."""
    rng = np.random.default_rng(seed)

    def boxes(count):
        corner = rng.uniform(0, 60, (count, 2))
        return np.hstack((corner, corner + rng.uniform(3, 9, (count, 2))))

    def one(index):
        truth, ignored = boxes(rng.integers(0, num_truth + 1)), boxes(rng.integers(0, num_ignored + 1))
        detections = boxes(rng.integers(0, num_detections + 1))
        near = np.vstack((truth, ignored, truth))[:len(detections)]
        detections[:len(near)] = near + rng.normal(0, noise, near.shape)
        scores = rng.random(len(detections))
        labels = [rng.integers(0, num_classes, len(group)) for group in (truth, ignored, detections)]
        if levels:
            scores = np.ceil(scores * levels) / levels
        return {'img_id': str(index), 'gt_instances': instances(truth, labels=labels[0]),
                'ignored_instances': instances(ignored, labels=labels[1]),
                'pred_instances': instances(detections, scores, labels[2])}

    return [one(index) for index in range(num_images)]
