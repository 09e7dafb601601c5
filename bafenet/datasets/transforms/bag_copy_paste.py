"""BAG-CP: Background-Aware Gaussian Copy-Paste (paper Section IV-C), over the pure functions of ``synthesis``.

Where it may paste is decided here, in :meth:`BAGCopyPaste.allowed`; the draws within that are in
``synthesis/clusters.py`` and ``synthesis/placement.py``.
"""
import logging
import os
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import BaseBoxes, HorizontalBoxes
from mmdet.structures.mask import BitmapMasks
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from bafenet.arguments import require_flags, require_number, shown
from bafenet.compat.target_masks import TARGET_MASK
from bafenet.devkit import any_sky
from bafenet.devkit.frames import DEFAULT_LEVELS
from bafenet.devkit.layout import SKY, TARGET
from bafenet.errors import InputError, printable
from bafenet.synthesis.clusters import PastedTargets, TargetLibrary, paste_clusters
from bafenet.synthesis.library import load_library, read_meta, shrink
from bafenet.synthesis.recipe import ClusterRecipe, check_recipe
from bafenet_command import call_of

from .loading import LoadInfraredImage, require_loaded
from .own_library import own_library

MAX_GT = 1_000_000
ANYWHERE = 'train_dataloader.dataset.pipeline.BAGCopyPaste.background=any'


