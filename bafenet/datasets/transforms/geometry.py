"""RandomTranspose: the flip on the diagonal, which with RandomFlip gives all eight positions of a frame."""
import random

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import BaseBoxes

from bafenet.arguments import require_number
from bafenet.compat.target_masks import TARGET_MASK, mark_moved

from .loading import require_loaded


@TRANSFORMS.register_module()
class RandomTranspose(BaseTransform):
    """Exchange rows and columns of a frame and all that lies on it, by chance.

    Behind ``RandomFlip(prob=[0.25, 0.25, 0.25], direction=['horizontal', 'vertical', 'diagonal'])`` and with
    ``prob=0.5`` all eight flips and quarter turns are equally likely. mmdet has no such step. The draw comes from the
    global ``random`` state.

    Reads and writes ``img`` (H, W) or (H, W, C), ``img_shape``, and where they are present ``gt_bboxes``,
    ``gt_seg_map``, ``gt_target_mask``, ``gt_masks``, ``scale_factor`` and ``homography_matrix``.

    Args:
        prob: Probability.

    Raises:
        InputError: If it is out of range, or no step before has loaded the image.
    """

    def __init__(self, prob: float = 0.5) -> None:
        require_number('RandomTranspose: prob', prob, 0, 1)
        self.prob = prob

    def transform(self, results: dict) -> dict:
        """Transpose one sample or leave it; see the class."""
        require_loaded('RandomTranspose', results, 'img')
        if random.random() >= self.prob:
            return results
        for key in ('img', 'gt_seg_map', TARGET_MASK):
            if results.get(key) is not None:
                results[key] = np.ascontiguousarray(np.swapaxes(results[key], 0, 1))
        results['img_shape'] = results['img'].shape[:2]
        if isinstance(results.get('gt_bboxes'), BaseBoxes):
            boxes = results['gt_bboxes']
            results['gt_bboxes'] = type(boxes)(boxes.tensor[:, [1, 0, 3, 2]])
        if results.get('gt_masks') is not None:
            masks = results['gt_masks'].to_ndarray().swapaxes(1, 2)
            results['gt_masks'] = type(results['gt_masks'])(masks, *results['img_shape'])
        if 'scale_factor' in results:
            results['scale_factor'] = tuple(results['scale_factor'][::-1])
        before = results.get('homography_matrix')
        exchange = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1]], np.float32)
        results['homography_matrix'] = exchange if before is None else exchange @ before
        if TARGET_MASK in results:
            mark_moved(results)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(prob={self.prob})'
