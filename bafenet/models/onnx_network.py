"""OnnxNetwork: an exported network, run by onnxruntime, in the place of the network that it was made of."""
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.models.detectors import BaseDetector
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmdet.utils import InstanceList
from mmengine.config import Config, ConfigDict
from mmengine.model import BaseDataPreprocessor
from mmengine.structures import InstanceData
from torch import Tensor

from ..arguments import require_number, shown
from ..compat.registered_types import require_known_types
from ..errors import InputError, first_line, printable
from .box_coding import to_whole_pixels
from .head_outputs import Predictions, add_maps
from .onnx_file import ANOTHER, MAPS, SKY, TARGETS, OnnxFile, read_onnx, require_onnx
from .reduced_sky import predict_frames
from .score_calibration import calibrate, require_calibration

Outputs = dict[str, Tensor]
# What of test_cfg is fixed in a file that has NMS inside.
_FIXED = ('score_thr', 'nms_pre', 'min_bbox_size', 'nms', 'max_per_img', 'whole_pixels', 'calibration')


class OnnxPreprocessor(BaseDataPreprocessor):
    """Leaves frames as they are loaded: the file normalises and pads itself."""

    def forward(self, data: dict, training: bool = False) -> dict:
        """The frames, uint8 (3, H, W) each, in a list, and their samples."""
        return dict(inputs=list(data['inputs']), data_samples=data['data_samples'])


class OnnxHead(BaseDenseHead):
    """Threshold, NMS, maximum, whole pixels and calibrated scores, by the code of every head, for an ONNX file.

    Candidates of a file have the network's own scores; a file with NMS inside gives calibrated ones.

    Args:
        file: The file.
        source: What it is called, for messages.
        own_cfg: The ``test_cfg`` of the config in the file.
        test_cfg: Settings to predict with.
        num_classes: Number of classes.

    Raises:
        InputError: If the file cannot do what ``test_cfg`` says.
    """

    def __init__(self, file: OnnxFile, source: str, own_cfg: ConfigDict, test_cfg: ConfigDict,
                 num_classes: int) -> None:
        super().__init__()
        self.source = source
        self.has_nms = file.meta.nms
        missing = {'boxes', 'scores', 'labels', 'frame' if self.has_nms else 'class_scores'} - set(file.outputs)
        if missing:
            raise InputError(f'{source} gives no {min(missing)}: {ANOTHER}')
        self.with_seg, self.with_mask = (name in file.outputs for name in (SKY, TARGETS))
        self.own_cfg, self.test_cfg = own_cfg, test_cfg
        self.num_classes = num_classes
        differing = [key for key in _FIXED if own_cfg.get(key) != test_cfg.get(key)]
        if self.has_nms and differing:
            own, asked = (shown(cfg.get(differing[0])) for cfg in (own_cfg, test_cfg))
            raise InputError(f'{source} has NMS inside, with {differing[0]}={own}, and {asked} is asked for: export it '
                             'without --nms')
        require_calibration(test_cfg.get('calibration'), f'{source}: test_cfg')
        self._require_points(test_cfg)

    def loss_by_feat(self, *args: Any, **kwargs: Any) -> dict:
        """There is none.

        Raises:
            InputError: Always.
        """
        raise InputError(f'{self.source}: an ONNX file cannot be trained; give a checkpoint')

    def forward(self, x: Sequence[Outputs]) -> tuple[Sequence[Outputs]]:
        """Outputs of the file, as they are."""
        return (x, )

    def predict_by_feat(self, outputs: Sequence[Outputs], batch_img_metas: list[dict],  # type: ignore[override]
                        cfg: ConfigDict | None = None, rescale: bool = False, with_nms: bool = True) -> InstanceList:
        """Boxes of each frame, in its own pixels; see mmdet's dense heads.

        Raises:
            InputError: If the file has NMS inside and other settings are asked for, or a frame was resized before.
        """
        cfg = self.test_cfg if cfg is None else cfg
        self._require_points(cfg)
        for meta in batch_img_metas:
            if tuple(meta['ori_shape'][:2]) != tuple(meta['img_shape'][:2]):
                raise InputError(f'{self.source} resizes frames itself: give it frames as they are')
        if self.has_nms:
            self._require_own(cfg, with_nms)
            return [InstanceData(bboxes=found['boxes'], scores=found['scores'], labels=found['labels'])[
                :cfg.get('max_per_img', len(found['scores']))] for found in outputs]
        return [self._pick(found, cfg, meta, with_nms) for found, meta in zip(outputs, batch_img_metas, strict=True)]

    def _pick(self, found: Outputs, cfg: ConfigDict, img_meta: dict, with_nms: bool) -> InstanceData:
        # Slots that a small frame leaves empty have 0.
        kept = found['class_scores'] > max(cfg.get('score_thr', 0), 0)
        points, wanted = self.own_cfg.get('nms_pre', -1), cfg.get('nms_pre', -1)
        if 0 < wanted < points:
            kept &= torch.arange(len(kept)) % points < wanted
        results = InstanceData(bboxes=found['boxes'][kept], scores=found['scores'][kept], labels=found['labels'][kept])
        results = self._bbox_post_process(results, cfg, rescale=False, with_nms=with_nms, img_meta=img_meta)
        if cfg.get('whole_pixels', False):
            results.bboxes = to_whole_pixels(results.bboxes)
        if with_nms:
            results.scores = calibrate(results.scores, cfg.get('calibration'))
        return results

    def predict_with_maps(self, x: Sequence[Outputs], batch_data_samples: SampleList, rescale: bool = False,
                          cfg: ConfigDict | None = None, with_nms: bool = True) -> Predictions:
        """Boxes, sky logits and target logits, float32 (1, H, W), of each sample, as BAFE-Head's."""
        metas = [sample.metainfo for sample in batch_data_samples]
        sky, masks = ([found[name][None].logit() if name in found else None for found in x] for name in (SKY, TARGETS))
        return Predictions(self.predict_by_feat(x, metas, cfg, rescale, with_nms), sky, masks)

    def _require_points(self, cfg: ConfigDict) -> None:
        """Refuse settings that need points which the file does not give."""
        points, wanted = self.own_cfg.get('nms_pre', -1), cfg.get('nms_pre', -1)
        if points > 0 and not 0 < wanted <= points:
            raise InputError(f'{self.source} gives the {points} best-scored points of a level, and '
                             f'{wanted if wanted > 0 else "all"} are asked for (nms_pre, or max_detections): export a '
                             'checkpoint whose config has a larger model.test_cfg.nms_pre')

    def _require_own(self, cfg: ConfigDict, with_nms: bool) -> None:
        if not with_nms:
            raise InputError(f'{self.source} has NMS inside, so a frame cannot be cut into tiles: take frames whole '
                             '(leave --tile out), or export it without --nms')
        lowest = self.own_cfg.get('score_thr', 0)
        if cfg.get('score_thr', 0) < lowest:
            least = float(calibrate(torch.tensor(float(lowest)), cfg.get('calibration')))
            raise InputError(f'{self.source} has NMS inside, above a score of {least:g}: ask for no lower one, or '
                             'export it without --nms')


