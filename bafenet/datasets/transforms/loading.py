"""Loading and packing of images and sky maps: a bad file is named, and nothing is decoded or carried twice."""
import os
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from mmcv.image.io import imread_flags
from mmcv.transforms import BaseTransform, LoadImageFromFile
from mmdet.datasets.transforms import LoadAnnotations, PackDetInputs
from mmdet.registry import TRANSFORMS
from mmengine.structures import PixelData

from bafenet.arguments import require_flags, require_number, shown
from bafenet.compat.target_masks import TARGET_MASK, mark_moved, require_moved
from bafenet.devkit import image_size
from bafenet.devkit.conversion.masks import read_target_mask
from bafenet.devkit.decode import read_header
from bafenet.devkit.frames import read_frame
from bafenet.devkit.grey_levels import PERCENTILES, GreyLevels, as_frame
from bafenet.devkit.layout import IGNORED, OTHER, SKY, SKY_PALETTE
from bafenet.errors import InputError, first_line, printable

MAX_CACHE_MB = 2**20
# What later steps need of a sample: in words, and the step that loads it.
LOADED_BY = {
    'img': ('image', 'LoadInfraredImage'),
    'gt_bboxes': ('boxes', 'LoadSkyAnnotations'),
    'gt_seg_map': ('sky map', 'LoadSkyAnnotations'),
    TARGET_MASK: ('target mask', 'LoadTargetMask'),
}


def require_loaded(step: str, results: dict, *keys: str) -> None:
    """Demand that earlier steps of a pipeline have loaded what a step needs.

    Args:
        step: The step, for the message.
        results: The sample.
        *keys: Keys of :data:`LOADED_BY`.

    Raises:
        InputError: If one is absent, or None.
    """
    for key in keys:
        if results.get(key) is None:
            what, loader = LOADED_BY[key]
            raise InputError(f'{printable(results.get("img_path", "a sample"))}: {step} needs the {what}, and no step '
                             f'before it has loaded {"them" if what.endswith("s") else "it"}: put {loader} before it '
                             'into the pipeline')


class DecodedCache:
    """Decoded arrays by file, up to a memory bound.

    Nothing is evicted: where every file is visited once an epoch in random order, a newcomer is worth no more than
    what is there. Each process of a data loader has its own.

    Args:
        megabytes: Memory bound in MiB; 0 keeps nothing.
    """

    def __init__(self, megabytes: float) -> None:
        require_number('cache_mb', megabytes, 0, MAX_CACHE_MB)
        self.room = int(megabytes * 2**20)
        self._arrays: dict[str, np.ndarray] = {}

    def get(self, path: str) -> np.ndarray | None:
        """The array of a file, not to be written to, or None."""
        return self._arrays.get(path)

    def put(self, path: str, array: np.ndarray) -> None:
        """Keep a copy of an array, if there is room."""
        if array.nbytes <= self.room:
            self.room -= array.nbytes
            self._arrays[path] = array.copy()


