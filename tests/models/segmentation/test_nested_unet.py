"""NestedUNet: the paper's parameters and costs, its wiring written out, its block from the equations."""
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from torch import nn
from torch.nn import functional as F

from bafenet.errors import InputError
from bafenet.models.fuse import fuse_batch_norms
from bafenet.models.segmentation import AdditiveUNet, NestedUNet
from bafenet.models.segmentation.nested_unet import AttentiveBlock

PARAMETERS = [
    (dict(depth=34), 8_792_702), (dict(depth=18), 4_696_888), (dict(depth=10), 2_612_196),
    (dict(depth=34, attention=False), 8_731_268), (dict(depth=18, attention=False), 4_665_476),
    (dict(depth=10, attention=False), 2_596_100), (dict(depth=34, in_channels=1), 8_792_382),
    (dict(depth=18, in_channels=1), 4_696_568), (dict(depth=10, in_channels=1), 2_611_876),
    (dict(depth=34, attention=False, nested=False), 7_914_961), (dict(depth=34, nested=False), 7_972_079),
]


@pytest.mark.parametrize(('settings', 'expected'), PARAMETERS, ids=str)
def test_parameters(settings, expected):
    with torch.device('meta'):
        network = MODELS.build(dict(type='NestedUNet', **settings))
    assert sum(parameter.numel() for parameter in network.parameters()) == expected


def multiply_adds(network, channels):
    """Those of the convolutions at 256x256: the numbers of a result, times the weights that each is a sum over."""
    counts = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda conv, _, out: counts.append(out.numel() * conv.weight[0].numel()))
    network.eval()(torch.zeros(1, channels, 256, 256, device='meta'))
    return sum(counts)


def test_costs():
    with torch.device('meta'):
        assert multiply_adds(NestedUNet(34), 3) == pytest.approx(19.68e9, abs=0.005e9)
        assert multiply_adds(NestedUNet(18), 3) == pytest.approx(13.93e9, abs=0.005e9)
        for channels in (1, 3):
            small = AdditiveUNet(in_channels=channels)
            assert sum(parameter.numel() for parameter in small.parameters()) == pytest.approx(0.517e6, rel=0.03)
            assert multiply_adds(small, channels) == pytest.approx(1.68e9, rel=0.03)


@pytest.fixture(scope='module')
def network():
    torch.manual_seed(0)
    return NestedUNet(depth=10).eval()


def bilinear(features, size):
    """Bilinear resizing with aligned corners of (N, C, H, W), as a product with a matrix for each axis."""
    def matrix(before, after):
        places = np.linspace(0, before - 1, after)
        weights = np.maximum(0, 1 - abs(places[:, None] - np.arange(before)))
        return torch.tensor(weights, dtype=torch.float32)
    rows, columns = (matrix(*pair) for pair in zip(features.shape[-2:], size, strict=True))
    return torch.einsum('ih,nchw,jw->ncij', rows, features, columns)


def test_wiring(network):
    """Every node as the release writes it down."""
    image = torch.randn(1, 3, 32, 48, generator=torch.Generator().manual_seed(1))
    sizes = [(32 >> row, 48 >> row) for row in range(5)]
    x = {}
    with torch.no_grad():
        for row in range(5):
            x[row, 0] = network.nodes[f'{row}_0'](F.max_pool2d(x[row - 1, 0], 2) if row else image)
        for column in range(1, 5):
            for row in range(5 - column):
                parts = [x[row, before] for before in range(column)] + [bilinear(x[row + 1, column - 1], sizes[row])]
                parts += [bilinear(x[row - 1, column], sizes[row])] if row else []
                x[row, column] = network.nodes[f'{row}_{column}'](torch.cat(parts, 1))
        last = [bilinear(network.laterals[row - 1](x[row, 4 - row]), sizes[0]) for row in (4, 3, 2, 1)]
        end = network.join(torch.cat([*last, x[0, 4]], 1))
        expected = [head(one) for head, one in zip(network.heads, (x[0, 1], x[0, 2], x[0, 3], end), strict=True)]
        outputs = network(image)
    assert len(outputs) == 4
    for output, one in zip(outputs, expected, strict=True):
        assert output.shape == (1, 1, 32, 48)
        torch.testing.assert_close(output, one, rtol=1e-3, atol=1e-4)