@MODELS.register_module()
class OnnxNetwork(BaseDetector):
    """A network in an ONNX file that ``tools/export.py --onnx`` wrote; it predicts as the network itself.

    Several threads may call it at once. Where NMS is not inside the file, threshold, maximum and NMS are PyTorch's, as
    for the network itself.

    Args:
        file: The file.
        test_cfg: Settings to predict with; None for those in the file.
        device: ``'cpu'``, or ``'cuda:N'`` where onnxruntime has CUDA.

    Attributes:
        cfg: The config that the network was trained with.
        dataset_meta: ``classes``.
        checkpoint: What a checkpoint of the network holds, but for its weights.

    Raises:
        InputError: If the file is missing, damaged or none of ours, onnxruntime is not installed or cannot run it, or
            it cannot do what ``test_cfg`` says.
    """

    resizes_itself = True  # asked by bafenet.apis

    def __init__(self, file: str, test_cfg: dict | None = None, device: str | torch.device = 'cpu') -> None:
        super().__init__(data_preprocessor=OnnxPreprocessor())
        self.source = f'ONNX file {printable(file)}'
        self.device = torch.device(device)
        content = read_onnx(file)
        self.cfg: Config = content.config(self.source)
        model = self.cfg.get('model')
        require_known_types(model, self.source)
        if not isinstance(model, dict) or not isinstance(model.get('test_cfg'), dict):
            raise InputError(f'{self.source}: its config has no model.test_cfg; {ANOTHER}')
        _require_numbers(model['test_cfg'], self.source)
        self.dataset_meta = dict(classes=content.meta.classes)
        self.checkpoint = dict(meta=content.meta.to_checkpoint_meta())
        own = ConfigDict(model['test_cfg'])
        self.bbox_head = OnnxHead(content, self.source, own, own if test_cfg is None else ConfigDict(test_cfg),
                                  len(content.meta.classes))
        self._names = list(content.outputs)
        self._session = open_session(content.data, self.source, self.device)
        self.eval()

    def extract_feat(self, batch_inputs: Sequence[Tensor]) -> list[Outputs]:
        """Run the file.

        Args:
            batch_inputs: Frames, uint8 (3, H, W), of any sizes.

        Returns:
            Its outputs for each frame; those of equal frames are run together.
        """
        results: list[Outputs] = [{} for _ in batch_inputs]
        for shape in dict.fromkeys(frame.shape for frame in batch_inputs):
            places = [place for place, frame in enumerate(batch_inputs) if frame.shape == shape]
            same = [batch_inputs[place] for place in places]
            # Grey frames are packed as three equal channels; the file repeats one by itself.
            frames = torch.stack([frame[:1] for frame in same] if all(map(_is_grey, same)) else same)
            if frames.dtype != torch.uint8:
                raise InputError(f'{self.source} takes frames of 8 bits, and these are {frames.dtype}')
            found = self._run(frames.permute(0, 2, 3, 1).cpu().numpy())
            for number, place in enumerate(places):
                results[place] = self._of_frame(found, number)
        return results

    def _run(self, frames: np.ndarray) -> Outputs:
        try:
            values = self._session.run(self._names, {'frames': np.ascontiguousarray(frames)})
        except Exception as error:  # onnxruntime's own kinds of errors
            raise InputError(f'{self.source} cannot be run ({first_line(error)[:200]}): {ANOTHER}') from error
        found = {name: torch.from_numpy(np.array(value)) for name, value in zip(self._names, values, strict=True)}
        self._require_shapes(found, frames.shape)
        return found

    def _require_shapes(self, found: Outputs, shape: tuple[int, ...]) -> None:
        """Refuse what is not as docs/deploy.md says."""
        ends = {'boxes': (4, ), **dict.fromkeys(MAPS, shape[1:3])}
        first = found['scores'].shape
        fitting = all(value.shape == (shape[:1] if name in MAPS else first) + ends.get(name, ())
                      and value.dtype == (torch.int64 if name in ('labels', 'frame') else torch.float32)
                      for name, value in found.items())
        if not fitting or len(first) != (1 if self.bbox_head.has_nms else 2):
            raise InputError(f'{self.source} cannot be used, its outputs are not as they should be: {ANOTHER}')

    def _of_frame(self, found: Outputs, number: int) -> Outputs:
        if not self.bbox_head.has_nms:
            return {name: value[number] for name, value in found.items()}
        own = found['frame'] == number
        return {name: value[number] if name in MAPS else value[own] for name, value in found.items()}

    def predict(self, batch_inputs: Sequence[Tensor], batch_data_samples: SampleList,
                rescale: bool = True) -> SampleList:
        """Detect targets and, where the network does, segment the sky and the targets; see :meth:`BAFENet.predict`."""
        boxes, *maps = predict_frames(self, batch_inputs, batch_data_samples)
        add_maps(batch_data_samples, *maps)
        return self.add_pred_to_datasample(batch_data_samples, boxes)

    def _forward(self, batch_inputs: Sequence[Tensor], batch_data_samples: Any = None) -> list[Outputs]:
        return self.extract_feat(batch_inputs)

    def loss(self, batch_inputs: Any, batch_data_samples: Any) -> dict:
        """There is none: it raises :class:`InputError`."""
        return self.bbox_head.loss_by_feat()


