"""A trained network with its config, loaded by the name of shipped weights, a checkpoint file or a work dir."""
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import IOBase
from os import PathLike
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.runner import CheckpointLoader
from torch import Tensor, nn

from ..compat.allocator import keep_freed_memory
from ..compat.registered_types import UnknownTypeError
from ..datasets.transforms.loading import LoadInfraredImage
from ..devkit.frames import Frame, count_frames, read_frame
from ..devkit.grey_levels import GreyLevels, as_frame
from ..engine.carried_calibration import carry_calibration
from ..engine.checkpoints import find_checkpoint
from ..engine.config_paths import setting
from ..engine.frame_pipeline import build_pipeline, resizes
from ..engine.fuse_hook import fuse_as_tested
from ..engine.memory_format_hook import MemoryFormatHook
from ..engine.network import build_network, trained_config
from ..engine.options import load_config
from ..engine.precision import set_precision
from ..errors import InputError, first_line, printable
from ..evaluation.sky import centre_in_sky
from ..models.onnx_file import is_onnx
from ..models.onnx_network import OnnxNetwork
from ..models.score_calibration import likely_score
from ..models.segmentation.masks import predicted_mask
from ..models.segmentation.segmentor import TargetSegmentor, component_instances
from .forward import Output, has_candidates, run_network, test_settings
from .result import Result
from .settings import Settings
from .tiles import Tile, merge_boxes, merge_logits, tiles_of

Source = str | Path | PathLike | np.ndarray | Frame
_SOURCES = (str, PathLike, np.ndarray, Frame)
# They give items, and these are no frames.
_NO_FRAMES = (bytes, bytearray, memoryview, Mapping, Tensor, IOBase, range)


