"""What is drawn of a segmentor's samples: the components of true and predicted masks; of a detector's, the sky."""
import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import PixelData

from bafenet.visualization.samples import layers_of


def masked(*places):
    mask = torch.zeros(1, 12, 16, dtype=torch.uint8)
    for (top, bottom, left, right), value in places:
        mask[:, top:bottom, left:right] = value
    return mask


def test_components_of_masks_are_boxes():
    truth = masked(((1, 4, 2, 6), 1), ((8, 9, 0, 1), 255))
    found = masked(((1, 3, 2, 5), 1), ((3, 4, 5, 6), 1), ((10, 12, 14, 16), 1))
    prob = 0.6 * found.float()
    prob[0, 2, 3], prob[0, 11, 15] = 0.9, 0.7
    sample = DetDataSample(gt_target_mask=PixelData(sem_seg=truth), pred_sem_seg=PixelData(sem_seg=found, prob=prob))
    layers = layers_of(sample)
    assert set(layers) == {'true_boxes', 'boxes', 'scores'}
    np.testing.assert_array_equal(layers['true_boxes'], [[2, 1, 6, 4]])
    np.testing.assert_array_equal(layers['boxes'], [[2, 1, 6, 4], [14, 10, 16, 12]])  # corners touch
    np.testing.assert_allclose(layers['scores'], [0.9, 0.7])
    assert set(layers_of(sample, truth=False)) == {'boxes', 'scores'}


def test_no_components_and_a_sky():
    empty = PixelData(sem_seg=masked(), prob=masked().float())
    layers = layers_of(DetDataSample(pred_sem_seg=empty))
    assert layers['boxes'].shape == (0, 4) and layers['scores'].shape == (0, )
    assert set(layers_of(DetDataSample(pred_sem_seg=PixelData(sem_seg=masked())))) == {'sky'}
