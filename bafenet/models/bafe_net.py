"""BAFE-Net: targets and sky from one network (paper Fig. 5)."""
from mmdet.models.detectors import FCOS
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from torch import Tensor

from bafenet.errors import InputError

from .bafe_head import BAFEHead
from .head_outputs import add_maps
from .reduced_sky import predict_frames


@MODELS.register_module()
class BAFENet(FCOS):
    """Background-Aware Feature Exchange Network: ResNet, FPN and BAFE-Head.

    The arguments are those of mmdet's ``FCOS``; ``bbox_head`` is a :class:`BAFEHead`. ``loss`` and ``tensor`` modes
    are mmdet's; ``predict`` adds the sky map and the mask of the targets.

    Raises:
        InputError: If ``bbox_head`` is another head.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if not isinstance(self.bbox_head, BAFEHead):
            raise InputError(f'BAFENet: bbox_head is a {type(self.bbox_head).__name__} and must be a BAFEHead; set '
                             'model.bbox_head.type=BAFEHead, or model.type=FCOS')

    def predict(self, batch_inputs: Tensor, batch_data_samples: SampleList, rescale: bool = True) -> SampleList:
        """Detect targets, segment the sky and mark the targets' pixels, as far as the head does.

        Args:
            batch_inputs: Normalised images, float (N, 3, H, W).
            batch_data_samples: Samples with ``img_shape``, ``ori_shape`` and ``scale_factor``.
            rescale: Give boxes, sky map and mask in the original image and not in the network's input.

        Returns:
            The samples with ``pred_instances`` (``bboxes`` float (k, 4), exclusive ends; ``scores`` in (0, 1);
            ``labels``); with ``with_seg``, ``pred_sem_seg.sem_seg``: uint8 (1, H, W) at ``ori_shape``, 1 = sky; with
            ``with_mask``, ``pred_target_mask``: ``sem_seg``, uint8 (1, H, W), 1 where the logit of a target is above
            0, and ``prob``, float32 (1, H, W) from 0 to 1.
        """
        boxes, *maps = predict_frames(self, batch_inputs, batch_data_samples, rescale)
        add_maps(batch_data_samples, *maps)
        return self.add_pred_to_datasample(batch_data_samples, boxes)