@TRANSFORMS.register_module()
class BAGCopyPaste(BaseTransform):
    """Paste clusters of Gaussian-blended targets, into the sky only (paper Eq. 1-3; recipe of Section III-B).

    In a share of the images (``lone_prob``), lone targets instead of clusters.

    Before a ``Resize`` it pastes native pixels, so that pasted and present targets are resized alike (our protocol).
    After one (the paper's protocol) patches and gaps are brought to the scale of the small image and rounded, none
    below one pixel; a region keeps ``region_size`` pixels. All draws come from the global ``random`` and NumPy states.

    Reads and writes ``img`` (H, W) or (H, W, C), uint8, ``gt_bboxes``, ``gt_bboxes_labels``, ``gt_ignore_flags`` and,
    where they are present, ``gt_masks`` and ``gt_target_mask``; reads ``gt_seg_map`` (1 = sky) and ``scale_factor``.
    Existing annotations stay as they are, in order; pasted ones follow. A pasted box is the extent of the pixels
    that the blend visibly raises (``visible_share``). Where no region fits, the image passes unchanged. No array of
    the caller is written to.

    Args:
        library: Target library, a ``.npz`` file or a list of grey uint8 patches. Where the file does not exist, it is
            built there from the images of the dataset that uses the transform; None is
            ``TargetLibrary/SPLIT.npz`` under the dataset's root, SPLIT with a checksum where the split lies elsewhere
            or the dataset has only some of its images (``indices``, ``only_with_targets``). That one is built again
            where it was cut from other images or with other settings. Targets are the components of the target masks;
            of images without one, and where there are several classes, they are the boxes, and keep their class.
        num_clusters: Fewest and most regions in an image.
        region_size: Side of the square regions in pixels.
        targets_per_cluster: Fewest and most targets in a region; as many as fit where it cannot hold the number drawn.
        max_target_size: Larger patches of the library are shrunk to this many native pixels.
        spacing: Fewest and most empty pixels between a target and its nearest neighbour.
        brightness: Range of lambda, Eq. 1. Above 1 a target is brighter than where it was cut; grey levels end at 255.
        sigma: Range of sigma_x and sigma_y, Eq. 2, on coordinates from -1 to 1 across the patch.
        offset: Range of mu_x and mu_y, Eq. 3; mu = -rho as released, rho in [0, 0.2].
        rotation: Range of theta in degrees, Eq. 3.
        visible_share: A pixel counts into the box if it is raised by at least this share of the target's greatest
            raise, and by a grey level. The paper does not say; DenseSIRST's own boxes end at about 0.13.
        lone_prob: Probability that an image that is pasted into gets lone targets and no cluster.
        num_lone: Fewest and most lone targets in such an image.
        lone_spacing: Fewest empty native pixels between two lone targets; from present ones they keep ``spacing``.
        target_scale: Range of the factor by which each patch is resized, log-uniform, as ``(0.7, 8)`` where targets are
            larger than the library's. In a cluster, what is too large for its region is left out.
        max_scaled_size: No patch that ``target_scale`` resizes gets a longer side than this many native pixels. The
            head's greatest distance (``side_knots``) must be able to say such a box.
        prob: Probability that an image is pasted into.
        max_gt: No target is added beyond this many in an image; None for no limit.
        clustered: Table II. False places as many targets one by one, anywhere.
        gaussian: Table II. False puts the patch instead of the background, as plain copy-paste does.
        background: Table II. ``'sky'``, or ``'any'`` to paste everywhere.
        remove_background: Where the library is built: subtract the local background from its patches.
        truncate_boxes: Truncate every box, old ones too, to whole pixels and drop those thinner than one, as the
            paper's release does. Only for the paper's protocol.

    Raises:
        InputError: If an argument is of a wrong type or out of range, if there is no library, or if no step before it
            has loaded the image, the boxes or, for ``background='sky'``, the sky map.
    """

    def __init__(self,
                 library: str | Sequence[np.ndarray] | None = None,
                 num_clusters: tuple[int, int] = (1, 3),
                 region_size: int = 20,
                 targets_per_cluster: tuple[int, int] = (8, 12),
                 max_target_size: int = 5,
                 spacing: tuple[int, int] = (1, 2),
                 brightness: tuple[float, float] = (0.5, 1.0),
                 sigma: tuple[float, float] = (0.3, 0.6),
                 offset: tuple[float, float] = (-0.2, 0.0),
                 rotation: tuple[float, float] = (-90, 90),
                 visible_share: float = 0.0,
                 lone_prob: float = 0.0,
                 num_lone: tuple[int, int] = (1, 3),
                 lone_spacing: int = 20,
                 target_scale: tuple[float, float] = (1.0, 1.0),
                 max_scaled_size: int = 32,
                 prob: float = 1.0,
                 max_gt: int | None = None,
                 clustered: bool = True,
                 gaussian: bool = True,
                 background: str = 'sky',
                 remove_background: bool = False,
                 truncate_boxes: bool = False) -> None:
        self.recipe = ClusterRecipe(
            num_clusters=_range(num_clusters),
            region_size=region_size,
            targets_per_cluster=_range(targets_per_cluster),
            spacing=_range(spacing),
            brightness=_range(brightness),
            sigma=_range(sigma),
            offset=_range(offset),
            rotation=_range(rotation),
            clustered=clustered,
            gaussian=gaussian,
            visible_share=visible_share,
            lone_prob=lone_prob,
            num_lone=_range(num_lone),
            lone_spacing=lone_spacing,
            target_scale=_range(target_scale),
            max_scaled_size=max_scaled_size)
        check_recipe(self.recipe, max_target_size, 'BAGCopyPaste: ', least_clusters=0, least_spacing=0)
        if not isinstance(background, str) or background not in ('sky', 'any'):
            raise InputError(f"BAGCopyPaste: background={shown(background)} must be 'sky' or 'any'")
        require_number('BAGCopyPaste: prob', prob, 0, 1)
        if max_gt is not None:
            require_number('BAGCopyPaste: max_gt', max_gt, 0, MAX_GT, whole=True)
        require_flags('BAGCopyPaste', remove_background=remove_background, truncate_boxes=truncate_boxes)
        self.max_target_size = max_target_size
        self.prob = prob
        self.max_gt = max_gt
        self.background = background
        self.remove_background = remove_background
        self.truncate_boxes = truncate_boxes
        self.library_file = library if isinstance(library, (str, os.PathLike)) else None
        self.library: TargetLibrary | None = None
        self.library_classes: list[str] | None = None
        self.has_place = True
        if self.library_file is not None and os.path.exists(self.library_file):
            self.library = load_library(self.library_file, max_target_size)
            self.library_classes = read_meta(self.library_file).get('classes')
        elif library is not None and self.library_file is None:
            self.library = TargetLibrary.from_patches([shrink(patch, max_target_size) for patch in _patches(library)])

    def prepare(self, dataset: BaseDataset) -> None:
        """Load the library, or build it from the dataset's own images; the dataset calls this once, at its start.

        None is built where nothing will be pasted: with ``prob=0``, or where targets go to the sky and there is none.
        """
        classes = dataset.metainfo['classes']
        if self.library is not None:
            if len(classes) > 1 and self.library_classes != list(classes):
                print_log(f'BAGCopyPaste: the targets of its library have no class of this dataset; those that are '
                          f'pasted are of the class {classes[0]!r}, the first of {len(classes)}', 'current',
                          logging.WARNING)
                self.library = self.library._replace(labels=np.zeros_like(self.library.labels))
            return
        if not self.prob:
            return
        samples = [dataset.get_data_info(i) for i in range(len(dataset))]
        if self.background == 'sky' and not any_sky(sample['seg_map_path'] for sample in samples
                                                    if sample.get('seg_map_path')):
            self.has_place = False
            print_log(f'BAGCopyPaste pastes nothing into the images of {printable(dataset.data_root)}: it pastes into '
                      f'the sky, and none of them has a sky map with sky; --cfg-options {ANYWHERE} pastes anywhere '
                      '(each of several datasets has a pipeline of its own, as '
                      'train_dataloader.dataset.datasets.1.pipeline)', 'current', logging.WARNING)
            return
        loaders = [step for step in dataset.pipeline.transforms if isinstance(step, LoadInfraredImage)]
        levels = loaders[0].levels if loaders else DEFAULT_LEVELS
        self.library = own_library(dataset, samples, self.library_file, self.remove_background, levels,
                                   self.max_target_size)

    def transform(self, results: dict) -> dict:
        """Paste into one sample; see the class."""
        if random.random() >= self.prob:
            return results
        require_loaded('BAGCopyPaste', results, 'img', 'gt_bboxes')
        if self.has_place:
            self._paste(results)
        if self.truncate_boxes:
            _truncate(results)
        return results

    def _paste(self, results: dict) -> None:
        if self.library is None:
            raise InputError('BAGCopyPaste has no target library: give library=FILE.npz (made by '
                             f'{call_of("build_library")}), or use it in the pipeline of a DenseSIRSTDataset')
        boxes = _corners(results['gt_bboxes'])
        scale_x, scale_y = map(float, results.get('scale_factor', (1.0, 1.0)))
        most = None if self.max_gt is None else max(self.max_gt - len(boxes), 0)
        _add(results, paste_clusters(results['img'], self.allowed(results, boxes), self.library, np.random,
                                     self.recipe, (scale_y, scale_x), most))

    def allowed(self, results: dict, boxes: np.ndarray) -> np.ndarray:
        """Where a target may be: on the wanted background, and clear of the present targets. Override it to narrow it.

        Args:
            results: The sample; see the class for what is in it.
            boxes: float (n, 4), its boxes, ``[x1, y1, x2, y2]`` in pixels.

        Returns:
            uint8 (H, W), 1 where a pixel of a target may be and 0 elsewhere.
        """
        height, width = results['img'].shape[:2]
        if self.background == 'any':
            allowed = np.ones((height, width), np.uint8)
        elif results.get('gt_seg_map') is None:
            raise InputError(f'{results.get("img_path", "a sample")}: BAGCopyPaste needs the sky map; put '
                             'LoadSkyAnnotations before it, or set background=\'any\'')
        else:
            allowed = (results['gt_seg_map'] == SKY).view(np.uint8)
        gap = self.recipe.spacing[0]
        low = np.maximum(np.floor(boxes[:, :2]).astype(int) - gap, 0)
        high = np.maximum(np.ceil(boxes[:, 2:]).astype(int) + gap, 0)
        for (x1, y1), (x2, y2) in zip(low.tolist(), high.tolist(), strict=True):
            allowed[y1:y2, x1:x2] = 0
        return allowed

    def __repr__(self) -> str:
        return (f'{type(self).__name__}({self.recipe}, max_target_size={self.max_target_size}, prob={self.prob}, '
                f'max_gt={self.max_gt}, background={self.background!r}, truncate_boxes={self.truncate_boxes})')


