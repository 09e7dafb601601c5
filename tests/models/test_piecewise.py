"""The piecewise-linear evaluation against the perceptron written out."""
import pytest
import torch
import torch.nn as nn

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
            assert (value - truth).abs().max() <= tolerance * max(1.0, truth.abs().max())


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