class Detector:
    """A trained network, ready for frames: ``result = detector(frame)``. Several threads may call it at once.

    Args:
        model: The network in eval mode, on its device.
        cfg: The config that it was trained with.

    Attributes:
        model: The network. It has ``cfg`` and ``dataset_meta``, as mmdet's ``inference_detector`` wants.
        cfg: The config.
        classes: Names of the classes.
        resizes: Whether it resizes its frames.
        segments_sky: Whether it gives a sky.
        marks_targets: Whether it gives a mask of the targets.
        takes_tiles: Whether frames can be cut into tiles: an ``.onnx`` file with NMS inside takes whole ones.

    Raises:
        InputError: If the config has no test pipeline that can be built.
    """

    model: Any

    def __init__(self, model: nn.Module, cfg: Config) -> None:
        self.model = model
        self.cfg = cfg
        self.classes: tuple[str, ...] = tuple((getattr(model, 'dataset_meta', None) or {}).get('classes', ('Target', )))
        self.resizes = resizes(cfg)
        self.segments_sky = bool(getattr(getattr(model, 'bbox_head', None), 'with_seg', False))
        self._is_segmentor = isinstance(model, TargetSegmentor)
        self.marks_targets = self._is_segmentor or bool(
            getattr(getattr(model, 'bbox_head', None), 'with_mask', False))
        self.takes_tiles = not getattr(getattr(model, 'bbox_head', None), 'has_nms', False)
        self._pipeline: Compose = build_pipeline(cfg, resize=not isinstance(model, OnnxNetwork))
        loader = next(step for step in self._pipeline.transforms if isinstance(step, LoadInfraredImage))
        self._levels = loader.levels
        self._device = model.device if isinstance(model, OnnxNetwork) else next(model.parameters()).device

    @property
    def likely(self) -> float | None:
        """The lowest score of a likely target, where the network's scores are calibrated and its config says it."""
        cfg = getattr(getattr(self.model, 'bbox_head', None), 'test_cfg', None)
        return likely_score(cfg.get('calibration')) if has_candidates(self.model) and cfg else None

    def __repr__(self) -> str:
        return f'{type(self).__name__}({type(self.model).__name__}, device={str(self._device)!r})'

    @overload
    def __call__(self, frame: Source, *, batch: int | None = None, **settings: Any) -> Result:
        ...

    @overload
    def __call__(self, frame: list[Source], *, batch: int | None = None, **settings: Any) -> list[Result]:
        ...

    @overload
    def __call__(self, frame: Iterable[Source], *, batch: int | None = None, **settings: Any) -> Iterator[Result]:
        ...

    def __call__(self, frame: Any, *, batch: int | None = None, **settings: Any) -> Any:
        """Find the targets and the sky of a frame, or of many.

        Args:
            frame: A path of a file of one frame; an array (H, W) or (H, W, 1), grey, or (H, W, 3), BGR, of integers or
                floating point; a frame that :func:`bafenet.apis.read_frames` has read; or a list or iterator of these.
            batch: How many frames of one size, in a row, go through the network at once; 1 on a CPU and 8 on a GPU.
            **settings: See :class:`~bafenet.apis.Settings`. By default threshold and maximum are the config's, as in
                ``tools/test.py``, and frames are taken whole.

        Returns:
            A :class:`~bafenet.apis.Result`; a list of them for a list, an iterator that reads ahead no more than a
            batch for an iterator.

        Raises:
            InputError: If a frame cannot be read, or a setting is out of range.
        """
        wanted = Settings(**settings)
        if wanted.sky_only and not self.segments_sky:
            raise InputError('sky_only: this network segments no sky; take another, or all boxes')
        batch = batch or (1 if self._device.type == 'cpu' else 8)
        if isinstance(frame, _SOURCES):
            return next(self._stream([frame], 1, wanted))
        for source in frame if isinstance(frame, (list, tuple)) else ():
            _require_source(source)
        if not isinstance(frame, Iterable) or isinstance(frame, _NO_FRAMES):
            _require_source(frame)
        results = self._stream(frame, batch, wanted)
        return list(results) if isinstance(frame, (list, tuple)) else results

    def levels(self, settings: Settings) -> GreyLevels:
        """How frames of more than 8 bits are brought to 8: as asked for, else as the config says."""
        return settings.levels(self._levels)

    def _stream(self, sources: Iterable[Source], batch: int, settings: Settings) -> Iterator[Result]:
        waiting: list[Frame] = []
        for source in sources:
            frame = self._frame(source, settings)
            if waiting and waiting[0].image.shape[:2] != frame.image.shape[:2]:
                yield from self._predict(waiting, batch, settings)
                waiting = []
            waiting.append(frame)
            if len(waiting) == batch:
                yield from self._predict(waiting, batch, settings)
                waiting = []
        if waiting:
            yield from self._predict(waiting, batch, settings)

    def _frame(self, source: Any, settings: Settings) -> Frame:
        if isinstance(source, Frame):
            wanted = settings.value_range
            if wanted is not None and source.levels is not None and tuple(source.levels) != tuple(wanted):
                raise InputError(f'value_range: the frame {printable(source.name)} was brought to 8 bits from '
                                 f'{source.levels[0]:g} to {source.levels[1]:g} when it was read; give '
                                 'read_frames(…, GreyLevels(value_range=…))')
            return source
        levels = self.levels(settings)
        if isinstance(source, (str, PathLike)):
            source = Path(source)
            count = count_frames(source)
            if count > 1:
                raise InputError(f'{printable(source)}: holds {count} frames; give detector(read_frames(…)), of '
                                 'bafenet.apis')
            return read_frame(source, levels)
        _require_source(source)
        return Frame('', 0, *levels.apply(as_frame(source)))

    def _predict(self, frames: Sequence[Frame], batch: int, settings: Settings) -> list[Result]:
        """Results of frames of one size."""
        start = time.perf_counter()
        height, width = frames[0].image.shape[:2]
        tiles = tiles_of(height, width, settings.tile or max(height, width))
        if len(tiles) == 1 or self.resizes or not (self._is_segmentor or has_candidates(self.model)):
            cfg = test_settings(self.model, settings) if has_candidates(self.model) else None
            outputs = run_network(self.model, [self._pack(frame.image) for frame in frames], cfg)
        else:
            outputs = [self._predict_tiles(frame.image, tiles, batch, settings) for frame in frames]
        arrays = [self._arrays(output, settings) for output in outputs]
        milliseconds = (time.perf_counter() - start) * 1000 / len(frames)
        return [Result(frame.name, frame.image, frame.levels, classes=self.classes, milliseconds=milliseconds, **found)
                for frame, found in zip(frames, arrays, strict=True)]

    def _predict_tiles(self, image: np.ndarray, tiles: list[Tile], batch: int, settings: Settings) -> Output:
        candidates = None if self._is_segmentor else test_settings(self.model, settings, tiled=True)
        outputs: list[Output] = []
        while len(outputs) < len(tiles):
            # Those at the edges may be smaller.
            first = tiles[len(outputs)].cut(image)
            parts = [tile.cut(image) for tile in tiles[len(outputs):len(outputs) + batch]]
            same = [part for part in parts if part.shape == first.shape] if parts[-1].shape == first.shape else [first]
            outputs += run_network(self.model, list(map(self._pack, same)), candidates, with_nms=False)
        boxes, *maps = zip(*outputs, strict=True)
        sky_logits, mask_logits = (merge_logits(parts, tiles, image.shape[:2]) for parts in maps)
        if self._is_segmentor and mask_logits is not None:  # a target at a seam is one component of the whole
            return Output(component_instances(predicted_mask(mask_logits)), sky_logits, mask_logits)
        return Output(merge_boxes(list(boxes), tiles, test_settings(self.model, settings)), sky_logits, mask_logits)

    def _pack(self, image: np.ndarray) -> dict:
        return self._pipeline(dict(img=image))

    def _arrays(self, output: Output, settings: Settings) -> dict[str, Any]:
        """Arrays of a :class:`Result` by name; boxes that are not asked for are left out."""
        found = output.boxes
        kept = found.scores.new_ones(len(found.scores), dtype=torch.bool)
        if settings.score is not None:
            kept &= found.scores >= settings.score
        sky = None if output.sky_logits is None else _array(output.sky_logits >= 0, torch.uint8)
        if settings.sky_only and sky is not None:
            kept &= torch.from_numpy(centre_in_sky(found.bboxes.cpu().numpy(), sky)).to(kept.device)
        found = found[kept]
        limit = settings.max_detections
        if settings.sky_only and limit is None and has_candidates(self.model):
            limit = self.model.bbox_head.test_cfg.max_per_img
        found = found[:limit] if limit is not None else found
        boxes, scores, labels = (value.cpu().numpy() for value in (found.bboxes, found.scores, found.labels))
        arrays = dict(boxes=boxes.astype(np.float32), scores=scores.astype(np.float32), labels=labels.astype(np.int64),
                      sky=sky, sky_probability=_probability(output.sky_logits))
        if output.mask_logits is None:
            return arrays
        mask = predicted_mask(output.mask_logits)
        return dict(arrays, target_mask=_array(mask.sem_seg), target_probability=_array(mask.prob))


