"""Exchange and adapters against Eq. 4-7 in NumPy and against finite differences."""
import numpy as np
import pytest
import torch

from bafenet.errors import InputError
from bafenet.models import ChannelExchange, MLPAdapter


def equations_4_to_7(x1, x2, ratio, adapt_to_1=lambda x: x, adapt_to_2=lambda x: x):
    """Eq. 4-7 of the paper with the exchanged features adapted first, channel by channel."""
    mask = np.array([1.0 if i % round(1 / ratio) == 0 else 0.0 for i in range(x1.shape[1])])
    mask = np.broadcast_to(mask[None, :, None, None], x1.shape)
    return x1 * (1 - mask) + adapt_to_1(x2) * mask, x2 * (1 - mask) + adapt_to_2(x1) * mask


def scalar_perceptron(adapter):
    """The perceptron 1 -> hidden -> 1 on every value, from the weights of an adapter."""
    (w1, b1), (w2, b2) = [(layer.weight.detach().numpy(), layer.bias.detach().numpy())
                          for layer in (adapter.layers[0], adapter.layers[2])]
    return lambda x: np.einsum('h,...h->...', w2[0], np.maximum(x[..., None] * w1[:, 0] + b1, 0)) + b2[0]


def pair(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, *shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize('shape', [(1, 8, 5, 7), (3, 6, 1, 4), (2, 7, 3, 3)])
@pytest.mark.parametrize('ratio', [1, 0.5, 1 / 3, 0.25])
def test_exchange_is_equations_4_to_7(shape, ratio):
    x1, x2 = pair(*shape)
    y1, y2 = ChannelExchange(shape[1], ratio)(x1, x2)
    e1, e2 = equations_4_to_7(x1.numpy(), x2.numpy(), ratio)
    np.testing.assert_array_equal(y1.numpy(), e1)
    np.testing.assert_array_equal(y2.numpy(), e2)


@pytest.mark.parametrize('shared', [True, False])
def test_what_is_exchanged_passes_the_adapter(shared):
    exchange = ChannelExchange(8, 0.5, adapter=dict(type='MLPAdapter', hidden_channels=5), shared_adapter=shared)
    exchange.double()
    assert len(exchange.adapters) == (1 if shared else 2)
    x1, x2 = pair(2, 8, 4, 3)
    y1, y2 = exchange(x1, x2)
    e1, e2 = equations_4_to_7(x1.numpy(), x2.numpy(), 0.5, scalar_perceptron(exchange.adapters[0]),
                              scalar_perceptron(exchange.adapters[-1]))
    np.testing.assert_allclose(y1.detach().numpy(), e1, atol=1e-12)
    np.testing.assert_allclose(y2.detach().numpy(), e2, atol=1e-12)


def test_the_papers_adapter_has_193_parameters():
    assert sum(p.numel() for p in MLPAdapter(128, 64).parameters()) == 193


def test_adapter_over_channels_is_a_perceptron_at_every_position():
    adapter = MLPAdapter(6, 4, mix_channels=True).double()
    x = pair(2, 6, 3, 5)[0]
    (w1, b1), (w2, b2) = [(layer.weight.detach().numpy(), layer.bias.detach().numpy())
                          for layer in (adapter.layers[0], adapter.layers[2])]
    expected = np.empty((2, 6, 3, 5))
    for n, i, j in np.ndindex(2, 3, 5):
        expected[n, :, i, j] = w2 @ np.maximum(w1 @ x[n, :, i, j].numpy() + b1, 0) + b2
    np.testing.assert_allclose(adapter(x).detach().numpy(), expected, atol=1e-12)


def test_the_exchange_tells_the_adapter_its_channels():
    exchange = ChannelExchange(7, 0.5, adapter=dict(type='MLPAdapter', hidden_channels=3, mix_channels=True))
    assert exchange.adapters[0].layers[0].in_features == 4  # Channels 0, 2, 4, 6.


@pytest.mark.parametrize('mix_channels', [True, False])
def test_gradients_by_finite_differences(mix_channels):
    torch.manual_seed(0)
    adapter = dict(type='MLPAdapter', hidden_channels=4, mix_channels=mix_channels)
    exchange = ChannelExchange(4, 0.5, adapter=adapter).double()
    x1, x2 = pair(2, 4, 2, 3)
    assert torch.autograd.gradcheck(lambda a, b: torch.cat(exchange(a, b)), (x1.requires_grad_(), x2.requires_grad_()))
    parameters = list(exchange.parameters())

    def as_function(*values):
        names = [name for name, _ in exchange.named_parameters()]
        return torch.cat(torch.func.functional_call(exchange, dict(zip(names, values, strict=True)), (x1, x2)))

    assert torch.autograd.gradcheck(as_function, tuple(parameters))


def test_exchange_twice_is_identity_and_inputs_are_left_alone():
    x1, x2 = pair(2, 8, 4, 4)
    before = x1.clone(), x2.clone()
    exchange = ChannelExchange(8, 0.25)
    y1, y2 = exchange(*exchange(x1, x2))
    assert torch.equal(y1, x1) and torch.equal(y2, x2)
    assert torch.equal(x1, before[0]) and torch.equal(x2, before[1])


def test_a_sample_does_not_depend_on_its_batch():
    exchange = ChannelExchange(8, 0.5, adapter=dict(type='MLPAdapter')).double()
    x1, x2 = pair(3, 8, 4, 4)
    together = exchange(x1, x2)[0][1]
    torch.testing.assert_close(together, exchange(x1[1:2], x2[1:2])[0][0], rtol=0, atol=1e-14)


def test_channels_last_is_kept():
    x1, x2 = (x.float().to(memory_format=torch.channels_last) for x in pair(2, 8, 4, 4))
    exchange = ChannelExchange(8, 0.5, adapter=dict(type='MLPAdapter'))
    y1, y2 = exchange(x1, x2)
    assert y1.is_contiguous(memory_format=torch.channels_last) and y2.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(y1, exchange(x1.contiguous(), x2.contiguous())[0])


def test_autocast_keeps_the_dtype_and_the_untouched_channels():
    x1, x2 = (x.float() for x in pair(2, 8, 4, 4))
    exchange = ChannelExchange(8, 0.5, adapter=dict(type='MLPAdapter'))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        y1, _ = exchange(x1, x2)
    assert y1.dtype == torch.float32
    assert torch.equal(y1[:, 1::2], x1[:, 1::2])
    torch.testing.assert_close(y1, exchange(x1, x2)[0], rtol=0.05, atol=0.05)


@pytest.mark.parametrize('ratio', [0.3, 0, -0.5, 2, 1 / 9])
def test_a_ratio_without_integer_inverse_is_refused(ratio):
    with pytest.raises(InputError, match='1 / ratio must be an integer'):
        ChannelExchange(8, ratio)
