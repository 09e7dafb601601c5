"""The graph of an ONNX file as a PyTorch module: 8-bit frames in, decoded boxes, scores and probability maps out."""
from typing import Any, NamedTuple

import torch
from mmdet.models.dense_heads import FCOSHead
from mmdet.models.detectors import SingleStageDetector
from mmengine.model import ImgDataPreprocessor
from torch import Tensor, nn
from torch.nn import functional as F

from bafenet.errors import InputError

from ..models.box_coding import SideDistributionCoder
from ..models.onnx_file import SKY, TARGETS

INPUT = 'frames'
CANDIDATES = ('boxes', 'scores', 'class_scores', 'labels')


class Candidates(NamedTuple):
    """What a network found before NMS, the best-scored points of each level one after the other.

    Attributes:
        boxes: float32 (N, n, 4), ``[x1, y1, x2, y2]`` in pixels of the input frame.
        scores: float32 (N, n): the class score times the quality.
        class_scores: float32 (N, n), 0 in slots that a small frame leaves empty; the config's ``score_thr`` holds for
            them.
        labels: int64 (N, n).
    """

    boxes: Tensor
    scores: Tensor
    class_scores: Tensor
    labels: Tensor


class DetectorGraph(nn.Module):
    """All that is done to 8-bit frames, from normalisation to boxes, for frames of any size and number.

    Args:
        network: A one-stage network with an FCOS head (also BAFE-Head), in eval mode.
        resize: What brings frames (N, H, W, C) of integers to the size that the network takes; None where it takes any.
        half: Run the network in float16; boxes, scores and sky are worked out in float32.

    Raises:
        InputError: If the network is another one.
    """

    def __init__(self, network: Any, resize: nn.Module | None = None, half: bool = False) -> None:
        super().__init__()
        require_exportable(network)
        self.network = network
        self.resize = resize
        self.half_precision = half
        # Normalisation stays as it is: grey levels are no multiples of half's steps once they are shifted.
        for name in ('backbone', 'neck', 'bbox_head') if half else ():
            getattr(network, name, nn.Identity()).half()
        self.maps = [name for name, flag in ((SKY, 'with_seg'), (TARGETS, 'with_mask'))
                     if getattr(network.bbox_head, flag, False)]

    @property
    def output_names(self) -> list[str]:
        """Names of what :meth:`forward` gives."""
        return [*CANDIDATES, *self.maps]

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        """Candidates, and the sky and the targets' pixels where the network segments them.

        Args:
            frames: uint8 (N, H, W, C): grey, C = 1, or BGR, C = 3.

        Returns:
            The tensors of :class:`Candidates`, and the probabilities of the sky and of targets, float32 (N, H, W) each.
        """
        size = frames.shape[1:3]
        images = frames if self.resize is None else self.resize(frames)
        inner = images.shape[1:3]
        inputs = normalise(images.permute(0, 3, 1, 2).float(), self.network.data_preprocessor)
        features = self.network.extract_feat(inputs.half() if self.half_precision else inputs)
        outputs = self.network.bbox_head(features)
        found = decode(self.network.bbox_head, outputs, inner)
        if self.resize is not None:
            found = found._replace(boxes=found.boxes / _factors(size, inner))
        stride = float(self.network.bbox_head.strides[0])
        # The sky is of the finest level, a mask of all pixels.
        logits = [F.interpolate(outputs[3][0].float(), scale_factor=stride, mode='bilinear', align_corners=False)
                  ] if SKY in self.maps else []
        logits += outputs[4] if TARGETS in self.maps else []
        return (*found, *(self._probability(values, size, inner) for values in logits))

    def _probability(self, logits: Tensor, size: Any, inner: Any) -> Tensor:
        """Probability (N, H, W) in the frame from logits (N, 1, H', W') of the padded input."""
        logits = logits[..., :inner[0], :inner[1]]
        if self.resize is not None:
            logits = F.interpolate(logits, size=(size[0], size[1]), mode='bilinear', align_corners=False)
        return logits[:, 0].sigmoid()


def require_exportable(network: Any) -> None:
    """Refuse a network whose boxes are not decoded here.

    Raises:
        InputError: If it is no one-stage network with an FCOS head, or normalises in a way of its own.
    """
    if not isinstance(network, SingleStageDetector) or not isinstance(network.bbox_head, FCOSHead):
        raise InputError(f'{type(network).__name__}: only one-stage networks with an FCOS head or a BAFE-Head are '
                         'exported to ONNX')
    if not isinstance(network.data_preprocessor, ImgDataPreprocessor):
        raise InputError(f'data_preprocessor={type(network.data_preprocessor).__name__}: only DetDataPreprocessor is '
                         'exported to ONNX')


