"""Loading images and sky maps, with the file named when one is bad."""
import cv2
import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmdet.datasets.transforms import LoadAnnotations
from mmdet.registry import TRANSFORMS

from bafenet.errors import InputError


@TRANSFORMS.register_module()
class LoadInfraredImage(LoadImageFromFile):
    """mmcv's ``LoadImageFromFile`` (uint8 BGR, grey in three equal channels), which names a file that is damaged."""

    def transform(self, results: dict) -> dict:
        """Add ``img`` (H, W, 3), ``img_shape`` and ``ori_shape``.

        Raises:
            InputError: If the image is missing or does not decode.
        """
        try:
            return super().transform(results)
        except (OSError, SyntaxError, ValueError, AssertionError, cv2.error) as error:
            raise InputError(f'{results["img_path"]}: the image does not decode ({error}); replace the file') from error


@TRANSFORMS.register_module()
class LoadSkyAnnotations(LoadAnnotations):
    """mmdet's ``LoadAnnotations`` for boxes, labels and the sky map, which names a sky map that is bad.

    Args:
        imdecode_backend: ``'pillow'`` by default, which gives the indices of a palette PNG; OpenCV gives its colours.
        **kwargs: Further arguments of mmdet's ``LoadAnnotations``.
    """

    def __init__(self, imdecode_backend: str = 'pillow', **kwargs) -> None:
        super().__init__(with_bbox=True, with_seg=True, imdecode_backend=imdecode_backend, **kwargs)

    def _load_seg_map(self, results: dict) -> None:
        path = results['seg_map_path']
        try:
            super()._load_seg_map(results)
        except (OSError, SyntaxError, ValueError, AttributeError, cv2.error) as error:
            raise InputError(f'{path}: the sky map does not decode ({error}); replace the file') from error
        sky_map = results['gt_seg_map']
        if sky_map.ndim != 2 or sky_map.dtype != np.uint8 or cv2.inRange(sky_map, 2, 254).any():
            raise InputError(f'{path}: a sky map has one channel of 0 (other), 1 (sky) and 255 (ignored), as in '
                             'SkySeg/PaletteMask')
