"""What every exchange has to do: batches, layouts and dtypes; compiled, traced and exported."""
import warnings

import onnxruntime
import pytest
import torch
from mmdet.registry import MODELS

SCALAR = dict(type='MLPAdapter', hidden_channels=4)
MIXING = dict(SCALAR, mix_channels=True)
DYNAMIC = dict(type='DynamicChannelExchange', adapter=MIXING)


def pair(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, *shape, generator=generator, dtype=torch.float64)


FAMILY = {
    'channel': dict(type='ChannelExchange', adapter=SCALAR),
    'spatial': dict(type='SpatialExchange', adapter=SCALAR),
    'sequential': dict(type='SequentialExchange',
                       exchanges=[dict(type='ChannelExchange', adapter=SCALAR), dict(type='SpatialExchange')]),
    'dynamic': DYNAMIC,
    'dynamic_index': dict(DYNAMIC, gate='index'),
}


@pytest.fixture(params=FAMILY)
def exchange(request):
    """Each member of the family on 8 channels."""
    torch.manual_seed(0)
    return MODELS.build(dict(FAMILY[request.param], channels=8))


def assert_same(ours, expected, **tolerances):
    for y, truth in zip(ours, expected, strict=True):
        torch.testing.assert_close(y, truth, **tolerances)


def test_no_sample_depends_on_its_batch(exchange):
    exchange.double()
    x1, x2 = pair(3, 8, 4, 5)
    together = [y[1:2] for y in exchange(x1, x2)]
    alone = exchange(x1[1:2], x2[1:2])
    other = exchange(torch.stack([x2[0], x1[1]]), torch.stack([x1[2], x2[1]]))
    assert_same(together, alone, rtol=0, atol=1e-13)
    assert_same(together, [y[1:] for y in other], rtol=0, atol=1e-13)


def test_inputs_are_left_alone(exchange):
    x1, x2 = (x.float() for x in pair(2, 8, 4, 5))
    before = x1.clone(), x2.clone()
    exchange(x1, x2)
    assert torch.equal(x1, before[0]) and torch.equal(x2, before[1])


def test_each_compiles_without_a_break(exchange):
    x1, x2 = (x.float().requires_grad_() for x in pair(2, 8, 5, 4))
    compiled = torch.compile(exchange, backend='aot_eager', fullgraph=True)
    assert_same(compiled(x1, x2), exchange(x1, x2), rtol=1e-5, atol=1e-6)


def test_each_is_traced_for_any_batch(exchange):
    x1, x2 = (x.float() for x in pair(3, 8, 5, 4))
    with warnings.catch_warnings():
        # A number that the trace takes for a constant would be announced.
        warnings.simplefilter('error', torch.jit.TracerWarning)
        traced = torch.jit.trace(exchange, (x1[:2], x2[:2]))
    assert_same(traced(x1, x2), exchange(x1, x2), rtol=1e-5, atol=1e-6)


def test_each_is_exported_to_onnx(exchange, tmp_path):
    x1, x2 = (x.float() for x in pair(2, 8, 5, 4))
    file = str(tmp_path / 'exchange.onnx')
    torch.onnx.export(exchange, (x1, x2), file, dynamo=False, opset_version=17, input_names=['x1', 'x2'],
                      output_names=['y1', 'y2'], dynamic_axes={name: [0] for name in ('x1', 'x2', 'y1', 'y2')})
    session = onnxruntime.InferenceSession(file)
    outputs = session.run(None, dict(x1=x1[:1].numpy(), x2=x2[:1].numpy()))
    assert_same([torch.from_numpy(y) for y in outputs], exchange(x1[:1], x2[:1]), rtol=1e-4, atol=1e-5)
    # Channels that are 0 have equal scores, and the same of them have to be chosen.
    x1[:, 1:7], x2[:, 2:] = 0, 0
    outputs = session.run(None, dict(x1=x1[1:].numpy(), x2=x2[1:].numpy()))
    assert_same([torch.from_numpy(y) for y in outputs], exchange(x1[1:], x2[1:]), rtol=1e-4, atol=1e-5)


def test_each_keeps_channels_last(exchange):
    x1, x2 = (x.float() for x in pair(2, 8, 5, 4))
    expected = exchange(x1, x2)
    ours = exchange(*(x.to(memory_format=torch.channels_last) for x in (x1, x2)))
    assert all(y.is_contiguous(memory_format=torch.channels_last) for y in ours)
    assert all(y.is_contiguous() for y in expected)
    assert_same(ours, expected, rtol=1e-5, atol=1e-6)


def test_each_runs_under_autocast(exchange):
    x1, x2 = (x.float().requires_grad_() for x in pair(2, 8, 5, 4))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        y1, y2 = exchange(x1, x2)
    assert y1.dtype == y2.dtype == torch.float32
    (y1 + y2).sum().backward()
    assert torch.isfinite(x1.grad).all() and x1.grad.abs().sum() > 0
