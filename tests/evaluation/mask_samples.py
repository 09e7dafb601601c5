"""Samples of target masks as the evaluator gives them to a metric, and the definitions of the values in plain loops."""
from collections import deque

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

import bafenet  # noqa: F401  mmdet cannot be imported without it

# isort: split
from mmdet.registry import METRICS


def mask_sample(truth, mask, prob=None, img_id='a'):
    """One sample as mmengine's Evaluator hands it over."""
    prediction = {'sem_seg': torch.as_tensor(np.asarray(mask, np.uint8))[None]}
    if prob is not None:
        prediction['prob'] = torch.as_tensor(np.asarray(prob, np.float32))[None]
    return {'img_id': img_id, 'gt_target_mask': {'sem_seg': torch.as_tensor(np.asarray(truth, np.uint8))[None]},
            'pred_sem_seg': prediction}


def build(**kwargs):
    metric = METRICS.build(dict(type='IRSTDMetric', **kwargs))
    metric.dataset_meta = {'classes': ('Target', )}
    return metric


def evaluate(samples, **kwargs):
    """Values by key without prefix, and the metric."""
    metric = build(**kwargs)
    metric.process(None, samples)
    values = metric.evaluate(len(samples))
    known = metric.keys()
    assert all(type(value) is float and key in known for key, value in values.items())
    return {key.removeprefix('irstd/'): value for key, value in values.items()}, metric


def random_frames(seed, count=12):
    """Frames of several sizes: targets close together, predictions beside them, noise; (truth, prob) each."""
    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(count):
        height, width = rng.integers(30, 60, 2)
        truth, prob = np.zeros((height, width), np.uint8), rng.random((height, width)) ** 30
        for _ in range(rng.integers(1, 9)):
            y, x, sides = rng.integers(4, height - 8), rng.integers(4, width - 8), rng.integers(1, 4, 2)
            truth[y:y + sides[0], x:x + sides[1]] = 1
            dy, dx = rng.integers(-3, 4, 2)
            prob[y + dy:y + dy + sides[1], x + dx:x + dx + sides[0]] = rng.random()
        prob[0, :2] = 0.9  # both sides have a component
        frames.append((truth, prob.astype(np.float32)))
    return frames


# --- The definitions --------------------------------------------------------------------------------------------------


def flood(mask):
    """8-connected components as lists of (row, column), in the order of their first pixels."""
    left, found = {tuple(place) for place in np.argwhere(mask)}, []
    for start in map(tuple, np.argwhere(mask)):
        if start not in left:
            continue
        left.remove(start)
        queue, pixels = deque([start]), []
        while queue:
            row, column = queue.popleft()
            pixels.append((row, column))
            for near in [(row + dy, column + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]:
                if near in left:
                    left.remove(near)
                    queue.append(near)
        found.append(pixels)
    return found


def distance(one, other):
    return float(np.linalg.norm(np.mean(one, axis=0) - np.mean(other, axis=0)))


def overlap(one, other):
    return len(set(one) & set(other)) / len(set(one) | set(other))


def greedy(targets, components):
    """Detected targets, pixels of components that are left, and pixels by the rule of areas of DNA-Net's code."""
    left, matched_areas = list(components), []
    for target in targets:
        for component in left:
            if distance(target, component) < 3:
                matched_areas.append(len(component))
                left.remove(component)
                break
    areas = [len(component) for component in components]
    return len(matched_areas), sum(map(len, left)), sum(area for area in areas if area not in matched_areas)


def hierarchical(targets, components):
    """Pairs by overlap at the least total distance, then by distance: IoU of each."""
    if not targets or not components:
        return []
    far = np.array([[distance(target, component) for component in components] for target in targets])
    pairs = [(i, j) for i, j in zip(*linear_sum_assignment(far), strict=True)
             if overlap(targets[i], components[j]) >= 0.5]
    rows = [i for i in range(len(targets)) if i not in {pair[0] for pair in pairs}]
    columns = [j for j in range(len(components)) if j not in {pair[1] for pair in pairs}]
    pairs += [(rows[i], columns[j]) for i, j in zip(*linear_sum_assignment(far[rows][:, columns]), strict=True)
              if far[rows[i], columns[j]] < 3]
    return [overlap(targets[i], components[j]) for i, j in pairs]


def expected(frames, threshold=0.5):
    """The values of frames whose prediction is where the probability is above a threshold."""
    parts = [(truth == 1, (prob > threshold) & (truth != 255), truth != 255) for truth, prob in frames]
    intersections = np.array([(truth & mask).sum() for truth, mask, _ in parts])
    unions = np.array([(truth | mask).sum() for truth, mask, _ in parts])
    found = [(flood(truth), flood(mask)) for truth, mask, _ in parts]
    detected, alarms, legacy = np.sum([greedy(*one) for one in found], axis=0)
    overlaps = [value for one in found for value in hierarchical(*one)]
    targets, components = (sum(len(one[side]) for one in found) for side in (0, 1))
    pixels = sum(known.sum() for *_, known in parts)
    return {'IoU': intersections.sum() / unions.sum(), 'nIoU': np.mean(intersections[unions > 0] / unions[unions > 0]),
            'P_d': 100 * detected / targets, 'F_a': 1e6 * alarms / pixels, 'F_a_legacy': 1e6 * legacy / pixels,
            'hIoU': sum(overlaps) / (targets + components - len(overlaps)), 'num_frames': len(frames),
            'num_targets': targets, 'num_detected': detected, 'num_alarms': components - detected}
