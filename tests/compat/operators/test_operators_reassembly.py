"""CARAFE, convolution at masked places, BorderAlign and synchronized batch normalization, against definitions."""
import numpy as np
import plain_operators as plain
import pytest
import torch
from mmcv.ops.sync_bn import SyncBatchNormFunction
from torch.autograd import gradcheck
from torch.nn.functional import batch_norm

import bafenet  # noqa: F401

# isort: split
from mmcv import ops

HALVES = [torch.float16, torch.bfloat16]


def random_tensor(seed, shape, dtype=torch.float64):
    return torch.tensor(np.random.default_rng(seed).normal(0, 1, shape)).to(dtype).requires_grad_()


class TestCARAFE:

    @pytest.mark.parametrize(('kernel', 'groups', 'factor'), [(3, 1, 2), (5, 2, 1), (1, 4, 3), (3, 2, 2)])
    def test_equals_definition_and_finite_differences(self, kernel, groups, factor):
        features = random_tensor(0, (2, 4, 2, 3))
        masks = random_tensor(1, (2, groups * kernel**2, 2 * factor, 3 * factor))
        expected = plain.carafe(features.detach().numpy(), masks.detach().numpy(), kernel, groups, factor)
        for operator in (ops.carafe, ops.carafe_naive):
            output = operator(features, masks, kernel, groups, factor)
            np.testing.assert_allclose(output.detach(), expected, atol=1e-12)
        assert gradcheck(lambda *inputs: ops.carafe(*inputs, kernel, groups, factor), (features, masks))

    @pytest.mark.parametrize('dtype', HALVES)
    def test_layer_under_autocast_and_half_precision(self, dtype):
        torch.manual_seed(0)
        layer, features = ops.CARAFEPack(4, 2, compressed_channels=4), random_tensor(0, (2, 4, 3, 3), torch.float32)
        with torch.autocast('cpu', dtype=dtype):
            output = layer(features)
        output.float().square().sum().backward()
        assert output.shape == (2, 4, 6, 6)
        assert all(parameter.grad.isfinite().all() for parameter in layer.parameters())
        masks = random_tensor(1, (2, 9, 6, 6), dtype)
        output = ops.carafe(features.detach().to(dtype), masks, 3, 1, 2)
        expected = plain.carafe(features.detach().to(dtype).double().numpy(), masks.detach().double().numpy(), 3, 1, 2)
        np.testing.assert_allclose(output.detach().double(), expected, rtol=torch.finfo(dtype).eps, atol=1e-5)

    def test_without_images(self):
        features, masks = torch.zeros(0, 4, 2, 3, requires_grad=True), torch.zeros(0, 9, 4, 6, requires_grad=True)
        output = ops.carafe(features, masks, 3, 1, 2)
        output.sum().backward()
        assert output.shape == (0, 4, 4, 6)


class TestMaskedConv:

    @pytest.mark.parametrize(('kernel', 'padding'), [(3, 1), ((1, 3), (0, 1)), (5, 2)])
    @pytest.mark.parametrize('share', [0, 0.5, 1])
    def test_is_the_convolution_where_the_mask_is_set_and_0_elsewhere(self, kernel, padding, share):
        torch.manual_seed(0)
        layer, features = ops.MaskedConv2d(3, 2, kernel, padding=padding), torch.randn(1, 3, 5, 6)
        mask = (torch.rand(1, 5, 6) < share).float()
        with torch.no_grad():
            torch.testing.assert_close(layer(features, mask), layer(features) * mask)

    @pytest.mark.parametrize('dtype', HALVES)
    def test_half_precision(self, dtype):
        torch.manual_seed(0)
        layer, features = ops.MaskedConv2d(3, 2, 3, padding=1).to(dtype), torch.randn(1, 3, 5, 6, dtype=dtype)
        with torch.no_grad():
            output = layer(features, torch.ones(1, 5, 6))
            torch.testing.assert_close(output, layer(features), rtol=8 * torch.finfo(dtype).eps, atol=0.01)
        assert output.dtype == dtype


class TestBorderAlign:
    BOXES = torch.tensor([[[1.2, 1.1, 4.3, 3.2], [-3, 2, 3, 9], [2, 2, 2, 2]]], dtype=torch.float64).repeat(2, 1, 1)

    @pytest.mark.parametrize('steps', [1, 4])
    def test_equals_definition_and_finite_differences(self, steps):
        features = random_tensor(0, (2, 8, 4, 5))
        output = ops.BorderAlign(steps)(features, self.BOXES)
        np.testing.assert_allclose(output.detach(), plain.border_align(features.detach().numpy(), self.BOXES.numpy(),
                                                                       steps), atol=1e-12)
        assert gradcheck(lambda x: ops.border_align(x, self.BOXES, steps), features)

    @pytest.mark.parametrize('dtype', HALVES)
    def test_half_precision(self, dtype):
        features, boxes = random_tensor(0, (2, 8, 4, 5), dtype), self.BOXES.to(dtype)
        output = ops.border_align(features, boxes, 4)
        output.float().sum().backward()
        expected = plain.border_align(features.detach().double().numpy(), boxes.double().numpy(), 4)
        assert output.dtype == features.grad.dtype == dtype
        np.testing.assert_allclose(output.detach().double(), expected, rtol=torch.finfo(dtype).eps, atol=1e-5)

    def test_without_boxes(self):
        features = torch.zeros(2, 8, 4, 5, requires_grad=True)
        output = ops.border_align(features, torch.zeros(2, 0, 4), 4)
        output.sum().backward()
        assert output.shape == (2, 2, 0, 4)


class TestSyncBatchNorm:

    @pytest.mark.parametrize('mode', ['default', 'N'])
    @pytest.mark.parametrize('dtype', [torch.float32, torch.float16])
    def test_equals_batch_normalization(self, mode, dtype):
        features = random_tensor(0, (3, 4, 2, 5), dtype)
        weight, bias = (random_tensor(seed, (4, ), torch.float32) for seed in (1, 2))
        means, variances = [torch.zeros(4), torch.zeros(4)], [torch.ones(4), torch.ones(4)]
        output = SyncBatchNormFunction.apply(features, means[0], variances[0], weight, bias, 0.3, 1e-5, 0, 1, mode)
        factor = random_tensor(3, output.shape, torch.float32).detach()
        found = torch.autograd.grad((output * factor).sum(), (features, weight, bias))
        wide = features.detach().float().requires_grad_()
        expected = batch_norm(wide, means[1], variances[1], weight, bias, True, 0.3, 1e-5)
        gradients = torch.autograd.grad((expected * factor).sum(), (wide, weight, bias))
        tolerance = dict(rtol=2e-3, atol=2e-3) if dtype == torch.float16 else dict(rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(output, expected.to(dtype), **tolerance)
        torch.testing.assert_close(means[0], means[1])
        torch.testing.assert_close(variances[0], variances[1])
        for ours, theirs in zip(found, gradients, strict=True):
            torch.testing.assert_close(ours.float(), theirs, **tolerance)

    def test_without_regions_nothing_moves(self):
        features, weight = torch.zeros(0, 4, 7, 7, requires_grad=True), torch.ones(4, requires_grad=True)
        mean, variance = torch.full((4, ), 5.), torch.full((4, ), 6.)
        output = SyncBatchNormFunction.apply(features, mean, variance, weight, torch.zeros(4), 0.3, 1e-5, 0, 1, 'N')
        output.sum().backward()
        assert output.shape == features.grad.shape == (0, 4, 7, 7)
        assert mean.eq(5).all()
        assert variance.eq(6).all()
        assert weight.grad.eq(0).all()
