"""Padding and normalisation of batches that have target masks."""
from collections.abc import Sequence

from mmdet.models import DetDataPreprocessor
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.structures import PixelData
from torch.nn import functional as F


@MODELS.register_module()
class SegmentationPreprocessor(DetDataPreprocessor):
    """mmdet's ``DetDataPreprocessor``, whose ``pad_seg`` pads target masks (``gt_target_mask``) too.

    Takes its arguments. In training masks get the size of the batch at the right and below, by ``seg_pad_value``, 255:
    what is padded counts in no loss. In tests they stay as they are.
    """

    def pad_gt_sem_seg(self, batch_data_samples: Sequence[DetDataSample]) -> None:
        """Pad the maps and masks of samples, in place, to their ``batch_input_shape``."""
        super().pad_gt_sem_seg(batch_data_samples)
        for sample in batch_data_samples:
            if 'gt_target_mask' in sample:
                mask = sample.gt_target_mask.sem_seg
                height, width = sample.batch_input_shape
                padding = (0, max(width - mask.shape[-1], 0), 0, max(height - mask.shape[-2], 0))
                sample.gt_target_mask = PixelData(sem_seg=F.pad(mask, padding, value=self.seg_pad_value))
