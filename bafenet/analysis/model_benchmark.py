"""Benchmark of networks: training steps and predictions against FCOS, and the exchange modules alone."""
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData, PixelData
from torch import nn
from torch.profiler import ProfilerActivity, profile

from ..engine.options import load_config
from ..engine.silent_logging import quiet
from ..engine.train_variants import scratch_settings
from ..models.bafe_head import BAFEHead
from .benchmark import machine_of, require_device, run_apart, summary, time_each
from .reference_exchange import plain_channel_exchange, plain_dynamic_exchange

# Config file, options, and the layout of the weights, which the features take on.
Network = tuple[str, Sequence[str], torch.memory_format]
# What is timed: a part of a step, or an exchange, and the network's name or the kind of module.
Pair = tuple[str, str]
_BAFE_CONFIG = 'configs/bafenet/bafenet_r50_densesirst.py'
# The first is what the others are compared with.
NETWORKS: dict[str, Network] = {
    'FCOS-R50, 5 levels': ('configs/baselines/fcos_r50_densesirst.py', (), torch.contiguous_format),
    'BAFE-Net-R50': (_BAFE_CONFIG, (), torch.contiguous_format),
    'BAFE-Net-R50, no bottleneck':
        (_BAFE_CONFIG, ('model.bbox_head.bottleneck=False', ), torch.contiguous_format),
    'BAFE-Net-R50, channels_last': (_BAFE_CONFIG, (), torch.channels_last),
}
# The exchanges alone: config, and the same written plainly.
EXCHANGES = dict(
    static=(dict(type='ChannelExchange', ratio=0.5, adapter=dict(type='MLPAdapter', hidden_channels=64)),
            plain_channel_exchange),
    dynamic=(dict(type='DynamicChannelExchange', ratio=0.5,
                  adapter=dict(type='MLPAdapter', hidden_channels=64, mix_channels=True)), plain_dynamic_exchange))
KINDS = ('module', 'plain')
EXCHANGE_SHAPE = (2, 256, 64, 64)
BATCH_SIZE = 2
# An image of DenseSIRST has 13 targets, and BAG-CP adds two clusters of ten.
BOXES = 33
# Times that count need the caches warm; the optimizer allocates its state in the first step.
WARMUP = 2


def benchmark_model(steps: int = 7,
                    device: str = 'cpu',
                    size: int = 512,
                    networks: dict[str, Network] | None = None,
                    exchange_shape: tuple[int, ...] = EXCHANGE_SHAPE) -> dict:
    """Compare networks, and the exchange modules with their plain versions.

    A training step is forward, backward and the config's optimizer, on a batch of two random images. All that is
    compared takes turns, and ratios are those of the medians. Peak memory is what a process of its own needs beyond
    its imports.

    Args:
        steps: Runs of each that count.
        device: ``'cpu'`` or ``'cuda'``.
        size: Height and width of the images in pixels.
        networks: By name, the baseline first; :data:`NETWORKS` where it is None.
        exchange_shape: Shape of the features that the exchanges alone get.

    Returns:
        Results by name: times as :func:`~bafenet.analysis.benchmark.summary` gives them, ratios, shares in percent,
        memory in MiB.

    Raises:
        InputError: If there is no such device, or a config cannot be read.
    """
    require_device(device)
    networks = networks or NETWORKS
    results: dict[str, Any] = dict(machine=machine_of(device))
    results.update(_compare_networks(networks, steps, device, size))
    results.update(_compare_exchanges(steps, device, exchange_shape))
    subjects: dict[str, Callable[[], Callable[[], object]]] = {
        name: partial(_prepare_steps, *network, device, size) for name, network in networks.items()}
    subjects.update({f'{name} exchange, {kind}': partial(_prepare_exchange, *exchange, kind, device, exchange_shape)
                     for name, exchange in EXCHANGES.items() for kind in KINDS})
    results.update({f'peak memory, MiB: {name}': _peak_memory_of(prepare, device)
                    for name, prepare in subjects.items()})
    return results


