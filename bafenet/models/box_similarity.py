"""How alike two boxes are, for assigners in the place of the IoU: the normalised Wasserstein distance (NWD)."""
from typing import Any

import torch
from mmdet.models.task_modules.assigners import BboxOverlaps2D
from mmdet.registry import TASK_UTILS
from torch import Tensor

from bafenet.arguments import require_number

from .assignment import box_centres, box_sizes


@TASK_UTILS.register_module()
class NormalisedWassersteinSimilarity(BboxOverlaps2D):
    """exp(−W / C) of two boxes seen as Gaussians (NWD, Wang et al., 2021), which small boxes apart have too.

    W is as in :class:`~bafenet.models.losses.NormalisedWassersteinLoss`. Assigners take it by
    ``iou_calculator=dict(type='NormalisedWassersteinSimilarity')``; where they ask for the share of a box that lies in
    a region to be ignored (``mode='iof'``), it is that.

    Args:
        constant: C in pixels of the network's input.

    Raises:
        InputError: If ``constant`` is no number above 0.
    """

    def __init__(self, constant: float = 3.7) -> None:
        super().__init__()
        require_number('NormalisedWassersteinSimilarity: constant', constant, 0, above=True, unit='pixels')
        self.constant = constant

    def __call__(self, bboxes1: Any, bboxes2: Any, mode: str = 'iou', is_aligned: bool = False) -> Tensor:
        """Compare boxes.

        Args:
            bboxes1: (M, 4), x1, y1, x2, y2 in pixels.
            bboxes2: (N, 4), likewise; as many as ``bboxes1`` where they are aligned.
            mode: ``'iou'`` for the similarity; others are mmdet's.
            is_aligned: Compare each box with the other of its place alone.

        Returns:
            In [0, 1], (M, N), or (M, ) where they are aligned.
        """
        if mode != 'iou':
            return super().__call__(bboxes1, bboxes2, mode, is_aligned)
        first, second = (torch.cat((box_centres(boxes), box_sizes(boxes) / 2), dim=1)
                         for boxes in (bboxes1[:, :4], bboxes2[:, :4]))
        # The differences themselves: matrix products would round away what is small against the coordinates.
        distances = (torch.linalg.vector_norm(first - second, dim=1) if is_aligned else
                     torch.cdist(first, second, compute_mode='donot_use_mm_for_euclid_dist'))
        return (-distances / self.constant).exp()
