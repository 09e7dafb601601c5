"""The selective-kernel module against its definition, position by position, and inside the head."""
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from scipy.signal import correlate2d

from bafenet.models import SelectiveKernel
from bafenet.models.selective_kernel import convolve_by_phase

HEAD = dict(type='BAFEHead', num_classes=1, in_channels=8, feat_channels=8, stacked_convs=1, strides=[8, 16, 32],
            regress_ranges=((-1, 64), (64, 128), (128, 256)), norm_cfg=dict(type='GN', num_groups=4))


def array(tensor):
    return tensor.detach().numpy()


def correlated(images, kernels, dilation=1):
    """Correlation of (H, W) images with kernels that dilation spreads, summed, zeros around."""
    total = 0
    for image, kernel in zip(images, kernels, strict=True):
        spread = np.zeros([dilation * (size - 1) + 1 for size in kernel.shape])
        spread[::dilation, ::dilation] = kernel
        total = total + correlate2d(np.pad(image, spread.shape[0] // 2), spread, mode='valid')
    return total


def written_out(module, x):
    """Depthwise 5x5, depthwise 7x7 with dilation 3, reduction, weights by mean and maximum, expansion: one sample."""
    def depthwise(conv, images, dilation=1):
        return np.stack([correlated([image], array(conv.weight)[c], dilation) + array(conv.bias)[c]
                         for c, image in enumerate(images)])

    def pointwise(conv, images):
        return np.einsum('oc,chw->ohw', array(conv.weight)[:, :, 0, 0], images) + array(conv.bias)[:, None, None]

    near = depthwise(module.near, x)
    far = depthwise(module.far, near, dilation=3)
    near, far = pointwise(module.near_reduction, near), pointwise(module.far_reduction, far)
    both = np.concatenate([near, far])
    summary = both.mean(0), both.max(0)
    maps = [1 / (1 + np.exp(-(correlated(summary, array(module.weighing.weight)[i]) + array(module.weighing.bias)[i])))
            for i in range(2)]
    return pointwise(module.expansion, near * maps[0] + far * maps[1])


@pytest.mark.parametrize('size', [(9, 12), (5, 7), (1, 1)])
def test_it_is_its_definition(size):
    torch.manual_seed(0)
    module = SelectiveKernel(4).double()
    x = torch.randn(2, 4, *size, dtype=torch.float64)
    expected = np.stack([written_out(module, array(sample)) for sample in x])
    np.testing.assert_allclose(array(module(x)), expected, atol=1e-12)


@pytest.mark.parametrize('size', [(9, 12), (10, 7), (2, 2)])
def test_convolution_by_phase_is_the_dilated_one_in_value_and_gradients(size):
    torch.manual_seed(0)
    conv = torch.nn.Conv2d(5, 5, 7, padding=9, dilation=3, groups=5).double()
    x = torch.randn(2, 5, *size, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 5, *size, dtype=torch.float64)
    inputs = (x, *conv.parameters())
    ours, expected = convolve_by_phase(conv, x), conv(x)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-12)
    for gradient, truth in zip(torch.autograd.grad((ours * weight).sum(), inputs),
                               torch.autograd.grad((expected * weight).sum(), inputs), strict=True):
        torch.testing.assert_close(gradient, truth, rtol=0, atol=1e-11)


def test_finite_differences():
    torch.manual_seed(0)
    module = SelectiveKernel(2).double()
    x = torch.randn(1, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    names = [name for name, _ in module.named_parameters()]

    def as_function(x, *values):
        return torch.func.functional_call(module, dict(zip(names, values, strict=True)), (x, ))

    assert torch.autograd.gradcheck(as_function, (x, *module.parameters()), fast_mode=True)


def test_parameters_at_the_papers_width():
    # 5x5 and 7x7 depthwise, two reductions, 7x7 from 2 to 2 maps, expansion; all with bias.
    expected = 256 * 26 + 256 * 50 + 2 * 128 * 257 + 2 * (2 * 49 + 1) + 256 * 129
    assert sum(p.numel() for p in SelectiveKernel(256).parameters()) == expected


def test_traced_compiled_and_eager_agree():
    torch.manual_seed(0)
    module = SelectiveKernel(4)
    x = torch.randn(2, 4, 7, 8)
    expected = module(x)
    for other in (torch.jit.trace(module, x), torch.compile(module, backend='aot_eager', fullgraph=True)):
        torch.testing.assert_close(other(x), expected, rtol=1e-4, atol=1e-5)


def test_memory_format_is_kept():
    module = SelectiveKernel(4)
    x = torch.randn(2, 4, 7, 8)
    assert module(x).is_contiguous()
    assert module(x.to(memory_format=torch.channels_last)).is_contiguous(memory_format=torch.channels_last)


def test_bfloat16_autocast():
    torch.manual_seed(0)
    module = SelectiveKernel(8)
    x = torch.randn(2, 8, 7, 8)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        half = module(x)
    torch.testing.assert_close(half.float(), module(x), rtol=0.05, atol=0.05)


def test_the_heads_initialisation_does_not_erase_the_features():
    torch.manual_seed(0)
    exchange = dict(type='DynamicChannelExchange', adapter=dict(type='MLPAdapter', mix_channels=True))
    head = MODELS.build(dict(HEAD, feat_channels=64, refine='lsk', exchange=exchange))
    head.init_weights()
    # The head's own convolutions start at 0.01.
    assert head.conv_seg.weight.std() < 0.02
    x = torch.randn(2, 64, 32, 32)
    for module in (head.refine, head.exchange.gate):
        assert 0.2 < module(x).std() / x.std() < 5
        # What the head's would do.
        for p in module.parameters():
            torch.nn.init.normal_(p, std=0.01 if p.dim() > 1 else 0.0)
        assert module(x).std() < 1e-3 * x.std()


def test_the_head_refines_both_tasks_by_one_module_before_the_bottlenecks():
    torch.manual_seed(0)
    head = MODELS.build(dict(HEAD, refine='lsk', exchange=None)).eval()
    assert isinstance(head.refine, SelectiveKernel)
    x = torch.randn(2, 8, 6, 5)
    cls, reg, seg = (tower[0](x) for tower in (head.cls_convs, head.reg_convs, head.seg_convs))
    expected = head.cls_bottleneck(head.refine(cls)), reg, head.seg_bottleneck(head.refine(seg))
    for features, value in zip(head.before_exchange(x), expected, strict=True):
        torch.testing.assert_close(features, value)


def test_refine_takes_a_config_and_needs_the_sky_branch():
    assert isinstance(MODELS.build(dict(HEAD, refine=dict(type='SelectiveKernel'))).refine, SelectiveKernel)
    assert not hasattr(MODELS.build(dict(HEAD)), 'refine')
    assert not hasattr(MODELS.build(dict(HEAD, refine='lsk', with_seg=False)), 'refine')
