"""TargetSegmentor: a network that marks target pixels, trained and tested as mmdet's detectors are."""
from collections.abc import Sequence
from typing import Any

import torch
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmdet.utils import ConfigType, OptConfigType, OptMultiConfig
from mmengine.model import BaseModel
from mmengine.structures import InstanceData, PixelData
from torch import Tensor
from torch.nn import functional as F

from bafenet.arguments import is_number, require_choice, require_part, shown
from bafenet.devkit.box_matching import component_boxes, component_maxima
from bafenet.errors import InputError

from .masks import build_losses, loss_values, predicted_mask, true_masks


@MODELS.register_module()
class TargetSegmentor(BaseModel):
    """Segments the targets of a frame: a network of logits, its losses, and predictions at the frame's own size.

    Args:
        backbone: Config of the network, such as ``NestedUNet``: it gives a list of logits (N, 1, H, W), the last of
            which is the prediction. Where its ``in_channels`` is 1 it gets the mean of the image's channels, which of a
            grey frame is each of them.
        loss_mask: Config of the loss of logits and true masks, both (N, 1, H, W), or a list of some, which are added:
            ``SoftIoULoss``, ``NegativeSetLoss``, or mmdet's ``CrossEntropyLoss`` with ``use_sigmoid=True,
            ignore_index=255, avg_non_ignore=True``.
        output_weights: Weights of the network's outputs in the loss, in their order (deep supervision); None for equal
            ones. The weighted mean is taken.
        data_preprocessor: Config; ``SegmentationPreprocessor`` with the ``pad_size_divisor`` of the network.
        init_cfg: Initialisation.

    Raises:
        InputError: If an argument is not one of these.
    """

    def __init__(self,
                 backbone: ConfigType,
                 loss_mask: ConfigType | Sequence[ConfigType] = dict(type='SoftIoULoss'),
                 output_weights: Sequence[float] | None = None,
                 data_preprocessor: OptConfigType = None,
                 init_cfg: OptMultiConfig = None) -> None:
        super().__init__(data_preprocessor or dict(type='SegmentationPreprocessor', pad_seg=True), init_cfg)
        require_part('TargetSegmentor', backbone=backbone)
        if output_weights is not None and not (
                isinstance(output_weights, (list, tuple)) and all(is_number(item) and item >= 0
                                                                  for item in output_weights) and sum(output_weights)):
            raise InputError(f'TargetSegmentor: output_weights={shown(output_weights)} must be numbers of at least 0, '
                             'not all of them 0, or None')
        self.backbone = MODELS.build(backbone)
        require_choice('TargetSegmentor', (1, 3), **{'backbone.in_channels': getattr(self.backbone, 'in_channels', 3)})
        self.losses = build_losses('TargetSegmentor', loss_mask)
        self.output_weights = output_weights

    def forward(self, inputs: Tensor, data_samples: SampleList | None = None, mode: str = 'tensor') -> Any:
        """Compute what a mode asks for.

        Args:
            inputs: Normalised images, float (N, 3, H, W).
            data_samples: Samples; not needed for ``'tensor'``.
            mode: ``'tensor'``, ``'loss'`` or ``'predict'``.

        Returns:
            The network's list of logits, the losses by name, or the samples with their predictions.

        Raises:
            InputError: If there is no such mode.
        """
        if mode == 'tensor':
            return self.logits(inputs)
        if mode == 'loss':
            return self.loss(inputs, data_samples or [])
        if mode == 'predict':
            return self.predict(inputs, data_samples or [])
        raise InputError(f"TargetSegmentor: mode={shown(mode)} must be 'tensor', 'loss' or 'predict'")

    def logits(self, inputs: Tensor) -> list[Tensor]:
        """The network's outputs (N, 1, H, W) for images (N, 3, H, W), the prediction last."""
        if getattr(self.backbone, 'in_channels', 3) == 1:
            inputs = inputs.mean(1, keepdim=True)
        return self.backbone(inputs)

    def loss(self, inputs: Tensor, data_samples: SampleList) -> dict[str, Tensor]:
        """Losses of a batch.

        Args:
            inputs: Normalised images, float (N, 3, H, W).
            data_samples: Samples with ``gt_target_mask.sem_seg``, uint8 (1, H, W): 0 background, 1 target, 255 ignored.

        Returns:
            ``loss_mask``; of several losses each by its number, ``loss_mask_1`` and so on.

        Raises:
            InputError: If a sample has no mask, or, for a :class:`NegativeSetLoss`, no ``set_id`` in its meta data; or
                there is not one of ``output_weights`` for each output.
        """
        masks = true_masks('TargetSegmentor', data_samples)
        outputs = self.logits(inputs)
        return loss_values(self.losses, outputs, masks, data_samples, self._weights(len(outputs)))

    def _weights(self, count: int) -> list[float]:
        """Weights of the outputs, whose sum is 1."""
        weights = [1.0] * count if self.output_weights is None else self.output_weights
        if len(weights) != count:
            raise InputError(f'TargetSegmentor: output_weights={shown(weights)} has {len(weights)} values, and '
                             f'{type(self.backbone).__name__} gives {count} outputs; give one for each, or None')
        return [weight / sum(weights) for weight in weights]

    def predict(self, inputs: Tensor, data_samples: SampleList, rescale: bool = True) -> SampleList:
        """Segment the targets.

        Args:
            inputs: Normalised images, float (N, 3, H, W).
            data_samples: Samples with ``img_shape``, the image without padding, and ``ori_shape``, the frame's.
            rescale: Give all in the original frame and not in the network's input.

        Returns:
            The samples with ``pred_sem_seg``: ``sem_seg``, uint8 (1, h, w), 1 where the logit is above 0, and ``prob``,
            float32 (1, h, w) from 0 to 1; and with ``pred_instances``, as a detector gives them, of the mask's
            8-connected components: ``bboxes`` float32 (k, 4), exclusive ends, ``scores``, the highest probability in
            each, and ``labels``, 0.
        """
        for sample, logits in zip(data_samples, self.frame_logits(inputs, data_samples, rescale), strict=True):
            sample.pred_sem_seg = predicted_mask(logits)
            sample.pred_instances = component_instances(sample.pred_sem_seg)
        return data_samples

    def frame_logits(self, inputs: Tensor, data_samples: SampleList, rescale: bool = True) -> list[Tensor]:
        """The prediction's logits, float32 (1, h, w), of each frame; see :meth:`predict`."""
        found = []
        for sample, logits in zip(data_samples, self.logits(inputs)[-1].float(), strict=True):
            height, width = sample.img_shape[:2]
            logits = logits[:, :height, :width]
            size = tuple(sample.ori_shape[:2])
            if rescale and size != (height, width):
                logits = F.interpolate(logits[None], size, mode='bilinear')[0]
            found.append(logits)
        return found


def component_instances(predicted: PixelData) -> InstanceData:
    """Boxes, scores and labels of the 8-connected components of a predicted mask; see :meth:`TargetSegmentor.predict`.

    Args:
        predicted: ``sem_seg`` uint8 (1, h, w), 1 = target, and ``prob`` float (1, h, w).

    Returns:
        The component of the highest probability first.
    """
    mask, device = predicted.sem_seg[0].cpu().numpy(), predicted.prob.device
    boxes = component_boxes(mask)
    scores = component_maxima(mask, predicted.prob[0].cpu().numpy())
    order = (-scores).argsort(kind='stable')
    return InstanceData(
        bboxes=torch.tensor(boxes[order], dtype=torch.float32, device=device),
        scores=torch.tensor(scores[order], dtype=torch.float32, device=device),
        labels=torch.zeros(len(boxes), dtype=torch.int64, device=device))