def _is_grey(frame: Tensor) -> bool:
    return all(torch.equal(frame[0], other) for other in frame[1:])


def _require_numbers(test_cfg: dict, source: str) -> None:
    """Refuse settings that are none.

    Raises:
        InputError: If one is no number.
    """
    for key, whole in (('score_thr', False), ('nms_pre', True), ('min_bbox_size', False), ('max_per_img', True)):
        require_number(f'{source}: test_cfg.{key}', test_cfg.get(key, 0), -1, 2**31, whole=whole)


def open_session(data: bytes, source: str, device: torch.device) -> Any:
    """An onnxruntime session with as many threads as PyTorch has.

    Raises:
        InputError: If onnxruntime is not installed, does not know the device, or refuses the file.
    """
    onnxruntime = require_onnx()
    providers: list[Any] = ['CPUExecutionProvider']
    if device.type != 'cpu':
        if device.type != 'cuda' or 'CUDAExecutionProvider' not in onnxruntime.get_available_providers():
            raise InputError(f'{source}: onnxruntime here cannot use {device}: install onnxruntime-gpu, or take '
                             "device='cpu'")
        providers.insert(0, ('CUDAExecutionProvider', dict(device_id=device.index or 0)))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors are raised as well
    try:
        session = onnxruntime.InferenceSession(data, options, providers=providers)
    except Exception as error:  # onnxruntime's own kinds of errors
        raise InputError(f'{source} cannot be loaded ({first_line(error)[:200]}): {ANOTHER}') from error
    if [item.name for item in session.get_inputs()] != ['frames']:
        raise InputError(f'{source} does not take frames alone: {ANOTHER}')
    return session