def _require_source(source: Any) -> None:
    """Refuse what is no frame.

    Raises:
        InputError: If it is none.
    """
    if not isinstance(source, _SOURCES):
        raise InputError(f'the frame is a {type(source).__name__}: give a path as str, an array of NumPy, a Frame of '
                         'bafenet.apis, or a list or iterator of these')


def _probability(logits: Tensor | None) -> np.ndarray | None:
    return None if logits is None else _array(logits.sigmoid())


def _array(values: Tensor, dtype: torch.dtype | None = None) -> np.ndarray:
    """The values (H, W) of a map (1, H, W)."""
    return values[0].to(dtype=dtype).cpu().numpy()


def load(name_or_file: str | Path,
         device: str | torch.device = 'cpu',
         config: str | Path | None = None,
         *,
         precision: str = 'float32',
         fuse: bool = True,
         keep_memory: bool = True) -> Detector:
    """Load a trained network, ``bafenet.load('bafenet_hr_tiny')``.

    Args:
        name_or_file: Name of weights that come with the package, a checkpoint that training or
            ``tools/export.py`` wrote, its ``https://`` address, an ``.onnx`` file of ``tools/export.py --onnx``, or a
            work dir, whose best checkpoint is meant.
        device: Where the network goes, such as ``'cuda:0'``.
        config: Config file to take instead of the one in the checkpoint, for weights without one, and for networks with
            parts of your own, which it imports (``custom_imports``). It is executed; a checkpoint never is.
        precision: ``'float32'`` or ``'bfloat16'``, which is faster where the processor multiplies it, and emulated
            elsewhere; of an ``.onnx`` file the precision is its own.
        fuse: Fuse convolutions with the batch normalisation after them; a fused network cannot be trained.
        keep_memory: On a CPU, let the whole process keep freed memory for the next feature maps
            (:func:`~bafenet.compat.allocator.keep_freed_memory`).

    Raises:
        InputError: If there is no such checkpoint, device or config, or the checkpoint cannot be read, holds no config,
            or does not fit it.
    """
    place = _device(device)
    given = None if config is None else load_config(str(config), needs=('model', 'test_dataloader'))
    if keep_memory and place.type == 'cpu':
        keep_freed_memory()
    file = find_checkpoint(str(name_or_file))
    if is_onnx(file):
        if precision != 'float32' or config is not None:
            raise InputError(f'{printable(file)} has its precision and its config inside: leave out '
                             f'{"the precision" if config is None else "the config"}, or export the checkpoint anew')
        network = OnnxNetwork(file, device=place)
        return Detector(network, network.cfg)
    checkpoint = CheckpointLoader.load_checkpoint(file, map_location='cpu', logger='silent')
    cfg = given or trained_config(checkpoint, file, ', or its config too (--config, in Python config=)')
    if given is not None:
        carry_calibration(given, file, checkpoint)
    try:
        model: Any = build_network(cfg, checkpoint, file).to(place)
        _prepare(model, cfg, fuse, precision)
        model.cfg = cfg
        own = checkpoint.get('meta', {}).get('dataset_meta') or {}
        model.dataset_meta = {key.lower(): value for key, value in own.items()}
        return Detector(model, cfg)
    except UnknownTypeError as error:
        raise InputError(f'{error}, or give a config that imports it (--config, in Python config=)') from error


def _prepare(model: nn.Module, cfg: Config, fuse: bool, precision: str) -> None:
    """As in tools/test.py: another layout, and layers that are not fused, round otherwise and take longer."""
    layout = setting(cfg, 'default_hooks', 'memory_format')
    if isinstance(layout, dict):
        MemoryFormatHook(layout.get('memory_format', 'channels_last')).lay_out(model)
    if fuse:
        fuse_as_tested(model, cfg)
    set_precision(model, precision)


def _device(device: str | torch.device) -> torch.device:
    """The device, once something has been put there."""
    try:
        place = torch.device(device)
        torch.empty(1, device=place)
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        raise InputError(f'device {printable(device)} cannot be used ({first_line(error)}): give \'cpu\', or '
                         '\'cuda\' where there is a GPU') from error
    return place