class NetworkBenchmark:
    """A network with its optimizer and a batch.

    Args:
        config: Config file; its pretrained weights are not loaded.
        options: ``KEY=VALUE`` options.
        layout: Memory format of the weights, which the features take on.
        device: ``'cpu'`` or ``'cuda'``.
        size: Height and width of the images in pixels.
    """

    def __init__(self, config: str, options: Sequence[str], layout: torch.memory_format, device: str,
                 size: int) -> None:
        cfg = load_config(config, list(options), ['model.backbone', 'optim_wrapper'], [('--scratch', scratch_settings)])
        torch.manual_seed(0)
        self.network = MODELS.build(cfg.model)
        with quiet():
            self.network.init_weights()
            self.network.to(device, memory_format=layout)
            self.optimizer = build_optim_wrapper(self.network, cfg.optim_wrapper)
        self.batch = synthetic_batch(BATCH_SIZE, size, BOXES)

    def forward_backward(self) -> None:
        """Losses and gradients."""
        self.network.train()
        losses = self.network(**self.network.data_preprocessor(self.batch, True), mode='loss')
        self.network.parse_losses(losses)[0].backward()

    def optimize(self) -> None:
        """The optimizer's part of the step."""
        self.optimizer.step()
        self.optimizer.zero_grad()

    @torch.no_grad()
    def predict(self) -> None:
        """Boxes and sky maps."""
        self.network.eval()
        self.network(**self.network.data_preprocessor(self.batch), mode='predict')