@TRANSFORMS.register_module()
class LoadInfraredImage(LoadImageFromFile):
    """mmcv's ``LoadImageFromFile``, which keeps a grey image in one channel and names a file that is damaged.

    It takes images that are in memory too: ``img`` in its input instead of ``img_path``, see
    :func:`~bafenet.devkit.grey_levels.as_frame`. Images of 16 bits or floating point are brought to 8 bits, see
    :class:`~bafenet.devkit.grey_levels.GreyLevels`; those of 8 bits stay as they are.

    Args:
        percentiles: Percentiles of such an image that become 0 and 255.
        value_range: Values that become 0 and 255 instead, in every image.
        cache_mb: Keep decoded images up to this many MiB in each process of the data loader, grey ones as one channel.
        color_type: By default uint8 (H, W) of a grey file and (H, W, 3), BGR, of a coloured one;
            :class:`PackInfraredInputs` makes three channels of either. ``'color'`` makes them here, for transforms
            that want them.
        **kwargs: Further arguments of mmcv's ``LoadImageFromFile``.

    Raises:
        InputError: If an argument is out of range.
    """

    takes_arrays = True  # asked by bafenet.compat.inference

    def __init__(self,
                 cache_mb: float = 0,
                 color_type: str | int = cv2.IMREAD_ANYCOLOR,
                 percentiles: Sequence[float] = PERCENTILES,
                 value_range: Sequence[float] | None = None,
                 **kwargs) -> None:
        known = color_type in imread_flags if isinstance(color_type, str) else type(color_type) is int
        if not known:
            raise InputError(f'LoadInfraredImage: color_type={shown(color_type)} must be one of '
                             f'{", ".join(imread_flags)}, or a flag of OpenCV')
        super().__init__(color_type=color_type, **kwargs)
        try:
            self.levels = GreyLevels(tuple(percentiles), None if value_range is None else tuple(value_range))
        except (InputError, TypeError) as error:
            raise InputError(f'LoadInfraredImage: {first_line(error)}') from error
        self._in_colour = color_type == 'color'
        self._in_grey = isinstance(color_type, str) and color_type.startswith('grayscale')
        if self.imdecode_backend == 'cv2':
            # Without it OpenCV keeps the high bytes of 16 bits and says nothing.
            self.color_type = imread_flags.get(color_type, color_type) | cv2.IMREAD_ANYDEPTH
        self._cache = DecodedCache(cache_mb)

    def transform(self, results: dict) -> dict:
        """Add ``img``, ``img_shape``, ``ori_shape``, ``scale_factor``, 1, and ``grey_levels``, for whoever draws it.

        Raises:
            InputError: If the image is missing or does not decode.
        """
        results['grey_levels'] = self.levels
        if 'img' in results:
            return self._with_image(results, self._in_channels(self.levels.apply(as_frame(results['img']))[0]))
        path = results['img_path']
        cached = self._cache.get(path)
        if cached is not None:
            return self._with_image(results, self._in_channels(cached))
        if self._is_deep(path):
            return self._with_image(results, self._deep(path))
        try:
            results = super().transform(results)
        except (OSError, SyntaxError, ValueError, AssertionError, AttributeError, cv2.error) as error:
            raise InputError(f'{printable(path)}: the image does not decode ({first_line(error)}); replace the '
                             'file') from error
        if results is not None and results['img'].dtype not in (np.uint8, *((np.float32, ) if self.to_float32 else ())):
            # What is no local file has no header that was looked at.
            return self._with_image(results, self._in_channels(self.levels.apply(as_frame(results['img']))[0]))
        if self._cache.room:
            self._cache.put(path, _grey_plane(results['img']))
        # For pipelines that resize nothing; mmdet's heads divide by it.
        results['scale_factor'] = (1.0, 1.0)
        return results

    def _is_deep(self, path: str) -> bool:
        """Whether the header of a local file tells of more than 8 bits; what must not be decoded is refused."""
        if not _is_local(path, self.backend_args):
            return False
        try:
            return read_header(path).deep
        except InputError as error:
            raise _about(error, 'image') from error

    def _deep(self, path: str) -> np.ndarray:
        """A file of more than 8 bits, brought to 8."""
        try:
            image = read_frame(path, self.levels).image
        except InputError as error:
            raise _about(error, 'image') from error
        if self._cache.room:
            self._cache.put(path, _grey_plane(image))
        return self._in_channels(image)

    def _in_channels(self, image: np.ndarray) -> np.ndarray:
        """A copy of an image, in colour or grey where that is asked for."""
        if self._in_colour and image.ndim == 2:
            return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
        return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) if self._in_grey and image.ndim == 3 else image.copy()

    def _with_image(self, results: dict, image: np.ndarray) -> dict:
        image = image.astype(np.float32) if self.to_float32 else image
        results.update(img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2], scale_factor=(1.0, 1.0))
        return results


@TRANSFORMS.register_module()
class LoadSkyAnnotations(LoadAnnotations):
    """Loads the boxes, their labels and the sky map: mmdet's ``LoadAnnotations``, which names a sky map that is bad.

    A sample whose ``seg_map_path`` is None gets a sky map that is 255, ignored, everywhere, so that it can stand in a
    batch with others. A sample without that key, as a user's own frame, gets none.

    Args:
        imdecode_backend: ``'pillow'`` by default, which gives the indices of a palette PNG; OpenCV gives its colours.
        cache_mb: Keep decoded sky maps up to this many MiB in each process of the data loader.
        **kwargs: Further arguments of mmdet's ``LoadAnnotations``.
    """

    def __init__(self, imdecode_backend: str = 'pillow', cache_mb: float = 0, **kwargs) -> None:
        super().__init__(with_bbox=True, with_seg=True, imdecode_backend=imdecode_backend, **kwargs)
        self._cache = DecodedCache(cache_mb)

    def _load_seg_map(self, results: dict) -> None:
        if 'seg_map_path' not in results:
            return
        path = results['seg_map_path']
        if path is None:
            require_loaded(type(self).__name__, results, 'img')
            shape = results.get('ori_shape') or results['img'].shape
            results.update(gt_seg_map=np.full(shape[:2], IGNORED, np.uint8), ignore_index=self.ignore_index)
            return
        cached = self._cache.get(path)
        if cached is not None:
            results.update(gt_seg_map=cached.copy(), ignore_index=self.ignore_index)
            return
        _check_header(path, 'sky map', self.backend_args)
        try:
            super()._load_seg_map(results)
        except (OSError, SyntaxError, ValueError, AttributeError, cv2.error) as error:
            raise InputError(f'{printable(path)}: the sky map does not decode ({first_line(error)}); replace the '
                             'file') from error
        sky_map = results['gt_seg_map']
        if sky_map.ndim != 2 or sky_map.dtype != np.uint8 or cv2.inRange(sky_map, SKY + 1, IGNORED - 1).any():
            raise InputError(f'{printable(path)}: a sky map has one channel of {OTHER} (other), {SKY} (sky) and '
                             f'{IGNORED} (ignored), as in {SKY_PALETTE}')
        shape = tuple(results.get('ori_shape') or sky_map.shape)
        if shape != sky_map.shape:
            (height, width), (image_height, image_width) = sky_map.shape, shape
            raise InputError(f'{printable(path)}: the sky map is not of its image\'s size, '
                             f'{image_width}x{image_height}, but {width}x{height}; replace the file')
        self._cache.put(path, sky_map)


