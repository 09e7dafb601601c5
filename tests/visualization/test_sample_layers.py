"""What is drawn of a segmentor's samples: components of masks, boxes, no sky; of a detector's, the sky."""
import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData, PixelData

from bafenet.visualization.samples import layers_of


def test_targets_and_sky():
    truth = torch.zeros(1, 12, 16, dtype=torch.uint8)
    truth[:, 1:3, 2:5] = truth[:, 3, 5] = 1  # corners touch
    truth[:, 8] = 255
    found = PixelData(sem_seg=truth, prob=truth.float())
    instances = InstanceData(bboxes=torch.tensor([[2., 1, 6, 4]]), scores=torch.tensor([0.9]))
    sample = DetDataSample(gt_target_mask=PixelData(sem_seg=truth), pred_sem_seg=found, pred_instances=instances)
    layers = layers_of(sample)
    assert set(layers) == {'true_boxes', 'true_mask', 'boxes', 'scores', 'mask'}
    np.testing.assert_array_equal(layers['true_boxes'], [[2, 1, 6, 4]])
    np.testing.assert_array_equal(layers['true_mask'], truth[0])
    assert set(layers_of(sample, truth=False)) == {'boxes', 'scores', 'mask'}
    assert set(layers_of(DetDataSample(pred_sem_seg=PixelData(sem_seg=truth)))) == {'sky'}
    both = DetDataSample(pred_sem_seg=PixelData(sem_seg=truth), pred_target_mask=found)
    assert set(layers_of(both)) == {'sky', 'mask'}
