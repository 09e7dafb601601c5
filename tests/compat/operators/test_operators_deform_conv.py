"""Deformable convolution, versions 1 and 2, against a plain statement of its definition."""
import sys

import numpy as np
import plain_operators as plain
import pytest
import torch
from torch.autograd import gradcheck

from bafenet.compat.operators import deform_conv
from bafenet.errors import InputError

# isort: split
from mmcv import ops

# Stride, padding, dilation, groups, deformable groups; the kernel is 3 wide and 2 high.
CASES = [((1, 1), (0, 0), (1, 1), 1, 1), ((2, 1), (1, 2), (1, 2), 1, 2), ((1, 1), (1, 1), (1, 1), 2, 1),
         ((1, 2), (1, 1), (2, 1), 2, 4)]


def random_inputs(case, dtype=torch.float64, batch=2):
    """Features, offset, mask, weight and bias."""
    stride, padding, dilation, groups, deform_groups = case
    generator = np.random.default_rng(0)
    out = [(side + 2 * pad - spacing * (kernel - 1) - 1) // step + 1 for side, pad, spacing, kernel, step
           in zip((4, 5), padding, dilation, (2, 3), stride, strict=True)]
    shapes = [(batch, 4, 4, 5), (batch, deform_groups * 12, *out), (batch, deform_groups * 6, *out),
              (4, 4 // groups, 2, 3), (4, )]
    return [torch.tensor(generator.normal(0, 1, shape)).to(dtype).requires_grad_() for shape in shapes]


def expected_of(case, features, offset, weight, mask=None, bias=None):
    given = (features, offset, weight, mask, bias)
    return plain.deform_conv(*(None if each is None else each.detach().double().numpy() for each in given), *case)


@pytest.mark.parametrize('case', CASES)
class TestDefinition:

    def test_version_1(self, case):
        features, offset, _, weight, _ = random_inputs(case)
        stride, padding, dilation, groups, deform_groups = case
        output = ops.deform_conv2d(features, offset, weight, stride, padding, dilation, groups, deform_groups)
        np.testing.assert_allclose(output.detach(), expected_of(case, features, offset, weight), atol=1e-12)
        assert gradcheck(lambda *inputs: ops.deform_conv2d(*inputs, stride, padding, dilation, groups, deform_groups),
                         (features, offset, weight))

    def test_version_2(self, case):
        features, offset, mask, weight, bias = random_inputs(case)
        output = ops.modulated_deform_conv2d(features, offset, mask, weight, bias, *case)
        np.testing.assert_allclose(output.detach(), expected_of(case, features, offset, weight, mask, bias), atol=1e-12)
        assert gradcheck(lambda *inputs: ops.modulated_deform_conv2d(*inputs, *case),
                         (features, offset, mask, weight, bias))

    @pytest.mark.parametrize('whole', [False, True])
    def test_gradients_that_can_be_repeated_are_the_same(self, case, whole, monkeypatch):
        stride, padding, dilation, groups, deform_groups = case
        grads = []
        for repeated in (False, True):
            monkeypatch.setattr(deform_conv, 'must_repeat', lambda tensor, repeated=repeated: repeated)
            features, offset, mask, weight, bias = random_inputs(case)
            moves = offset.round() if whole else offset
            output = ops.modulated_deform_conv2d(features, moves, mask, weight, bias, *case)
            plain_output = ops.deform_conv2d(features, moves, weight, stride, padding, dilation, groups, deform_groups)
            grads.append(torch.autograd.grad(output.square().sum() + plain_output.square().sum(),
                                             [features, moves, mask, weight, bias]))
        for first, second in zip(*grads, strict=True):
            torch.testing.assert_close(first, second)

    def test_without_offsets_it_is_a_convolution(self, case):
        features, offset, mask, weight, bias = random_inputs(case)
        stride, padding, dilation, groups, deform_groups = case
        common = torch.nn.functional.conv2d(features, weight, None, stride, padding, dilation, groups)
        offset, mask = torch.zeros_like(offset), torch.ones_like(mask)
        torch.testing.assert_close(
            ops.deform_conv2d(features, offset, weight, stride, padding, dilation, groups, deform_groups), common)
        torch.testing.assert_close(ops.modulated_deform_conv2d(features, offset, mask, weight, bias, *case),
                                   common + bias[:, None, None])


class TestRules:

    @pytest.mark.parametrize('with_bias', [False, True])
    def test_bias_may_be_absent(self, with_bias):
        features, offset, mask, weight, bias = random_inputs(CASES[0])
        bias = bias if with_bias else None
        output = ops.modulated_deform_conv2d(features, offset, mask, weight, bias)
        np.testing.assert_allclose(output.detach(), expected_of(CASES[0], features, offset, weight, mask, bias),
                                   atol=1e-12)
        output.sum().backward()
        assert not with_bias or bias.grad.eq(output[0, 0].numel() * 2).all()

    def test_taps_on_the_zeros_around_the_frame_get_no_gradient(self):
        # With padding 1 and no offset the taps of the first row and column lie at -1, where the value has a kink.
        features = torch.ones(1, 1, 3, 3)
        offset = torch.zeros(1, 18, 3, 3, requires_grad=True)
        ops.deform_conv2d(features, offset, torch.ones(1, 1, 3, 3), 1, 1).sum().backward()
        places = offset.grad.view(3, 3, 2, 3, 3)
        assert places[0, :, :, 0].eq(0).all()
        assert places[:, 0, :, :, 0].eq(0).all()
        # The taps on the last row, at 2, slope down to the zeros behind it.
        assert places[1, 1, 0].tolist() == [[0, 0, 0], [0, 0, 0], [-1, -1, -1]]

    def test_offsets_of_a_larger_map_are_read_from_their_start(self):
        # DyHead does so: a level's offsets and masks move the taps on the next coarser one too.
        features, _, _, weight, bias = random_inputs(CASES[0])
        generator = np.random.default_rng(1)
        offset, mask = (torch.tensor(generator.normal(0, 1, (2, count, 5, 4)), requires_grad=True) for count in (12, 6))
        given = [each.detach().numpy().reshape(2, -1)[:, :count * 9].reshape(2, count, 3, 3)
                 for each, count in ((offset, 12), (mask, 6))]
        output = ops.modulated_deform_conv2d(features, offset, mask, weight, bias)
        np.testing.assert_allclose(
            output.detach(), plain.deform_conv(features.detach().numpy(), given[0], weight.detach().numpy(), given[1],
                                               bias.detach().numpy()), atol=1e-12)
        assert gradcheck(ops.modulated_deform_conv2d, (features, offset, mask, weight, bias))

    def test_offsets_of_a_smaller_map_are_refused(self):
        features, offset, mask, weight, bias = random_inputs(CASES[0])
        with pytest.raises(InputError, match='output is 3×3 got offsets or masks of 2×3'):
            ops.modulated_deform_conv2d(features, offset[:, :, 1:], mask, weight, bias)

    @pytest.mark.parametrize('trained', [0, 1, 2])
    def test_each_gradient_alone(self, trained):
        inputs = [each.detach() for each in random_inputs(CASES[1])]
        inputs = [inputs[0], inputs[1], inputs[3]]
        stride, padding, dilation, groups, deform_groups = CASES[1]
        for alone in (False, True):
            leaves = [each.clone().requires_grad_(place == trained or not alone) for place, each in enumerate(inputs)]
            ops.deform_conv2d(*leaves, stride, padding, dilation, groups, deform_groups).square().sum().backward()
            gradient = leaves[trained].grad
            if not alone:
                expected = gradient
        torch.testing.assert_close(gradient, expected)

    def test_a_second_backward_pass_has_gradients_of_its_own(self):
        features, offset, _, weight, _ = random_inputs(CASES[0])
        output = ops.deform_conv2d(features, offset, weight)
        first = torch.autograd.grad(output.sum(), weight, retain_graph=True)[0]
        second = torch.autograd.grad(3 * output.sum(), weight)[0]
        torch.testing.assert_close(second, 3 * first)

    @pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
    def test_half_precision(self, dtype):
        features, offset, mask, weight, bias = random_inputs(CASES[1], dtype)
        with torch.autocast('cpu', dtype=torch.bfloat16):
            output = ops.modulated_deform_conv2d(features, offset, mask, weight, bias, *CASES[1])
        output.float().sum().backward()
        expected = expected_of(CASES[1], features, offset, weight, mask, bias)
        # Computed in float32 and rounded once.
        np.testing.assert_allclose(output.detach().double(), expected, rtol=torch.finfo(dtype).eps, atol=1e-5)
        assert {each.grad.dtype for each in (features, offset, mask, weight, bias)} == {dtype}

    @pytest.mark.parametrize('kind', ['DCN', 'DCNv2'])
    def test_layers_of_mmdet_configs_under_autocast(self, kind):
        from mmcv.cnn import build_conv_layer
        torch.manual_seed(0)
        layer = build_conv_layer(dict(type=kind, deform_groups=1), 4, 4, 3, stride=2, padding=1)
        with torch.autocast('cpu', dtype=torch.bfloat16):
            output = layer(torch.randn(2, 4, 8, 8))
        output.float().square().sum().backward()
        assert output.shape == (2, 4, 4, 4)
        assert all(parameter.grad.isfinite().all() for parameter in layer.parameters())

    def test_without_images(self):
        # mmcv refuses a batch of none before it calls; the operators take it.
        ext = sys.modules['mmcv._ext']
        features, offset, mask, weight, bias = (each.detach() for each in random_inputs(CASES[0], batch=0))
        output, scratch = torch.zeros(0, 4, 3, 3, dtype=torch.float64), features.new_empty(0)
        moves = dict(kW=3, kH=2, dW=1, dH=1, padW=0, padH=0, dilationW=1, dilationH=1, group=1, deformable_group=1,
                     im2col_step=1)
        ext.deform_conv_forward(features, weight, offset, output, scratch, scratch, **moves)
        gradient = torch.zeros_like(weight)
        ext.deform_conv_backward_parameters(features, offset, output, gradient, scratch, scratch, scale=1, **moves)
        assert gradient.eq(0).all()
