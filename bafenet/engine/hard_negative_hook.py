"""Hard negatives: false alarms in the training crops are noted, and BalancedCrop cuts windows around them later."""
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from mmdet.registry import HOOKS
from mmdet.structures.bbox import get_box_tensor
from mmengine.dist import all_gather_object, barrier, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from ..arguments import require_number, require_whole
from ..datasets.hard_negatives import FOLDER, Place, Places, read_places, write_places
from ..datasets.parts import wrapped_by
from ..datasets.transforms import BalancedCrop
from ..errors import InputError, printable

_PEAKS = 32  # of a crop, the best ones, that are looked at
_REACH = 5  # points a side, of which a peak is the best


@HOOKS.register_module()
class HardNegativeHook(Hook):
    """Note where the network sees a target in a training crop and there is none, for crops of the epochs to come.

    It reads the scores that the head has given in the training step, so that nothing is computed twice. After each
    epoch the places of the last ones go to ``hard_negatives/epoch_N.json`` in the work dir, before the checkpoint is
    written; in the epoch that follows, ``BalancedCrop`` with a ``hard_prob`` reads them there. The files stay, so that
    a resumed run draws what an uninterrupted one would have drawn.

    Args:
        score: Least classification score of a false alarm, before the quality of its box lowers it.
        distance: No target's box, ignored ones too, is nearer than this many pixels of the crop; two places of an image
            are no nearer to each other in native pixels.
        per_image: At most so many places are kept of an image, the latest first, then the best.
        epochs: A place is forgotten after so many epochs.

    Raises:
        InputError: If an argument is out of range, no ``BalancedCrop`` of the training data has a ``hard_prob``, or the
            network has no head of points with sigmoid scores.
    """

    def __init__(self, score: float = 0.3, distance: float = 8, per_image: int = 8, epochs: int = 3) -> None:
        require_number('HardNegativeHook: score', score, 0, 1)
        require_number('HardNegativeHook: distance', distance, 0, 1000)
        require_whole('HardNegativeHook', 1, 1000, per_image=per_image, epochs=epochs)
        self.score, self.distance, self.per_image, self.epochs = score, distance, per_image, epochs
        self._places: Places = {}
        self._found: Places = {}
        self._scores: list[Tensor] = []
        self._handle: Any = None

    def before_train(self, runner: Runner) -> None:
        """Tell the crops where to read, before any process of the loader is there; take up a resumed run."""
        folder = Path(runner.work_dir, FOLDER)
        crops = [step for step in _steps(runner.train_dataloader.dataset)
                 if isinstance(step, BalancedCrop) and step.hard_prob]
        if not crops:
            raise InputError('HardNegativeHook: nothing visits the false alarms that it notes; set hard_prob of '
                             'BalancedCrop in the training pipeline')
        for crop in crops:
            crop.hard_negatives = str(folder)
        head = _head(runner)
        self._strides = [stride[0] for stride in head.prior_generator.strides]
        self._handle = head.register_forward_hook(self._note_scores)
        self._places = read_places(folder, runner.epoch) if runner.epoch else {}
        if runner.epoch and not self._places:
            runner.logger.warning(f'{printable(folder)} has no false alarms of epoch {runner.epoch}: crops around them '
                                  'begin anew')

    def after_train(self, runner: Runner) -> None:
        """Let go of the head."""
        self._handle.remove()

    def _note_scores(self, head: nn.Module, inputs: Any, outputs: Any) -> None:
        if head.training:
            self._scores = [scores.detach() for scores in outputs[0]]

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                         outputs: dict | None = None) -> None:
        """Note the false alarms of a step."""
        samples = data_batch['data_samples']
        points, scores = false_alarms(self._scores, self._strides, samples, self.score, self.distance)
        for sample, places, values in zip(samples, points.tolist(), scores.tolist(), strict=True):
            for (x, y), value in zip(places, values, strict=True):
                if value > 0:
                    self._found.setdefault(sample.img_path, []).append(
                        Place(*_in_frame(x, y, sample.metainfo), round(value, 4), runner.epoch + 1))

    def after_train_epoch(self, runner: Runner) -> None:
        """Merge the places of all processes into those of the epochs before, and write them."""
        done = runner.epoch + 1
        for found in all_gather_object(self._found):
            for image, places in found.items():
                self._places.setdefault(image, []).extend(places)
        self._found = {}
        kept = {image: self._kept(places, done) for image, places in sorted(self._places.items())}
        self._places = {image: places for image, places in kept.items() if places}
        if is_main_process():
            write_places(Path(runner.work_dir, FOLDER), done, self._places)
        barrier()
        count = sum(map(len, self._places.values()))
        runner.logger.info(f'{count} false alarms in {len(self._places)} training images are known for hard crops')

    def _kept(self, places: list[Place], done: int) -> list[Place]:
        """The latest and best places of an image, apart from each other."""
        kept: list[Place] = []
        for place in sorted(places, key=lambda one: (-one.epoch, -one.score, one.x, one.y)):
            is_apart = all(max(abs(place.x - one.x), abs(place.y - one.y)) >= self.distance for one in kept)
            if place.epoch > done - self.epochs and is_apart and len(kept) < self.per_image:
                kept.append(place)
        return kept


