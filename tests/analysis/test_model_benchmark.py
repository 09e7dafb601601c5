"""The plain versions say what the modules do; the benchmark measures what it says. Speed itself is not tested."""
import copy
from functools import partial

import pytest
import torch
from mmdet.registry import MODELS

from bafenet.analysis import model_benchmark
from bafenet.analysis.benchmark import print_results
from bafenet.analysis.model_benchmark import (
    NETWORKS,
    ExchangeBenchmark,
    NetworkBenchmark,
    benchmark_model,
    depthwise_share,
    peak_memory,
    synthetic_batch,
)
from bafenet.analysis.reference_exchange import plain_channel_exchange, plain_dynamic_exchange, plain_selective_kernel

# No fewer than 8 channels: on a CPU with AVX2 alone and one thread, PyTorch 2.11's gradient of a 1x1 convolution of
# stride 2 in channels_last writes beyond its memory below that.
SMALL = ('model.backbone.depth=18', 'model.backbone.base_channels=8', 'model.backbone.stem_channels=8',
         'model.neck.in_channels=[8,16,32,64]', 'model.neck.out_channels=32', 'model.bbox_head.in_channels=32',
         'model.bbox_head.feat_channels=32', 'model.bbox_head.stacked_convs=1')
SMALL_NETWORKS = {name: (config, (*options, *SMALL), layout) for name, (config, options, layout) in NETWORKS.items()}
SCALAR = dict(type='MLPAdapter', hidden_channels=5)
MIXING = dict(SCALAR, mix_channels=True)


def outputs_and_gradients(forward, module, *features):
    """Results of ``forward``, and the gradients of a fixed function of them, of the inputs and all weights."""
    features = [x.clone().requires_grad_() for x in features]
    outputs = forward(*features)
    weights = [weight for weight in module.parameters() if weight.requires_grad]
    total = sum((y * torch.arange(y.numel(), dtype=y.dtype).view(y.shape).sin()).sum() for y in outputs)
    return [*outputs, *torch.autograd.grad(total, features + weights, allow_unused=True)]


@pytest.mark.parametrize(('config', 'plain'), [
    (dict(type='ChannelExchange', ratio=0.5, adapter=SCALAR), plain_channel_exchange),
    (dict(type='ChannelExchange', ratio=0.25, adapter=SCALAR), plain_channel_exchange),
    (dict(type='DynamicChannelExchange', ratio=0.5, adapter=MIXING), plain_dynamic_exchange),
    (dict(type='DynamicChannelExchange', ratio=0.25, adapter=MIXING, gate='index'), plain_dynamic_exchange),
])
def test_modules_do_what_the_plain_versions_say(config, plain):
    torch.manual_seed(0)
    module = MODELS.build(dict(config, channels=8)).double()
    features = torch.randn(2, 3, 8, 7, 9, dtype=torch.float64)
    results = outputs_and_gradients(module, module, *features)
    for ours, expected in zip(results, outputs_and_gradients(partial(plain, module), module, *features), strict=True):
        assert (ours is None) == (expected is None)
        if ours is not None:
            torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-9)


def test_the_selective_kernel_does_what_the_plain_version_says():
    torch.manual_seed(0)
    module = MODELS.build(dict(type='SelectiveKernel', channels=8)).double()
    features = torch.randn(3, 8, 7, 9, dtype=torch.float64)
    results = outputs_and_gradients(lambda x: [module(x)], module, features)
    plain = outputs_and_gradients(lambda x: [plain_selective_kernel(module, x)], module, features)
    for ours, expected in zip(results, plain, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-9)


def test_a_synthetic_batch_is_what_a_loader_gives():
    batch = synthetic_batch(2, 64, 33)
    assert [image.shape for image in batch['inputs']] == [(3, 64, 64)] * 2
    assert not torch.equal(*batch['inputs'])
    for sample in batch['data_samples']:
        boxes, sky = sample.gt_instances.bboxes, sample.gt_sem_seg.sem_seg
        assert boxes.shape == (33, 4) and boxes.min() >= 0 and boxes.max() <= 64
        sides = boxes[:, 2:] - boxes[:, :2]
        assert sides.min() >= 2 and sides.max() <= 6
        assert sky.shape == (1, 64, 64) and sky.float().mean() == 0.5


