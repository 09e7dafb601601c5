"""RoIAlign, RoIPool and deformable RoI pooling against plain statements of their definitions."""
import numpy as np
import plain_operators as plain
import pytest
import torch
from torch.autograd import gradcheck

from bafenet.compat.operators import roi_pooling, roi_samples
from bafenet.errors import InputError

# isort: split
from mmcv import ops

BINS = (3, 2)
SCALE = 0.5
# Inside, over an edge and larger than the frame, less than a pixel, one that ends at the frame's corner, none of it.
ROIS = torch.tensor([[0, 1.3, 0.7, 8.9, 7.1], [1, -3, -2, 20, 30], [1, 2.2, 3.1, 2.9, 3.4], [0, 7.5, 6, 11, 9],
                     [0, 30, 30, 40, 40]], dtype=torch.float64)
# half precision: the values' own rounding, for inputs of about 2.
HALF = {torch.float16: 2**-10, torch.bfloat16: 2**-7}


def random_features(seed=0, shape=(2, 3, 5, 6)):
    return torch.tensor(np.random.default_rng(seed).normal(0, 1, shape))


def random_offsets(seed=1):
    return torch.tensor(np.random.default_rng(seed).normal(0, 1, (len(ROIS), 2, *BINS)))


@pytest.mark.parametrize('mode', ['avg', 'max'])
@pytest.mark.parametrize('aligned', [False, True])
@pytest.mark.parametrize('ratio', [0, 2])
class TestRoIAlign:

    def test_equals_definition_and_finite_differences(self, mode, aligned, ratio):
        features = random_features().requires_grad_()
        output = ops.RoIAlign(BINS, SCALE, ratio, mode, aligned)(features, ROIS)
        expected = plain.roi_align(features.detach().numpy(), ROIS.numpy(), BINS, SCALE, ratio, mode, aligned)
        np.testing.assert_allclose(output.detach(), expected, atol=1e-12)
        assert gradcheck(lambda x: ops.roi_align(x, ROIS, BINS, SCALE, ratio, mode, aligned), features)

    @pytest.mark.parametrize('dtype', HALF)
    def test_half_precision(self, mode, aligned, ratio, dtype):
        features, rois = random_features().to(dtype).requires_grad_(), ROIS.to(dtype)
        with torch.autocast('cpu', dtype=torch.bfloat16):
            output = ops.roi_align(features, rois, BINS, SCALE, ratio, mode, aligned)
        output.float().sum().backward()
        expected = plain.roi_align(features.detach().double().numpy(), rois.double().numpy(), BINS, SCALE, ratio, mode,
                                   aligned)
        assert output.dtype == features.grad.dtype == dtype
        np.testing.assert_allclose(output.detach().double(), expected, atol=HALF[dtype], rtol=HALF[dtype])

    def test_a_gradient_that_can_be_repeated_is_the_same(self, mode, aligned, ratio, monkeypatch):
        grads = []
        for repeated in (False, True):
            monkeypatch.setattr(roi_pooling, 'must_repeat', lambda tensor, repeated=repeated: repeated)
            features = random_features().requires_grad_()
            ops.roi_align(features, ROIS, BINS, SCALE, ratio, mode, aligned).square().sum().backward()
            grads.append(features.grad)
        torch.testing.assert_close(*grads)

    @pytest.mark.parametrize('images', [0, 2])
    def test_without_boxes(self, mode, aligned, ratio, images):
        features = torch.zeros(images, 3, 5, 6, requires_grad=True)
        output = ops.roi_align(features, torch.zeros(0, 5), BINS, SCALE, ratio, mode, aligned)
        output.sum().backward()
        assert output.shape == (0, 3, *BINS)
        assert features.grad.eq(0).all()


class TestRoIAlignRules:

    def test_a_point_a_pixel_beyond_the_first_centre_counts_and_no_further(self):
        features = torch.ones(1, 1, 4, 4)
        rois = torch.tensor([[0, x - 0.5, 1., x + 0.5, 2.] for x in (-1., -1.01, 4., 4.01)])
        output = ops.roi_align(features, rois, 1, 1., 1, 'avg', False)
        assert output.flatten().tolist() == [1, 0, 1, 0]

    def test_equal_samples_the_first_gets_the_gradient(self):
        features = torch.zeros(1, 1, 4, 4, requires_grad=True)
        ops.roi_align(features, torch.tensor([[0, 0., 0, 4, 4]]), 1, 1., 0, 'max', True).sum().backward()
        assert features.grad.flatten().tolist() == [1, *[0] * 15]

    def test_a_box_without_area(self):
        rois = torch.tensor([[0, 2., 2, 2, 2]])
        assert ops.roi_align(torch.ones(1, 1, 4, 4), rois, 1, 1., 0, 'avg', True).item() == 0
        assert ops.roi_align(torch.ones(1, 1, 4, 4), rois, 1, 1., 1, 'avg', True).item() == 1
        assert ops.roi_align(torch.ones(1, 1, 4, 4), rois, 1, 1., 0, 'avg', False).item() == 1
        features = torch.ones(1, 1, 4, 4, requires_grad=True)
        ops.roi_align(features, rois, 1, 1., 0, 'max', True).sum().backward()
        assert features.grad.eq(0).all()

    def test_a_box_turned_round_is_refused(self):
        with pytest.raises(InputError, match='x2 < x1 or y2 < y1'):
            ops.roi_align(torch.ones(1, 1, 4, 4), torch.tensor([[0, 3., 0, 1, 2]]), 2)

    def test_many_regions_in_parts_are_the_same(self, monkeypatch):
        whole = [ops.roi_align(random_features(), ROIS, BINS, SCALE, 0, 'max'),
                 ops.roi_pool(random_features(), ROIS, BINS, SCALE),
                 ops.deform_roi_pool(random_features(), ROIS, random_offsets(), BINS, SCALE)]
        monkeypatch.setattr(roi_samples, '_AT_ONCE', 1)
        parts = [ops.roi_align(random_features(), ROIS, BINS, SCALE, 0, 'max'),
                 ops.roi_pool(random_features(), ROIS, BINS, SCALE),
                 ops.deform_roi_pool(random_features(), ROIS, random_offsets(), BINS, SCALE)]
        assert all(torch.equal(*pair) for pair in zip(whole, parts, strict=True))


