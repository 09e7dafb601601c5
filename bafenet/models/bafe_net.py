"""BAFE-Net: targets and sky from one network (paper Fig. 5)."""
from mmdet.models.detectors import FCOS
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from torch import Tensor

from bafenet.errors import InputError

from .bafe_head import BAFEHead, sky_map


@MODELS.register_module()
class BAFENet(FCOS):
    """Background-Aware Feature Exchange Network: ResNet, FPN and BAFE-Head.

    The arguments are those of mmdet's ``FCOS``; ``bbox_head`` is a :class:`BAFEHead`. ``loss`` and ``tensor`` modes
    are mmdet's; ``predict`` adds the sky map.

    Raises:
        InputError: If ``bbox_head`` is another head.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if not isinstance(self.bbox_head, BAFEHead):
            raise InputError(f'BAFENet: bbox_head is a {type(self.bbox_head).__name__} and must be a BAFEHead; set '
                             'model.bbox_head.type=BAFEHead, or model.type=FCOS')

    def predict(self, batch_inputs: Tensor, batch_data_samples: SampleList, rescale: bool = True) -> SampleList:
        """Detect targets and segment the sky.

        Args:
            batch_inputs: Normalised images, float (N, 3, H, W).
            batch_data_samples: Samples with ``img_shape``, ``ori_shape`` and ``scale_factor``.
            rescale: Give boxes and sky map in the original image and not in the network's input.

        Returns:
            The samples with ``pred_instances`` (``bboxes`` float (k, 4), exclusive ends; ``scores`` in (0, 1);
            ``labels``) and, if the head segments, ``pred_sem_seg.sem_seg``: uint8 (1, H, W) at ``ori_shape``,
            1 = sky.
        """
        if not self.bbox_head.with_seg:
            return super().predict(batch_inputs, batch_data_samples, rescale)
        features = self.extract_feat(batch_inputs)
        boxes, sky_logits = self.bbox_head.predict_with_sky(features, batch_data_samples, rescale)
        for sample, logits in zip(batch_data_samples, sky_logits, strict=True):
            sample.pred_sem_seg = sky_map(logits)
        return self.add_pred_to_datasample(batch_data_samples, boxes)