def synthetic_batch(count: int, size: int, boxes: int) -> dict:
    """A batch as a data loader gives it: noise images, the sky in their upper half, targets of 2 to 6 pixels.

    Args:
        count: Images.
        size: Height and width in pixels.
        boxes: Targets per image.

    Returns:
        ``inputs``: uint8 tensors (3, size, size); ``data_samples`` with ``gt_instances`` and ``gt_sem_seg``.
    """
    rng = np.random.default_rng(0)
    sky = torch.zeros(1, size, size, dtype=torch.uint8)
    sky[:, :size // 2] = 1
    samples = []
    for _ in range(count):
        low = rng.uniform(0, size - 6, (boxes, 2))
        corners = torch.from_numpy(np.hstack([low, low + rng.uniform(2, 6, (boxes, 2))])).float()
        sample = DetDataSample(metainfo=dict(
            img_shape=(size, size), ori_shape=(size, size), scale_factor=(1.0, 1.0)))
        sample.gt_instances = InstanceData(bboxes=corners, labels=torch.zeros(boxes, dtype=torch.long))
        sample.gt_sem_seg = PixelData(sem_seg=sky.clone())
        samples.append(sample)
    images = torch.from_numpy(rng.integers(0, 256, (count, 3, size, size), dtype=np.uint8))
    return dict(inputs=list(images), data_samples=samples)


class ExchangeBenchmark:
    """An exchange, forward and backward, on features that require gradients.

    Args:
        module: The exchange module; its gradients are dropped before each run.
        forward: ``(x1, x2) -> (y1, y2)``.
        shapes: Shapes of the features, one (N, C, H, W) per level.
        layout: Their memory format.
    """

    def __init__(self, module: nn.Module, forward: Callable, shapes: Sequence[tuple[int, ...]],
                 layout: torch.memory_format = torch.contiguous_format) -> None:
        self.module, self.forward = module, forward
        generator = torch.Generator().manual_seed(0)
        device = next(module.parameters()).device
        self.features, self.gradients = (
            [[torch.randn(shape, generator=generator).to(device, memory_format=layout) for _ in range(2)]
             for shape in shapes] for _ in range(2))

    def __call__(self) -> None:
        self.module.zero_grad()
        outputs, gradients = [], []
        for features, level_gradients in zip(self.features, self.gradients, strict=True):
            outputs += self.forward(*(x.detach().requires_grad_() for x in features))
            gradients += level_gradients
        torch.autograd.backward(outputs, gradients)


def _compare_networks(networks: dict[str, Network], steps: int, device: str, size: int) -> dict:
    subjects = {name: NetworkBenchmark(*network, device, size) for name, network in networks.items()}
    parts = ('forward_backward', 'optimize', 'predict')
    calls: dict[Pair, Callable[[], object]] = {
        (part, name): getattr(subject, part) for name, subject in subjects.items() for part in parts}
    heads = {name: subject.network.bbox_head for name, subject in subjects.items()}
    exchanging = {name: head for name, head in heads.items() if hasattr(head, 'exchange')}
    # The exchange takes turns with the networks that it is part of.
    calls.update({('exchange', name): ExchangeBenchmark(head.exchange, head.exchange, _level_shapes(head, size),
                                                         networks[name][-1])
                  for name, head in exchanging.items()})
    times = _time(calls, steps, device)
    for name in networks:
        times['training step', name] = times['forward_backward', name] + times['optimize', name]
    results: dict[str, Any] = {
        f'{part.replace("_", " and ")}: {name}': summary(seconds) for (part, name), seconds in times.items()}
    baseline, *others = networks
    for part in ('training step', 'forward_backward', 'predict'):
        results.update({f'{part.replace("_", " and ")}: {name} / {baseline}':
                        _ratio(times[part, name], times[part, baseline]) for name in others})
    for name in exchanging:
        results[f'exchange, % of the training step: {name}'] = 100 * _ratio(times['exchange', name],
                                                                            times['training step', name])
    return results


def _level_shapes(head: BAFEHead, size: int) -> list[tuple[int, ...]]:
    return [(BATCH_SIZE, head.feat_channels, size // stride, size // stride) for stride in head.strides]


def _compare_exchanges(steps: int, device: str, shape: tuple[int, ...]) -> dict:
    calls = {(name, kind): _prepare_exchange(*exchange, kind, device, shape)
             for name, exchange in EXCHANGES.items() for kind in KINDS}
    times = _time(calls, steps, device)
    results: dict[str, Any] = {f'{name} exchange, {kind}': summary(times[name, kind]) for name, kind in calls}
    for name in EXCHANGES:
        results[f'{name} exchange, module / plain'] = _ratio(times[name, 'module'], times[name, 'plain'])
    results.update({f'dynamic exchange, {kind}, % in depthwise convolutions':
                    100 * depthwise_share(calls['dynamic', kind], device) for kind in KINDS})
    return results


def depthwise_share(exchange: ExchangeBenchmark, device: str) -> float:
    """Share of an exchange's time that its depthwise convolutions take, forward and backward, as the profiler sees it.

    Args:
        exchange: What to run.
        device: ``'cpu'`` or ``'cuda'``, on which it runs.

    Returns:
        A number in [0, 1].
    """
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device != 'cpu' else [])
    exchange()
    with profile(activities=activities, record_shapes=True) as profiler:
        for _ in range(3):
            exchange()
    taken = 'self_cpu_time_total' if device == 'cpu' else 'self_device_time_total'
    operators = profiler.key_averages(group_by_input_shape=True)
    depthwise = sum(getattr(item, taken) for item in operators
                    if 'conv' in item.key and any(map(_is_depthwise_kernel, item.input_shapes)))
    return depthwise / sum(getattr(item, taken) for item in operators)


def _is_depthwise_kernel(shape: Sequence[int]) -> bool:
    return len(shape) == 4 and shape[0] > 1 and shape[1] == 1 and shape[2] == shape[3] > 1


def _time(calls: Mapping[Pair, Callable[[], object]], steps: int, device: str) -> dict[Pair, np.ndarray]:
    """Seconds of each run, by part and name; what a GPU does counts too."""
    def timed(call: Callable[[], object]) -> Callable[[int], None]:
        def run(_: int) -> None:
            call()
            if device != 'cpu':
                torch.cuda.synchronize()
        return run
    times = time_each({pair: timed(call) for pair, call in calls.items()}, steps, WARMUP)
    return {pair: np.asarray(seconds) for pair, seconds in times.items()}


def _ratio(times: np.ndarray, base: np.ndarray) -> float:
    return float(np.median(times) / np.median(base))


def _prepare_exchange(config: dict, plain: Callable, kind: str, device: str,
                      shape: tuple[int, ...]) -> ExchangeBenchmark:
    torch.manual_seed(0)
    module = MODELS.build(dict(config, channels=shape[1])).to(device)
    return ExchangeBenchmark(module, module if kind == 'module' else partial(plain, module), [shape])


def _prepare_steps(*args) -> Callable:
    subject = NetworkBenchmark(*args)

    def run() -> None:
        # In the second step the optimizer's state lies beside the features.
        for part in (subject.forward_backward, subject.optimize) * 2:
            part()
    return run


def _peak_memory_of(prepare: Callable[[], Callable[[], object]], device: str) -> float:
    return run_apart('spawn', peak_memory, prepare, device)


def peak_memory(prepare: Callable[[], Callable[[], object]], device: str) -> float:
    """Memory that a call needs at most, with what it needs prepared.

    Args:
        prepare: Gives the call.
        device: ``'cpu'``: resident memory of this process, beyond the most that it has been until now. ``'cuda'``:
            what PyTorch has allocated on the GPU.

    Returns:
        MiB.
    """
    init_default_scope('mmdet')
    before = _most_resident()
    prepare()()
    if device != 'cpu':
        return torch.cuda.max_memory_allocated() / 2**20
    return _most_resident() - before


def _most_resident() -> float:
    """The most memory that was resident in this process, in MiB; ``resource`` would count its parent's too."""
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith('VmHWM')) / 2**10