class TestRoIPool:

    @pytest.mark.parametrize('scale', [1., 0.5, 0.3])
    def test_equals_definition_and_finite_differences(self, scale):
        features = random_features().requires_grad_()
        output = ops.RoIPool(BINS, scale)(features, ROIS)
        np.testing.assert_array_equal(output.detach(), plain.roi_pool(features.detach().numpy(), ROIS.numpy(), BINS,
                                                                      scale))
        assert gradcheck(lambda x: ops.roi_pool(x, ROIS, BINS, scale), features)

    def test_regions_end_behind_their_last_pixel(self):
        features = torch.arange(16.).view(1, 1, 4, 4)
        assert ops.roi_pool(features, torch.tensor([[0, 0., 0, 1, 1]]), 1).item() == 5
        # torchvision's rounds the corner to 1 and gives 5.
        assert ops.roi_pool(features, torch.tensor([[0, 0., 0, 1.2, 1.2]]), 1).item() == 10

    def test_a_box_without_area_gives_nothing_and_gets_nothing(self):
        features = torch.ones(1, 1, 4, 4, requires_grad=True)
        output = ops.roi_pool(features, torch.tensor([[0, 2., 0, 1, 3], [0, 0, 3, 3, 1.5]]), 2)
        output.sum().backward()
        assert output.eq(0).all()
        assert features.grad.eq(0).all()

    def test_equal_pixels_the_first_gets_the_gradient(self):
        features = torch.zeros(1, 1, 4, 4, requires_grad=True)
        ops.roi_pool(features, torch.tensor([[0, 1., 1, 2, 2]]), 1).sum().backward()
        assert features.grad.nonzero().tolist() == [[0, 0, 1, 1]]

    @pytest.mark.parametrize('dtype', HALF)
    def test_half_precision(self, dtype):
        features = random_features().to(dtype).requires_grad_()
        output = ops.roi_pool(features, ROIS.to(dtype), BINS, SCALE)
        output.float().sum().backward()
        expected = plain.roi_pool(features.detach().double().numpy(), ROIS.to(dtype).double().numpy(), BINS, SCALE)
        assert output.dtype == features.grad.dtype == dtype
        np.testing.assert_array_equal(output.detach().double(), expected)

    def test_without_boxes(self):
        features = torch.zeros(2, 3, 5, 6, requires_grad=True)
        output = ops.roi_pool(features, torch.zeros(0, 5), BINS)
        output.sum().backward()
        assert output.shape == (0, 3, *BINS)


class TestDeformRoIPool:

    @pytest.mark.parametrize('ratio', [0, 2])
    def test_equals_definition_and_finite_differences(self, ratio):
        features, offset = random_features().requires_grad_(), random_offsets().requires_grad_()
        output = ops.deform_roi_pool(features, ROIS, offset, BINS, SCALE, ratio, 0.1)
        shifts = 0.1 * offset.detach().numpy()
        expected = plain.roi_align(features.detach().numpy(), ROIS.numpy(), BINS, SCALE, ratio, 'avg', True, shifts)
        np.testing.assert_allclose(output.detach(), expected, atol=1e-12)
        assert gradcheck(lambda x, moves: ops.deform_roi_pool(x, ROIS, moves, BINS, SCALE, ratio, 0.1),
                         (features, offset))

    def test_without_offsets_it_is_roi_align(self):
        output = ops.deform_roi_pool(random_features(), ROIS, None, BINS, SCALE, 0, 0.1)
        torch.testing.assert_close(output, ops.roi_align(random_features(), ROIS, BINS, SCALE, 0, 'avg', True))

    @pytest.mark.parametrize('layer', [ops.DeformRoIPoolPack, ops.ModulatedDeformRoIPoolPack])
    def test_layers_of_mmdet_configs_learn(self, layer):
        torch.manual_seed(0)
        pool, features = layer(BINS, 3, 8, SCALE), random_features().float().requires_grad_()
        with torch.autocast('cpu', dtype=torch.bfloat16):
            output = pool(features, ROIS.float())
        output.float().square().sum().backward()
        assert output.shape == (len(ROIS), 3, *BINS)
        assert all(parameter.grad.isfinite().all() for parameter in pool.parameters())
        assert pool.offset_fc[-1].weight.grad.any()

    def test_without_boxes(self):
        features, offset = torch.zeros(2, 3, 5, 6, requires_grad=True), torch.zeros(0, 2, *BINS, requires_grad=True)
        output = ops.deform_roi_pool(features, torch.zeros(0, 5), offset, BINS)
        output.sum().backward()
        assert output.shape == (0, 3, *BINS)
        assert features.grad.eq(0).all()
