"""Benchmark of the operators that stand in for mmcv's compiled ones, beside these where they are installed."""
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple

import torch
from mmcv import ops
from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttnFunction
from torch import Tensor

from ..compat.operators import stand_in
from .benchmark import machine_of, require_device, summary, time_each

# Of the features: those of an FPN.
CHANNELS, STRIDE = 256, 8
REGIONS, BOXES, CLASSES = 512, 1000, 80
# Times that count need the caches warm.
WARMUP = 2


class Case(NamedTuple):
    """An operator and its inputs.

    Attributes:
        module: Of ``mmcv.ops``, in which it is.
        call: Takes the inputs.
        inputs: Tensors; those that get a gradient require one.
    """

    module: str
    call: Callable[..., Any]
    inputs: tuple[Tensor, ...]

    def forward(self) -> None:
        """The operator alone."""
        with torch.no_grad():
            self.call(*self.inputs)

    def both(self) -> None:
        """The operator, and the gradients of its sum."""
        learnt = [each for each in self.inputs if each.requires_grad]
        torch.autograd.grad(self.call(*self.inputs).sum(), learnt)


def benchmark_operators(steps: int = 5, device: str = 'cpu', size: int = 512) -> dict:
    """Time each operator forward, and forward and backward where a gradient flows.

    Args:
        steps: Runs of each that count.
        device: ``'cpu'`` or ``'cuda'``.
        size: Side of the frame in pixels, of whose features operators get those of stride 8.

    Returns:
        Results by operator and direction: times as :func:`~bafenet.analysis.benchmark.summary` gives them. Where
        mmcv is compiled: its times too, the ratios of the medians, and ``'not on this device'`` where it has none.

    Raises:
        InputError: If there is no such device.
    """
    require_device(device)
    here, compiled = stand_in(), _compiled()
    results: dict[str, Any] = dict(machine=machine_of(device))
    for name, case in cases(device, size // STRIDE).items():
        both = any(each.requires_grad for each in case.inputs)
        for title, run in dict([('forward', case.forward), *([('forward and backward', case.both)] * both)]).items():
            calls = {'': _with(here, case.module, run, device)}
            if compiled is not None:
                calls['compiled mmcv'] = _with(compiled, case.module, run, device)
            results.update(_measure(f'{name}, {title}', calls, steps))
    return results


def _measure(name: str, calls: Mapping[str, Callable[[int], None]], steps: int) -> dict[str, Any]:
    """Results of an operator in one direction, and of compiled mmcv's and the ratio where there is one."""
    try:
        calls.get('compiled mmcv', calls[''])(0)
    except RuntimeError:
        # mmcv compiles some for CUDA alone, and says so by this error.
        return {name: summary(time_each({'': calls['']}, steps, WARMUP)['']),
                f'{name}, compiled mmcv': 'not on this device'}
    times = {title: summary(seconds) for title, seconds in time_each(calls, steps, WARMUP).items()}
    results: dict[str, Any] = {', '.join(filter(None, (name, title))): value for title, value in times.items()}
    if len(times) > 1:
        results[f'{name}, ours / compiled mmcv'] = times['']['median_ms'] / times['compiled mmcv']['median_ms']
    return results


def _compiled() -> ModuleType | None:
    """The compiled module of mmcv, None where there is none."""
    ext = sys.modules['mmcv._ext']
    return ext if ext.__spec__ is not None and ext.__spec__.loader is not None else None


def _with(ext: ModuleType, module: str, run: Callable[[], None], device: str) -> Callable[[int], None]:
    """A run with operators of ``ext``, to its end on a GPU."""
    # Each of these modules keeps the compiled module under this name.
    caller: Any = import_module(f'mmcv.ops.{module}')

    def call(_: int) -> None:
        before, caller.ext_module = caller.ext_module, ext
        try:
            run()
        finally:
            caller.ext_module = before
        if device != 'cpu':
            torch.cuda.synchronize()
    return call


def cases(device: str, side: int) -> dict[str, Case]:
    """The operators with random inputs, the same on each device.

    Args:
        device: ``'cpu'`` or ``'cuda'``.
        side: Of the features in pixels.

    Returns:
        By name.
    """
    draw = torch.Generator().manual_seed(0)

    def noise(*shape: int, learnt: bool = True) -> Tensor:
        return torch.randn(shape, generator=draw).to(device).requires_grad_(learnt)

    def boxes(count: int, far: float) -> Tensor:
        corners = torch.rand(count, 2, generator=draw) * far
        return torch.cat([corners, corners + torch.rand(count, 2, generator=draw) * far / 4], dim=1).to(device)

    features = noise(1, CHANNELS, side, side)
    rois = torch.cat([torch.zeros(REGIONS, 1, device=device), boxes(REGIONS, side * STRIDE)], dim=1)
    scores = torch.rand(BOXES, generator=draw).to(device)
    dets = boxes(BOXES, side * STRIDE)
    return {**_region_cases(features, rois, noise), **_sampling_cases(features, side, noise),
            **_loss_cases(side, noise, draw, device), **_box_cases(dets, scores),
            'BorderAlign': Case('border_align', lambda x, edges: ops.border_align(x, edges, 10),
                                (features, boxes(side * side, side)[None])),
            'SyncBatchNorm': Case('sync_bn', _normalize, (features, noise(CHANNELS), noise(CHANNELS)))}


def _region_cases(features: Tensor, rois: Tensor, noise: Callable[..., Tensor]) -> dict[str, Case]:
    scale = 1 / STRIDE
    return {
        'RoIAlign': Case('roi_align', lambda x, regions: ops.roi_align(x, regions, 7, scale, 0, 'avg', True),
                         (features, rois)),
        'RoIAlign, largest': Case('roi_align', lambda x, regions: ops.roi_align(x, regions, 7, scale, 0, 'max', True),
                                  (features, rois)),
        'RoIPool': Case('roi_pool', lambda x, regions: ops.roi_pool(x, regions, 7, scale), (features, rois)),
        'DeformRoIPool': Case('deform_roi_pool',
                              lambda x, regions, moves: ops.deform_roi_pool(x, regions, moves, 7, scale, 0, 0.1),
                              (features, rois, noise(REGIONS, 2, 7, 7))),
    }


def _sampling_cases(features: Tensor, side: int, noise: Callable[..., Tensor]) -> dict[str, Case]:
    weight = noise(CHANNELS, CHANNELS, 3, 3)
    offset, mask = noise(1, 18, side, side), noise(1, 9, side, side)
    # A level for each halving, as Deformable DETR's encoder has four.
    shapes = torch.tensor([[max(1, side >> level)] * 2 for level in range(4)], device=features.device)
    sizes = shapes.prod(1)
    pixels = int(sizes.sum())
    places = (noise(1, pixels, 8, 4, 4, 2, learnt=False) / 4 + 0.5).requires_grad_()
    attention = noise(1, pixels, 8, 4, 4, learnt=False).flatten(3).softmax(-1).unflatten(3, (4, 4)).requires_grad_()
    set_places = noise(1, side, side, learnt=False) > 1
    kernels = noise(1, 25, 2 * side, 2 * side)
    return {
        'DeformConv2d': Case('deform_conv', lambda x, moves, kernel: ops.deform_conv2d(x, moves, kernel, 1, 1),
                             (features, offset, weight)),
        'ModulatedDeformConv2d': Case(
            'modulated_deform_conv',
            lambda x, moves, factors, kernel: ops.modulated_deform_conv2d(x, moves, factors, kernel, None, 1, 1),
            (features, offset, mask, weight)),
        'MultiScaleDeformableAttention': Case(
            'multi_scale_deform_attn',
            lambda value, points, weights: MultiScaleDeformableAttnFunction.apply(
                value, shapes, sizes.cumsum(0) - sizes, points, weights, 64),
            (noise(1, pixels, 8, CHANNELS // 8), places, attention)),
        'MaskedConv2d': Case('masked_conv',
                             lambda x, chosen, kernel, bias: ops.masked_conv2d(x, chosen, kernel, bias, 1),
                             tuple(each.detach() for each in (features, set_places, weight, weight[:, 0, 0, 0]))),
        'CARAFE': Case('carafe', lambda x, masks: ops.carafe(x, masks, 5, 1, 2), (features, kernels)),
    }


def _loss_cases(side: int, noise: Callable[..., Tensor], draw: torch.Generator, device: str) -> dict[str, Case]:
    logits = noise(side * side, CLASSES)
    target = torch.randint(CLASSES, (len(logits), ), generator=draw).to(device)
    return {
        'sigmoid_focal_loss': Case('focal_loss', lambda x, labels: ops.sigmoid_focal_loss(x, labels, 2., 0.25),
                                   (logits, target)),
        'softmax_focal_loss': Case('focal_loss', lambda x, labels: ops.softmax_focal_loss(x, labels, 2., 0.25),
                                   (logits, target)),
    }


def _box_cases(dets: Tensor, scores: Tensor) -> dict[str, Case]:
    return {
        'nms': Case('nms', lambda boxes, values: ops.nms(boxes, values, 0.5), (dets, scores)),
        'soft_nms': Case('nms', lambda boxes, values: ops.soft_nms(boxes, values), (dets, scores)),
        'nms_match': Case('nms', lambda boxes: ops.nms_match(boxes, 0.5), (torch.cat([dets, scores[:, None]], 1), )),
        'bbox_overlaps': Case('bbox', lambda boxes: ops.bbox_overlaps(boxes, boxes), (dets, )),
    }


def _normalize(features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    mean = torch.zeros(len(weight), device=weight.device)
    return ops.sync_bn.SyncBatchNormFunction.apply(features, mean, mean + 1, weight, bias, 0.1, 1e-5, None, 1,
                                                   'default')
