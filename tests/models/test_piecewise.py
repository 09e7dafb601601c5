"""The piecewise-linear evaluation against the perceptron written out."""
import pytest
import torch
import torch.nn as nn
from mmengine.analysis import FlopAnalyzer

from bafenet.models import MLPAdapter, exchange
from bafenet.models.piecewise import scalar_perceptron


def weights(hidden=64, dtype=torch.float64, seed=0):
    torch.manual_seed(seed)
    layers = nn.Linear(1, hidden), nn.Linear(hidden, 1)
    return [p.detach().to(dtype).requires_grad_() for layer in layers for p in (layer.weight, layer.bias)]


def written_out(x, w1, b1, w2, b2):
    return (torch.relu(x[..., None] * w1.flatten() + b1) * w2.flatten()).sum(-1) + b2


def results(function, x, parameters, grad):
    x = x.detach().requires_grad_()
    y = function(x, *parameters)
    return [y.detach(), *torch.autograd.grad(y, [x, *parameters], grad)]


@pytest.mark.parametrize(('dtype', 'tolerance'), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
@pytest.mark.parametrize('hidden', [1, 8, 64])
@pytest.mark.parametrize('shape', [(2, 16, 24, 24), (1, 1, 1, 1), (0, 4, 3, 3)])
def test_values_and_all_gradients(dtype, tolerance, hidden, shape):
    parameters = weights(hidden, dtype)
    x = torch.randn(shape, dtype=dtype) * 2
    grad = torch.randn(shape, dtype=dtype)
    ours = results(scalar_perceptron, x, parameters, grad)
    expected = results(written_out, x.double(), [p.detach().double().requires_grad_() for p in parameters],
                       grad.double())
    for value, truth in zip(ours, expected, strict=True):
        assert value.dtype == dtype and value.shape == truth.shape
        if truth.numel():
            assert (value - truth).abs().max() <= tolerance * truth.abs().max()


def test_finite_differences():
    x = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(scalar_perceptron, (x, *weights(6)))


def test_hidden_units_that_never_switch():
    w1, b1, w2, b2 = weights(6)
    with torch.no_grad():
        w1[:3] = 0
        b1[:3] = torch.tensor([0.5, -0.5, 0.0])
        w1[3] = w1[4]
        b1[3] = b1[4]
    x = torch.linspace(-3, 3, 101, dtype=torch.float64)
    torch.testing.assert_close(scalar_perceptron(x, w1, b1, w2, b2), written_out(x, w1, b1, w2, b2))


def test_strided_and_channels_last_inputs():
    parameters = weights()
    x = torch.randn(2, 8, 5, 6, dtype=torch.float64)
    expected = written_out(x[:, ::2], *parameters)
    for view in (x[:, ::2], x.to(memory_format=torch.channels_last)[:, ::2]):
        torch.testing.assert_close(scalar_perceptron(view, *parameters), expected)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision(dtype):
    parameters = weights(dtype=torch.float32)
    x = torch.randn(2, 4, 5, 6).to(dtype)
    y = scalar_perceptron(x, *parameters)
    assert y.dtype == dtype
    torch.testing.assert_close(y.float(), written_out(x.float(), *parameters), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(('dtype', 'tolerance'), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
def test_features_of_one_side_of_zero(dtype, tolerance):
    # As after a ReLU: most switching points lie where no value is, a third of the values on one point.
    parameters = weights(dtype=dtype, seed=1)
    x = torch.randn(2, 32, 24, 24, dtype=dtype).sub_(0.4).relu_()
    grad = torch.randn_like(x) * 1e-3
    ours = results(scalar_perceptron, x, parameters, grad)
    expected = results(written_out, x.double(), [p.detach().double().requires_grad_() for p in parameters],
                       grad.double())
    for value, truth in zip(ours, expected, strict=True):
        assert (value - truth).abs().max() <= tolerance * truth.abs().max()


@pytest.fixture
def adapter():
    torch.manual_seed(0)
    return MLPAdapter(8)


def perceptron(adapter, x):
    return adapter.layers(x[..., None])[..., 0]


def test_eager_runs_piecewise_and_a_trace_the_plain_perceptron(adapter, monkeypatch):
    calls = []
    monkeypatch.setattr(exchange, 'scalar_perceptron', lambda *args: calls.append(1) or scalar_perceptron(*args))
    x = torch.randn(2, 8, 5, 6)
    adapter(x)
    assert calls == [1]
    # The trace's own check would run the module eagerly.
    traced = torch.jit.trace(adapter, x, check_trace=False)
    compiled = torch.compile(adapter, backend='aot_eager', fullgraph=True)
    for other in (traced, compiled):
        torch.testing.assert_close(other(x), perceptron(adapter, x))
    exported = torch.export.export(adapter, (x, ))
    torch.testing.assert_close(exported.module()(x), perceptron(adapter, x))
    assert calls == [1]
    # Both layers are in the trace, with their hidden layer.
    assert str(traced.inlined_graph).count('aten::linear') == 2


def test_counters_see_128_multiplications_a_value(adapter):
    analysis = FlopAnalyzer(adapter, torch.randn(2, 8, 5, 6))
    analysis.unsupported_ops_warnings(False)
    assert analysis.total() == 128 * 2 * 8 * 5 * 6


def test_a_second_derivative_is_refused_and_not_wrong(adapter):
    x = torch.randn(1, 8, 2, 2, requires_grad=True)
    gradient, = torch.autograd.grad((adapter(x)**2).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match='once_differentiable'):
        gradient.sum().backward()
