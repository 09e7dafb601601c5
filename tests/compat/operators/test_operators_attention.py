"""Multi-scale deformable attention against a plain statement of its definition."""
import numpy as np
import plain_operators as plain
import pytest
import torch
from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttnFunction, multi_scale_deformable_attn_pytorch
from torch.autograd import gradcheck

SHAPES = [(3, 4), (2, 1)]
LEVELS = torch.tensor(SHAPES), torch.tensor([0, 12])


def random_inputs(batch=2, queries=3, dtype=torch.float64):
    """Value, locations and attention; some points lie beyond the frame."""
    generator = np.random.default_rng(0)
    arrays = (generator.normal(0, 1, (batch, 14, 2, 3)), generator.uniform(-0.3, 1.3, (batch, queries, 2, 2, 2, 2)),
              generator.uniform(0, 1, (batch, queries, 2, 2, 2)))
    return [torch.tensor(array).to(dtype).requires_grad_() for array in arrays]


def attend(value, locations, attention):
    return MultiScaleDeformableAttnFunction.apply(value, *LEVELS, locations, attention, 64)


def test_equals_definition_and_finite_differences():
    inputs = random_inputs()
    value, locations, attention = (each.detach().numpy() for each in inputs)
    np.testing.assert_allclose(attend(*inputs).detach(), plain.deform_attention(value, SHAPES, locations, attention),
                               atol=1e-12)
    assert gradcheck(attend, inputs)


def test_equals_what_mmcv_computes_on_the_cpu():
    value, locations, attention = random_inputs()
    torch.testing.assert_close(attend(value, locations, attention),
                               multi_scale_deformable_attn_pytorch(value, LEVELS[0], locations, attention))


def test_points_on_the_zeros_around_the_frame_get_no_gradient():
    # At -1 in pixels of both levels: -0.5 / side.
    value, locations, attention = random_inputs(1, 1)
    sides = LEVELS[0].flip(1)[None, None, None, :, None].to(locations.dtype)
    locations = (-0.5 / sides).expand(locations.shape).clone().requires_grad_()
    output = attend(value, locations, attention)
    output.sum().backward()
    assert output.eq(0).all()
    assert locations.grad.eq(0).all()
    assert value.grad.eq(0).all()


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision(dtype):
    value, locations, attention = random_inputs(dtype=dtype)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        output = attend(value, locations, attention)
    output.float().sum().backward()
    expected = plain.deform_attention(value.detach().double().numpy(), SHAPES, locations.detach().double().numpy(),
                                      attention.detach().double().numpy())
    assert output.dtype == value.grad.dtype == locations.grad.dtype == attention.grad.dtype == dtype
    np.testing.assert_allclose(output.detach().double(), expected, rtol=torch.finfo(dtype).eps, atol=1e-5)


@pytest.mark.parametrize(('batch', 'queries'), [(0, 3), (2, 0)])
def test_empty(batch, queries):
    inputs = random_inputs(batch, queries)
    output = attend(*inputs)
    output.sum().backward()
    assert output.shape == (batch, queries, 6)
    assert all(each.grad.eq(0).all() for each in inputs)