def _range(ends: Any) -> Any:
    """The ends of a range as a tuple, also where a config gives a list; anything else as it is, to be refused."""
    return tuple(ends) if isinstance(ends, (list, np.ndarray)) else ends


def _patches(library: Any) -> list[np.ndarray]:
    """The patches of a library that is given as such."""
    patches = list(map(np.asarray, library)) if isinstance(library, (list, tuple, np.ndarray)) else []
    if not patches or any(patch.ndim != 2 or patch.dtype != np.uint8 or not patch.size for patch in patches):
        raise InputError(f'BAGCopyPaste: library={shown(library)} must be a .npz file, or a list of grey uint8 patches')
    return patches


def _corners(boxes: BaseBoxes | np.ndarray) -> np.ndarray:
    return boxes.numpy() if isinstance(boxes, BaseBoxes) else np.asarray(boxes)


def _add(results: dict, pasted: PastedTargets) -> None:
    """Put the new image and the annotations of the pasted targets into the sample."""
    count = len(pasted.boxes)
    new = pasted.boxes.astype(np.float32)
    old = results['gt_bboxes']
    if isinstance(old, BaseBoxes):
        boxes = np.concatenate([old.numpy(), new])
        results['gt_bboxes'] = HorizontalBoxes(torch.from_numpy(boxes), clone=False)
    else:
        results['gt_bboxes'] = np.concatenate([old, new.astype(old.dtype)])
    for key, values in (('gt_bboxes_labels', pasted.labels), ('gt_ignore_flags', np.zeros(count))):
        results[key] = np.concatenate([results[key], values.astype(results[key].dtype)])
    if 'gt_masks' in results:
        height, width = pasted.image.shape[:2]
        masks = np.concatenate([results['gt_masks'].to_ndarray(), pasted.masks().astype(np.uint8)])
        results['gt_masks'] = BitmapMasks(masks, height, width)
    if results.get(TARGET_MASK) is not None:
        results[TARGET_MASK] = np.where(pasted.masks().any(axis=0), np.uint8(TARGET), results[TARGET_MASK])
    results['img'] = pasted.image


def _truncate(results: dict) -> None:
    """Truncate all boxes to whole pixels and drop those that have no area left."""
    boxes = np.trunc(_corners(results['gt_bboxes']))
    kept = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    is_boxes = isinstance(results['gt_bboxes'], BaseBoxes)
    results['gt_bboxes'] = HorizontalBoxes(torch.from_numpy(boxes[kept])) if is_boxes else boxes[kept]
    for key in ('gt_bboxes_labels', 'gt_ignore_flags', 'gt_masks'):
        if key in results:
            results[key] = results[key][kept]