def test_a_step_trains_and_a_prediction_does_not():
    subject = NetworkBenchmark(*SMALL_NETWORKS['BAFE-Net-R50'], 'cpu', 64)
    before = copy.deepcopy(subject.network.state_dict())
    subject.predict()
    assert all(torch.equal(value, before[name]) for name, value in subject.network.state_dict().items())
    subject.forward_backward()
    assert all(weight.grad is not None for weight in subject.network.parameters())
    subject.optimize()
    kernels = {name: weight for name, weight in subject.network.named_parameters() if weight.ndim == 4}
    assert not any(torch.equal(weight, before[name]) for name, weight in kernels.items())


def test_channels_last_changes_no_result():
    name, other = 'BAFE-Net-R50', 'BAFE-Net-R50, channels_last'
    networks = [NetworkBenchmark(*SMALL_NETWORKS[key], 'cpu', 64) for key in (name, other)]
    for subject in networks:
        subject.forward_backward()
    kernels = [subject.network.bbox_head.conv_cls.weight for subject in networks]
    assert [kernel.is_contiguous(memory_format=torch.channels_last) for kernel in kernels] == [False, True]
    torch.testing.assert_close(kernels[0].grad, kernels[1].grad, rtol=1e-3, atol=1e-6)


def test_every_measurement_is_reported(monkeypatch, capsys):
    # Processes of their own are for the memory of large networks.
    monkeypatch.setattr(model_benchmark, '_peak_memory_of', peak_memory)
    monkeypatch.setattr(model_benchmark, 'WARMUP', 0)
    results = benchmark_model(2, 'cpu', 64, SMALL_NETWORKS, (2, 8, 16, 16))
    baseline, bafe = list(NETWORKS)[:2]
    for part in ('training step', 'forward and backward', 'predict'):
        medians = [results[f'{part}: {name}']['median_ms'] for name in (bafe, baseline)]
        assert results[f'{part}: {bafe} / {baseline}'] == pytest.approx(medians[0] / medians[1])
    share = results[f'exchange: {bafe}']['median_ms'] / results[f'training step: {bafe}']['median_ms']
    assert results[f'exchange, % of the training step: {bafe}'] == pytest.approx(100 * share)
    assert results[f'exchange: {bafe}']['runs'] == 2
    for kind in ('static', 'dynamic'):
        times = [results[f'{kind} exchange, {version}']['median_ms'] for version in ('module', 'plain')]
        assert results[f'{kind} exchange, module / plain'] == pytest.approx(times[0] / times[1])
    assert 0 < results['dynamic exchange, plain, % in depthwise convolutions'] < 100
    assert sum(name.startswith('peak memory') for name in results) == len(NETWORKS) + 4
    print_results(results)
    assert 'dynamic exchange, module / plain' in capsys.readouterr().out


def test_only_depthwise_convolutions_count_as_such():
    torch.manual_seed(0)
    x = (2, 6, 16, 16)
    layers = dict(plain=torch.nn.Conv2d(6, 6, 3, padding=1), depthwise=torch.nn.Conv2d(6, 6, 3, padding=1, groups=6))
    shares = {name: depthwise_share(ExchangeBenchmark(layer, lambda x1, x2, layer=layer: (layer(x1), layer(x2)), [x]),
                                    'cpu') for name, layer in layers.items()}
    assert shares['plain'] == 0 < shares['depthwise'] < 1


def test_peak_memory_is_what_a_call_needs():
    used = model_benchmark._most_resident()
    # More than everything before it, so that the peak is this call's.
    count = int((used + 64) * 2**20)
    needed = peak_memory(partial(partial, torch.ones, count, dtype=torch.uint8), 'cpu')
    assert 64 <= needed <= used + 64 + 16