def normalise(images: Tensor, settings: ImgDataPreprocessor) -> Tensor:
    """What mmdet's data preprocessor does: channels in order, normalised, then padded at the bottom and the right.

    Args:
        images: float32 (N, C, H, W), C = 1 or 3.
        settings: The preprocessor.

    Returns:
        (N, 3, H', W').
    """
    images = images.expand(-1, 3, -1, -1)
    if settings._channel_conversion:
        images = images.flip(1)
    if settings._enable_normalize:
        images = (images - settings.mean) / settings.std
    divisor = settings.pad_size_divisor
    if divisor == 1:
        return images
    height, width = images.shape[-2:]
    return F.pad(images, (0, -width % divisor, 0, -height % divisor), value=float(settings.pad_value))


def decode(head: FCOSHead, outputs: Any, size: Any) -> Candidates:
    """Candidates of all levels, in pixels of the network's input.

    Args:
        head: The head.
        outputs: What it gives: class scores, box codes and qualities of each level, (N, ·, H_l, W_l).
        size: Height and width of the images without their padding, to which boxes are cut.
    """
    parts = [_decode_level(head, logits.float(), codes.float(), qualities.float(), stride)
             for logits, codes, qualities, stride in zip(*outputs[:3], head.strides, strict=True)]
    boxes, scores, class_scores, labels = (torch.cat(values, dim=1) for values in zip(*parts, strict=True))
    if head.bbox_coder.clip_border:
        high = _numbers(size[1], size[0], size[1], size[0])
        boxes = torch.minimum(boxes.clamp(min=0), high)
    return Candidates(boxes, scores, class_scores, labels)


def _decode_level(head: FCOSHead, logits: Tensor, codes: Tensor, qualities: Tensor, stride: Any) -> Candidates:
    """The best-scored pairs of a point and a class of one level; boxes are not cut at the borders yet."""
    width, points = logits.shape[3], logits.shape[2] * logits.shape[3]
    probability = logits.sigmoid() if head.use_sigmoid_cls else logits.softmax(1)[:, :-1]
    classes = head.num_classes
    pairs = probability.flatten(2).permute(0, 2, 1).flatten(1)
    class_scores, index = _best(pairs, head.test_cfg.get('nms_pre', -1))
    point, labels = (index // classes, index % classes) if classes > 1 else (index, torch.zeros_like(index))
    point = torch.minimum(point, _numbers(points - 1).long())  # of an empty slot
    taken = codes.flatten(2).gather(2, point[:, None].expand(-1, codes.shape[1], -1)).permute(0, 2, 1)
    quality = qualities.flatten(2)[:, 0].gather(1, point).sigmoid()
    step = (stride, stride) if isinstance(stride, int) else stride
    offset = head.prior_generator.offset
    x, y = ((point % width).float() + offset) * step[0], ((point // width).float() + offset) * step[1]
    coder = head.bbox_coder
    left, top, right, bottom = (_distances(coder, taken) if isinstance(coder, SideDistributionCoder) else taken
                                ).unbind(-1)
    boxes = torch.stack((x - left, y - top, x + right, y + bottom), dim=-1)
    return Candidates(boxes, class_scores * quality, class_scores, labels)


def _distances(coder: SideDistributionCoder, logits: Tensor) -> Tensor:
    """Distances (N, n, 4) of logits (N, n, 4 K)."""
    return coder.distances(logits.flatten(0, 1)).unflatten(0, logits.shape[:2])


def _best(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The highest scores (N, count) of (N, P) and their places; all of them where ``count`` is below 1.

    The number is a constant, as some runtimes want: where there are fewer the last have the score 0.
    """
    if count < 1:
        return scores, torch.arange(scores.shape[1]).expand_as(scores)
    return F.pad(scores, (0, count)).topk(count, dim=1)


def _numbers(*values: Any) -> Tensor:
    """Sizes, constants in PyTorch and tensors in a trace, as one float32 tensor."""
    return torch.stack([_number(value).float() for value in values])


def _number(value: Any) -> Tensor:
    return value if isinstance(value, Tensor) else torch.tensor(value)


def _factors(size: Any, inner: Any) -> Tensor:
    """Width, height, width, height of the network's input over those of the frame: float32 (4, )."""
    height, width = (_number(new).double() / _number(old).double()
                     for new, old in zip(inner, size, strict=True))
    return torch.stack((width, height, width, height)).float()