def test_a_plain_one_takes_its_row_and_the_row_below():
    plain = NestedUNet(depth=10, nested=False).eval()
    image, x = torch.randn(1, 3, 16, 32), []
    with torch.no_grad():
        for row in range(5):
            x.append(plain.nodes[f'{row}_0'](F.max_pool2d(x[-1], 2) if x else image))
        deep = x[4]
        for row in (3, 2, 1, 0):
            deep = plain.nodes[f'{row}_{4 - row}'](torch.cat([x[row], bilinear(deep, x[row].shape[-2:])], 1))
        output, = plain(image)
        torch.testing.assert_close(output, plain.heads[0](deep), rtol=1e-3, atol=1e-4)


def sigmoid(value):
    return 1 / (1 + np.exp(-value))


def test_the_block_is_equations_5_and_6():
    torch.manual_seed(0)
    block = AttentiveBlock(3, 32).double().train()
    features = torch.randn(2, 3, 6, 7, dtype=torch.float64)
    with torch.no_grad():
        values = [parameter.normal_(std=0.3) for parameter in block.parameters()]
        first, norm1, second, norm2 = (block.convs[i] for i in (0, 1, 3, 4))

        def normalised(conv, norm, x, padding):
            x = F.conv2d(x, conv.weight, conv.bias, padding=padding).numpy()
            x = (x - x.mean((0, 2, 3), keepdims=True)) / np.sqrt(x.var((0, 2, 3), keepdims=True) + 1e-5)
            return x * norm.weight.numpy()[:, None, None] + norm.bias.numpy()[:, None, None]

        inner = torch.from_numpy(np.maximum(normalised(first, norm1, features, 1), 0))
        x = normalised(second, norm2, inner, 1)
        down, up = (block.attention[0].perceptron[i].weight.numpy()[:, :, 0, 0] for i in (0, 2))
        channel = sum(np.maximum(pooled @ down.T, 0) @ up.T for pooled in (x.mean((2, 3)), x.max((2, 3))))
        x = sigmoid(channel)[:, :, None, None] * x
        pooled = torch.from_numpy(np.stack([x.mean(1), x.max(1)], 1))
        x = sigmoid(F.conv2d(pooled, block.attention[1].conv.weight, padding=3).numpy()) * x
        expected = np.maximum(x + normalised(*block.shortcut, features, 0), 0)
        assert down.shape == (2, 32) and len(values) == 15
        np.testing.assert_allclose(block(features), expected, atol=1e-9)


@pytest.mark.parametrize('settings', [{}, dict(nested=False), dict(attention=False, in_channels=1)], ids=str)
def test_every_weight_learns_in_bfloat16_and_channels_last(settings):
    torch.manual_seed(0)
    network = NestedUNet(depth=10, **settings).to(memory_format=torch.channels_last)
    with torch.autocast('cpu', torch.bfloat16):
        outputs = network(torch.randn(2, network.in_channels, 32, 32))
    sum(output.float().square().mean() for output in outputs).backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in network.parameters())
    # What a batch norm takes away again, the bias before it, has no gradient but rounding.
    assert all(parameter.grad.any() for name, parameter in network.named_parameters() if name.endswith('weight'))


def test_all_batch_norms_are_fused(network):
    fused, image = NestedUNet(depth=10).eval(), torch.randn(1, 3, 16, 16)
    fused.load_state_dict(network.state_dict())
    count = sum(isinstance(module, nn.BatchNorm2d) for module in fused.modules())
    with torch.no_grad():
        expected = fused(image)[-1]
        assert fuse_batch_norms(fused) == count
        torch.testing.assert_close(fused(image)[-1], expected, rtol=1e-3, atol=1e-4)


def test_a_side_that_cannot_be_halved_is_named(network):
    with pytest.raises(InputError, match=r'24x16 pixels.*multiples of 16.*pad_size_divisor=16'):
        network(torch.zeros(1, 3, 16, 24))