def false_alarms(logits: list[Tensor], strides: list[int], samples: list, score: float,
                 distance: float) -> tuple[Tensor, Tensor]:
    """Peaks of the scores of a batch that are far from each target.

    Args:
        logits: Of each level (N, classes, H, W), before the sigmoid.
        strides: Pixels between the points of each level.
        samples: N samples with ``gt_instances`` and the ``img_shape`` of what is not padding.
        score: Least score.
        distance: Least distance from a box in pixels, in x or in y.

    Returns:
        Points (N, k, 2), ``x, y`` in pixels of the crop, and their scores (N, k), 0 where there is no false alarm.
    """
    scores, points = [], []
    for level, stride in zip(logits, strides, strict=True):
        best = level.float().sigmoid().amax(dim=1, keepdim=True)
        is_peak = best == max_pool2d(best, _REACH, stride=1, padding=_REACH // 2)
        scores.append((best * is_peak).flatten(1))
        rows, columns = torch.meshgrid(*(torch.arange(length, device=best.device) for length in best.shape[2:]),
                                       indexing='ij')
        points.append((torch.stack([columns, rows], dim=-1).flatten(0, 1) + 0.5) * stride)
    flat = torch.cat(scores, dim=1)
    values, index = flat.topk(min(_PEAKS, flat.shape[1]), dim=1)
    places = torch.cat(points)[index]
    sizes = places.new_tensor([sample.img_shape[1::-1] for sample in samples])
    is_false = (values >= score) & (places < sizes[:, None]).all(dim=2)
    boxes = nn.utils.rnn.pad_sequence(
        [torch.cat([get_box_tensor(part.bboxes).to(places) for part in _instances(sample)]) for sample in samples],
        batch_first=True, padding_value=torch.inf)
    beyond = torch.maximum(boxes[:, None, :, :2] - places[:, :, None], places[:, :, None] - boxes[:, None, :, 2:])
    # A box of padding lies at infinity: its first distance is infinite.
    is_false &= (beyond.amax(dim=3) >= distance).all(dim=2)
    return places, values * is_false


def _instances(sample: Any) -> list:
    ignored = getattr(sample, 'ignored_instances', None)
    return [sample.gt_instances, *([ignored] if ignored is not None and 'bboxes' in ignored else [])]


def _in_frame(x: float, y: float, meta: dict) -> tuple[float, float]:
    """A point of a crop in native pixels of its image: flipped back, to its scale, and by the crop's start."""
    height, width = meta['img_shape'][:2]
    direction = meta.get('flip_direction') if meta.get('flip') else None
    x = width - x if direction in ('horizontal', 'diagonal') else x
    y = height - y if direction in ('vertical', 'diagonal') else y
    scale_x, scale_y = meta.get('scale_factor', (1.0, 1.0))
    left, top = meta['crop_start']
    return round(max(x / scale_x + left, 0), 2), round(max(y / scale_y + top, 0), 2)


def _steps(dataset: Any) -> Iterator[Any]:
    """All transforms of a dataset and of those that it wraps."""
    yield from getattr(getattr(dataset, 'pipeline', None), 'transforms', ())
    for part in wrapped_by(dataset):
        yield from _steps(part)


def _head(runner: Runner) -> Any:
    network = getattr(runner.model, 'module', runner.model)
    head: Any = getattr(network, 'bbox_head', None)
    if not getattr(head, 'use_sigmoid_cls', False) or not hasattr(head, 'prior_generator'):
        raise InputError(f'HardNegativeHook: {type(network).__name__} has no bbox_head of points with sigmoid scores; '
                         'remove the hook')
    return head
