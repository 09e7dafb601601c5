"""Exchange and adapters against Eq. 4-7 in NumPy and against finite differences."""
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS

from bafenet.errors import InputError
from bafenet.models import ChannelExchange, DynamicChannelExchange, MLPAdapter, SequentialExchange, SpatialExchange

SCALAR = dict(type='MLPAdapter', hidden_channels=4)
MIXING = dict(SCALAR, mix_channels=True)
DYNAMIC = dict(type='DynamicChannelExchange', adapter=MIXING)


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


@pytest.mark.parametrize('mix_channels', [True, False])
def test_a_residual_adapter_begins_with_the_plain_exchange_and_learns(mix_channels):
    torch.manual_seed(0)
    adapter = dict(type='MLPAdapter', hidden_channels=4, mix_channels=mix_channels, residual=True)
    exchange = ChannelExchange(8, 0.5, adapter=adapter).double()
    x1, x2 = pair(2, 8, 4, 3)
    for ours, plain in zip(exchange(x1, x2), ChannelExchange(8, 0.5)(x1, x2), strict=True):
        assert torch.equal(ours, plain)
    optimizer = torch.optim.SGD(exchange.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        sum(y.square().mean() for y in exchange(x1, x2)).backward()
        optimizer.step()
    residual = exchange.adapters[0]
    perceptron = MLPAdapter(4, 4, mix_channels).double()
    perceptron.load_state_dict(residual.state_dict())
    added = perceptron(x1)[:, :4] if not mix_channels else perceptron(x1[:, ::2])
    kept = x1[:, :4] if not mix_channels else x1[:, ::2]
    assert added.abs().max() > 0
    torch.testing.assert_close(residual(kept), kept + added)


def test_the_head_leaves_a_residual_adapter_as_it_begins():
    exchange = dict(type='ChannelExchange', adapter=dict(SCALAR, residual=True))
    head = MODELS.build(dict(
        type='BAFEHead', num_classes=1, in_channels=8, feat_channels=8, stacked_convs=1, norm_cfg=None,
        exchange=exchange))
    head.init_weights()
    inner, _, outer = head.exchange.adapters[0].layers
    assert not outer.weight.any() and not outer.bias.any() and inner.weight.std() > 0.1


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
    with pytest.raises(InputError, match='1 / ratio must be'):
        ChannelExchange(8, ratio)


def test_settings_that_mean_nothing_are_refused():
    with pytest.raises(InputError, match='1 / ratio must be an integer'):
        SpatialExchange(8, 0.3)
    for ratio in (0, 0.01, 1.5):
        with pytest.raises(InputError, match='at least one of the 8 channels'):
            DynamicChannelExchange(8, ratio)
    with pytest.raises(InputError, match="gate='soft'"):
        DynamicChannelExchange(8, 0.5, gate='soft')


@pytest.mark.parametrize('shape', [(1, 2, 5, 7), (3, 1, 4, 6), (2, 3, 3, 1)])
@pytest.mark.parametrize('ratio', [1, 0.5, 1 / 3])
def test_spatial_exchange_is_equations_4_to_7_with_columns_for_channels(shape, ratio):
    x1, x2 = pair(*shape)
    exchange = SpatialExchange(shape[1], ratio, adapter=dict(type='MLPAdapter', hidden_channels=5)).double()
    adapt = scalar_perceptron(exchange.adapters[0])
    turned = [x.numpy().swapaxes(1, 3) for x in (x1, x2)]
    for y, expected in zip(exchange(x1, x2), equations_4_to_7(*turned, ratio, adapt, adapt), strict=True):
        np.testing.assert_allclose(y.detach().numpy(), expected.swapaxes(1, 3), atol=1e-12)


def test_spatial_exchange_builds_its_adapter_for_all_channels():
    exchange = SpatialExchange(7, 0.5, adapter=dict(MIXING))
    assert exchange.adapters[0].layers[0].in_features == 7


def test_sequential_exchange_is_one_after_the_other():
    x1, x2 = pair(2, 4, 3, 6)
    static = [dict(type='ChannelExchange', ratio=0.5), dict(type='SpatialExchange', ratio=0.5)]
    y1, y2 = SequentialExchange(4, static)(x1, x2)
    # What both exchange has come back.
    channel, column = np.arange(4) % 2 == 0, np.arange(6) % 2 == 0
    crossed = np.broadcast_to((channel[:, None] != column)[None, :, None, :], x1.shape)
    np.testing.assert_array_equal(y1.numpy(), np.where(crossed, x2.numpy(), x1.numpy()))
    np.testing.assert_array_equal(y2.numpy(), np.where(crossed, x1.numpy(), x2.numpy()))


def test_sequential_exchange_passes_channels_and_initialisation_on():
    torch.manual_seed(0)
    exchange = SequentialExchange(6, [dict(type='SpatialExchange', adapter=MIXING), DYNAMIC])
    assert exchange[0].adapters[0].layers[0].in_features == 6 and exchange[1].count == 3
    torch.nn.init.constant_(exchange[1].gate.expansion.weight, 0)
    exchange.init_weights()
    assert exchange[1].gate.expansion.weight.std() > 0.1


def dynamic_exchange_written_out(exchange, x1, x2):
    """The later version of the paper, sample by sample and channel by channel; the gate's features are given."""
    (w1, b1), (w2, b2) = [(layer.weight.detach().numpy(), layer.bias.detach().numpy())
                          for layer in (exchange.adapters[0].layers[0], exchange.adapters[0].layers[2])]
    results = [x.numpy().copy() for x in (x1, x2)]
    for n in range(len(x1)):
        chosen = []
        for x in (x1, x2):
            gated = (x * exchange.gate(x)).detach().numpy()
            scores = 1 / (1 + np.exp(-gated[n].mean((1, 2))))
            chosen.append(sorted(np.argsort(-scores)[:exchange.count]))
        for own, other in ((0, 1), (1, 0)):
            taken = (x1, x2)[other].numpy()[n, chosen[other]]
            hidden = np.maximum(np.einsum('hc,cij->hij', w1, taken) + b1[:, None, None], 0)
            adapted = np.einsum('ch,hij->cij', w2, hidden) + b2[:, None, None]
            for position, channel in enumerate(chosen[own]):
                results[own][n, channel] = adapted[position]
    return results


@pytest.mark.parametrize('gate', ['straight_through', 'index'])
@pytest.mark.parametrize(('ratio', 'count'), [(0.5, 4), (0.3, 2), (1, 8)])
def test_dynamic_exchange_swaps_the_best_scored_channels(gate, ratio, count):
    torch.manual_seed(1)
    exchange = DynamicChannelExchange(8, ratio, MIXING, gate=gate).double()
    assert exchange.count == count
    x1, x2 = pair(3, 8, 5, 4, seed=2)
    for y, expected in zip(exchange(x1, x2), dynamic_exchange_written_out(exchange, x1, x2), strict=True):
        np.testing.assert_allclose(y.detach().numpy(), expected, atol=1e-12)


def test_the_gate_learns_straight_through_and_not_by_index():
    torch.manual_seed(0)
    learning, fixed = (DynamicChannelExchange(8, 0.5, MIXING, gate=gate) for gate in ('straight_through', 'index'))
    fixed.load_state_dict(learning.state_dict())
    x1, x2 = (x.float() for x in pair(2, 8, 6, 6))
    outputs = {}
    for exchange in (learning, fixed):
        outputs[exchange] = exchange(x1, x2)
        sum((y**2).sum() for y in outputs[exchange]).backward()
        assert all(p.grad is not None and p.grad.abs().max() > 0 for p in exchange.adapters.parameters())
    assert all(torch.equal(a, b) for a, b in zip(outputs[learning], outputs[fixed], strict=True))
    assert all(p.grad.abs().max() > 0 for p in learning.gate.parameters())
    assert all(p.grad is None and not p.requires_grad for p in fixed.gate.parameters())


def test_the_scores_gradient_is_that_of_the_straight_through_factor():
    torch.manual_seed(0)
    exchange = DynamicChannelExchange(4, 1).double()
    x1, x2 = pair(2, 4, 3, 3)
    weight = torch.randn(2, 4, 3, 3, dtype=torch.float64)
    ours = torch.autograd.grad((exchange(x1, x2)[0] * weight).sum(), exchange.gate.expansion.weight)
    scores = (x2 * exchange.gate(x2)).mean((2, 3)).sigmoid()[..., None, None]
    expected = torch.autograd.grad((x2 * scores / scores.detach() * weight).sum(), exchange.gate.expansion.weight)
    torch.testing.assert_close(ours, expected)


def test_a_score_of_zero_gives_no_nan():
    exchange = DynamicChannelExchange(4, 1)
    with torch.no_grad():
        exchange.gate.expansion.bias.fill_(-1e4)
    x = torch.ones(1, 4, 3, 3, requires_grad=True)
    y1, y2 = exchange(x, 2 * x)
    (y1 + y2).sum().backward()
    assert torch.equal(y1, 2 * x) and torch.isfinite(x.grad).all()


def test_gradients_of_the_dynamic_exchange_by_finite_differences():
    torch.manual_seed(0)
    # By index: the straight-through gradient is by design not that of the value.
    exchange = DynamicChannelExchange(4, 0.5, dict(MIXING, hidden_channels=3), gate='index').double()
    x1, x2 = pair(2, 4, 3, 3)
    trained = {name: p for name, p in exchange.named_parameters() if p.requires_grad}

    def as_function(a, b, *values):
        return torch.cat(torch.func.functional_call(exchange, dict(zip(trained, values, strict=True)), (a, b)))

    inputs = (x1.requires_grad_(), x2.requires_grad_(), *trained.values())
    assert torch.autograd.gradcheck(as_function, inputs, eps=1e-7)


@pytest.mark.parametrize('ratio', [1, 0.5, 0.25])
def test_spatial_exchange_twice_is_identity(ratio):
    x1, x2 = pair(2, 3, 4, 7)
    exchange = SpatialExchange(3, ratio)
    assert not torch.equal(exchange(x1, x2)[0], x1)
    y1, y2 = exchange(*exchange(x1, x2))
    assert torch.equal(y1, x1) and torch.equal(y2, x2)
