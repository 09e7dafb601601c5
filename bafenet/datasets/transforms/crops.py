"""Windows of the native image, drawn so that targets, clutter and empty background are all learnt from."""
import random

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS

from bafenet.arguments import require_number, shown
from bafenet.compat.target_masks import TARGET_MASK
from bafenet.devkit.box_matching import component_boxes
from bafenet.devkit.layout import OTHER, TARGET
from bafenet.errors import InputError

from ..hard_negatives import Places, read_places
from .loading import require_loaded

MAX_SIDE, MAX_EPOCH = 2**16, 2**31


@TRANSFORMS.register_module()
class BalancedCrop(BaseTransform):
    """Cut a window out of an image without resizing it, around a target, around clutter or anywhere.

    A window drawn anywhere in a 1280x1024 frame mostly shows empty sky. This one holds, by chance: a target drawn at
    random (so that a cluster is drawn as often as it has targets); a pixel that is not sky, where false alarms live; a
    place where the network had a false alarm in the last epochs, with ``HardNegativeHook``; or whatever a uniform draw
    gives. A kind that the image does not have falls back to the uniform draw. The target or
    pixel lies anywhere in the window, not in its middle. An image smaller than the window is kept whole in that
    direction; batches are padded by the data preprocessor.

    Small windows show more targets for the same pixels, and no clue whether a smooth area is sky or road; so
    the last epochs can have larger ones. The dataset says which ``epoch`` a sample is drawn for; without it, none is.

    Reads ``epoch`` (from 0; where present) and ``scale_factor``; writes ``crop_start``, column and row of the window's
    start in native pixels; reads and writes ``img`` (H, W) or (H, W, C), ``gt_seg_map`` and ``gt_target_mask`` (H, W;
    where present), ``gt_bboxes``, ``gt_bboxes_labels``, ``gt_ignore_flags``, ``img_shape``. Boxes are moved and clipped
    to the window; with a target mask they may be absent, and its components are the targets. All draws come from the
    global ``random`` state.

    Args:
        size: Height and width of the window in pixels.
        late_size: The same from ``late_epoch`` on; None for ``size`` to the end.
        late_epoch: Epoch, counted from 0, from which ``late_size`` holds; given where ``late_size`` is.
        target_prob: Probability of a window around a target.
        other_prob: Probability of a window around a pixel that is not sky.
        hard_prob: Probability of a window around a false alarm; above 0 it needs ``HardNegativeHook``.
        min_visible: A box is dropped if a smaller share of its area is in the window.

    Raises:
        InputError: If an argument is out of range, or no step before it has loaded the image and the boxes, or
            the target mask.
    """

    def __init__(self,
                 size: tuple[int, int] = (256, 256),
                 late_size: tuple[int, int] | None = None,
                 late_epoch: int | None = None,
                 target_prob: float = 0.5,
                 other_prob: float = 0.25,
                 hard_prob: float = 0.0,
                 min_visible: float = 0.5) -> None:
        for name, window in (('size', size), ('late_size', size if late_size is None else late_size)):
            if not isinstance(window, (list, tuple)) or len(window) != 2:
                raise InputError(f'BalancedCrop: {name}={shown(window)} must be a height and a width in pixels')
            for side in window:
                require_number(f'BalancedCrop: a side of {name}', side, 1, MAX_SIDE, whole=True)
        if late_size is not None and late_epoch is None:
            raise InputError(f'BalancedCrop: late_size={late_size} needs late_epoch, the first epoch that it is for')
        if late_epoch is not None:
            require_number('BalancedCrop: late_epoch', late_epoch, 0, MAX_EPOCH, whole=True)
        require_number('BalancedCrop: target_prob', target_prob, 0, 1)
        require_number('BalancedCrop: other_prob', other_prob, 0, 1)
        require_number('BalancedCrop: hard_prob', hard_prob, 0, 1)
        if target_prob + other_prob + hard_prob > 1:
            raise InputError(f'BalancedCrop: target_prob={target_prob}, other_prob={other_prob} and '
                             f'hard_prob={hard_prob} must be at most 1 together')
        # At 0, boxes without area would stay.
        require_number('BalancedCrop: min_visible', min_visible, 0, 1, above=True)
        self.size = tuple(size)
        self.late_size = late_size and tuple(late_size)
        self.late_epoch = late_epoch
        self.target_prob = target_prob
        self.other_prob = other_prob
        self.hard_prob = hard_prob
        self.min_visible = min_visible
        # Where HardNegativeHook writes; what was last read, and of which epoch.
        self.hard_negatives: str | None = None
        self._known: tuple[int, Places] = (-1, {})

    def transform(self, results: dict) -> dict:
        """Cut one sample; see the class."""
        require_loaded('BalancedCrop', results, 'img', *([] if TARGET_MASK in results else ['gt_bboxes']))
        height, width = results['img'].shape[:2]
        rows, columns = self.size
        if self.late_size and results.get('epoch', -1) >= self.late_epoch:
            rows, columns = self.late_size
        row, column = self._anchor(results) or (None, None)
        top = _start(row, rows, height)
        left = _start(column, columns, width)
        scale_x, scale_y = results.get('scale_factor', (1.0, 1.0))
        results['crop_start'] = (left / scale_x, top / scale_y)
        window = np.s_[top:top + rows, left:left + columns]
        results['img'] = results['img'][window]
        results['img_shape'] = results['img'].shape[:2]
        for key in ('gt_seg_map', TARGET_MASK):
            if results.get(key) is not None:
                results[key] = results[key][window]
        if results.get('gt_bboxes') is not None:
            self._crop_boxes(results, top, left)
        return results

    def _anchor(self, results: dict) -> tuple[int, int] | None:
        """Row and column of a pixel that the window must hold; None for none."""
        draw = random.random()
        if draw < self.target_prob:
            centres = _target_centres(results)
            if not len(centres):
                return None
            x, y = centres[random.randrange(len(centres))].tolist()
            height, width = results['img'].shape[:2]
            return min(int(y), height - 1), min(int(x), width - 1)
        if draw < self.target_prob + self.other_prob:
            sky = results.get('gt_seg_map')
            return None if sky is None else _random_pixel(sky == OTHER)
        if draw < self.target_prob + self.other_prob + self.hard_prob:
            return self._hard_place(results)
        return None

    def _hard_place(self, results: dict) -> tuple[int, int] | None:
        """Row and column of a false alarm of the last epochs, drawn uniformly; None where none is known."""
        epoch = results.get('epoch')
        if self.hard_negatives is None or epoch is None:
            return None
        if self._known[0] != epoch:
            self._known = (epoch, read_places(self.hard_negatives, epoch))
        places = self._known[1].get(results.get('img_path', ''))
        if not places:
            return None
        place = places[random.randrange(len(places))]
        scale_x, scale_y = results.get('scale_factor', (1.0, 1.0))
        height, width = results['img'].shape[:2]
        return min(int(place.y * scale_y), height - 1), min(int(place.x * scale_x), width - 1)

    def _crop_boxes(self, results: dict, top: int, left: int) -> None:
        boxes = results['gt_bboxes'].clone()
        boxes.translate_((-left, -top))
        whole = boxes.areas
        boxes.clip_(results['img_shape'])
        kept = (boxes.areas >= self.min_visible * whole).numpy()
        results['gt_bboxes'] = boxes[kept]
        for key in ('gt_bboxes_labels', 'gt_ignore_flags'):
            results[key] = results[key][kept]

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(size={self.size}, late_size={self.late_size}, late_epoch={self.late_epoch}, '
                f'target_prob={self.target_prob}, other_prob={self.other_prob}, '
                f'hard_prob={self.hard_prob}, min_visible={self.min_visible})')


def _target_centres(results: dict) -> np.ndarray:
    """Centres (n, 2) of the boxes, or where there are none, of the extents of the target mask's components."""
    if results.get('gt_bboxes') is not None:
        return results['gt_bboxes'].centers.numpy()
    boxes = component_boxes(results[TARGET_MASK] == TARGET)
    return (boxes[:, :2] + boxes[:, 2:]) / 2


def _start(pixel: int | None, size: int, length: int) -> int:
    """First pixel of a window of ``size`` within ``length``, drawn uniformly among those that hold ``pixel``."""
    last = max(length - size, 0)
    if pixel is None:
        return random.randint(0, last)
    return random.randint(min(max(pixel - size + 1, 0), last), min(pixel, last))


def _random_pixel(mask: np.ndarray) -> tuple[int, int] | None:
    """Row and column of a true pixel of a mask (H, W), drawn uniformly; None if there is none."""
    counts = np.count_nonzero(mask, axis=1)
    ends = np.cumsum(counts)
    if not ends[-1]:
        return None
    number = random.randrange(int(ends[-1]))
    row = int(np.searchsorted(ends, number, side='right'))
    return row, int(np.flatnonzero(mask[row])[number - (ends[row] - counts[row])])

