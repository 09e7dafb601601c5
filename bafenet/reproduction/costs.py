"""What the network of a row costs: parameters, multiply-adds, and the time of a frame; no training is needed."""
from collections.abc import Callable, Mapping

import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import init_default_scope

from bafenet.analysis.benchmark import machine_of, summary, time_each
from bafenet.analysis.complexity import count, input_shape

_RUNS = 5


def measure_costs(configs: Mapping[str, Config]) -> dict[str, dict[str, float]]:
    """Costs of networks, each at its config's ``input_size``, by the names of ``columns.COSTS``.

    Args:
        configs: By name.

    Returns:
        By name ``params``; ``flops``, as ``complexity.count`` counts them, one a multiply-add; ``ms``, the median time
        of the network alone on one frame, in milliseconds, on the GPU where there is one; the networks take turns.
    """
    init_default_scope('mmdet')
    counted = {name: count(cfg, *input_shape(cfg)) for name, cfg in configs.items()}
    times = time_each({name: _prediction(cfg) for name, cfg in configs.items()}, _RUNS, warmup=2)
    return {name: dict(params=one['params'], flops=one['flops'], ms=summary(times[name])['median_ms'])
            for name, one in counted.items()}


def _prediction(cfg: Config) -> Callable[[int], None]:
    """A network on one frame of noise."""
    device, (height, width) = get_device(), input_shape(cfg)
    network = MODELS.build(cfg.model).to(device).eval()
    sample = DetDataSample(metainfo=dict(img_shape=(height, width), ori_shape=(height, width), scale_factor=(1.0, 1.0)))
    frame = torch.randint(256, (3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))

    @torch.no_grad()
    def run(number: int) -> None:
        network(**network.data_preprocessor(dict(inputs=[frame], data_samples=[sample])), mode='tensor')
        if device == 'cuda':
            torch.cuda.synchronize()

    return run


def costs_note(cfg: Config) -> str:
    """What the costs of a table are, in words, with the size of a frame and the machine."""
    height, width = input_shape(cfg)
    return (f'Costs at {width}×{height} pixels, measured when this was printed: parameters and multiply-adds as '
            'tools/analysis/complexity.py counts them; the median time of the network alone on one frame, without '
            f'loading and without metrics, on {machine_of(get_device())}.')