@TRANSFORMS.register_module()
class LoadTargetMask(BaseTransform):
    """Loads the target mask: 1 where a target is, 0 elsewhere.

    Reads ``target_mask_path``, an image of any kind: 0 and 1, 0 and 255, a palette, colours, soft masks; see
    :func:`~bafenet.devkit.conversion.masks.read_target_mask`. A sample without that key, as a user's own frame, gets
    none. Writes ``gt_target_mask``, uint8 (H, W). Resize, RandomFlip, RandomTranspose, BalancedCrop and BAGCopyPaste
    after it change it as they change the image; :class:`PackInfraredInputs` packs it, and refuses it where another step
    has moved the image alone. In test pipelines it stands after Resize, so that the truth is of the original size.

    Args:
        cache_mb: Keep decoded masks up to this many MiB in each process of the data loader.
        optional: A frame whose mask is missing, or that names none (``target_mask_path`` is None), gets one that is
            255, ignored, everywhere: it costs a loss of masks nothing and teaches nothing.

    Raises:
        InputError: If the mask does not decode, is of another size than the frame, or is missing and not ``optional``.
    """

    def __init__(self, cache_mb: float = 0, optional: bool = False) -> None:
        require_flags('LoadTargetMask', optional=optional)
        self._cache = DecodedCache(cache_mb)
        self.optional = optional

    def transform(self, results: dict) -> dict:
        """Load the mask of one sample; see the class."""
        if 'target_mask_path' not in results:
            return results
        require_loaded(type(self).__name__, results, 'img')
        path = results['target_mask_path']
        height, width = (results.get('ori_shape') or results['img'].shape)[:2]
        mask = self._cache.get(path)
        if mask is None and self.optional and not (path and os.path.lexists(path)):
            mask = np.full((height, width), IGNORED, np.uint8)
        elif mask is None:
            mask = read_target_mask(path, None, (width, height))[0].view(np.uint8)
            self._cache.put(path, mask)
        results[TARGET_MASK] = mask.copy()
        mark_moved(results)
        return results


@TRANSFORMS.register_module()
class PackInfraredInputs(PackDetInputs):
    """mmdet's ``PackDetInputs``, which repeats an image of one channel in the three that networks take.

    The target mask, where there is one, is packed as ``gt_target_mask``, a ``PixelData`` with ``sem_seg`` uint8
    (1, H, W): 0 background, 1 target, 255 ignored.
    """

    def transform(self, results: dict) -> dict:
        """Pack a sample; ``inputs`` is uint8 (3, H, W). A sample that nothing has resized has ``scale_factor`` 1.

        Raises:
            InputError: If no step has loaded the image, or the boxes of a sample that has ``instances``; if a step has
                moved the image and not its target mask.
        """
        require_moved(results)
        require_loaded(type(self).__name__, results, 'img', *(['gt_bboxes'] if results.get('instances') else []))
        image = results['img']
        results = {'scale_factor': (1.0, 1.0), **results}
        if image.ndim == 2 or image.shape[2] == 1:
            results['img'] = np.broadcast_to(image.reshape(*image.shape[:2], 1), (*image.shape[:2], 3))
        packed = super().transform(results)
        more = {key: results[key] for key in ('grey_levels', 'crop_start', 'set_id') if key in results}
        packed['data_samples'].set_metainfo(more)
        if results.get(TARGET_MASK) is not None:
            mask = np.ascontiguousarray(results[TARGET_MASK])
            packed['data_samples'].gt_target_mask = PixelData(sem_seg=torch.from_numpy(mask.copy())[None])
        return packed


def _is_local(path: str, backend_args: dict | None) -> bool:
    """Whether a path is a local file's; what is none is left to mmengine's file clients."""
    return backend_args is None and '://' not in str(path)


def _check_header(path: str, what: str, backend_args: dict | None) -> None:
    """Refuse what must not be decoded: pipes, images that fill the memory, more than 8 bits a channel."""
    if _is_local(path, backend_args):
        try:
            image_size(path)
        except InputError as error:
            raise _about(error, what) from error


def _about(error: InputError, what: str) -> InputError:
    """An error of reading a file, which says what the file should have been."""
    return InputError(str(error).replace(': does not decode', f': the {what} does not decode', 1))


def _grey_plane(image: np.ndarray) -> np.ndarray:
    """One channel of an image whose channels are all equal; else the image."""
    if image.ndim == 3 and (image[..., 1:] == image[..., :1]).all():
        return image[..., 0]
    return image
