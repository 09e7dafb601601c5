"""A perceptron of one number, evaluated as the piecewise-linear map that it is."""

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable


def scalar_perceptron(x: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    """``weight2 @ relu(weight1 * x + bias1) + bias2`` for every value of ``x``, without the hidden layer.

    A hidden layer of h numbers for every value would take h times the memory of the features. The map is linear
    between the at most h points where a hidden unit switches, so slope and intercept of each piece say it all: a
    value needs one search among the switching points and one multiplication, and the gradients of the weights need
    the sums of the incoming gradient, and of its product with ``x``, over the pieces.

    Args:
        x: Values, float, any shape.
        weight1: (h, 1) weights of the hidden layer.
        bias1: (h,) its biases.
        weight2: (1, h) weights of the output.
        bias2: (1,) its bias.

    Returns:
        A tensor in the shape and dtype of ``x``. It can be differentiated once.
    """
    return _ScalarPerceptron.apply(x, weight1, bias1, weight2, bias2)


class _ScalarPerceptron(Function):

    @staticmethod
    def forward(ctx, x: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
        knots, active = _pieces(weight1.double().flatten(), bias1.double())
        slopes = (active * (weight2.double() * weight1.double().T)).sum(1)
        intercepts = (active * (weight2.double() * bias1.double())).sum(1) + bias2.double()
        # Half precision is widened: its values lie too far apart to tell pieces from each other.
        values = (x if x.dtype == torch.float64 else x.float()).contiguous()
        piece = torch.bucketize(values, knots.to(values.dtype), out_int32=True)
        result = _look_up(intercepts, piece, values.dtype).addcmul_(_look_up(slopes, piece, values.dtype), values)
        ctx.save_for_backward(values, piece, slopes, active, weight1, bias1, weight2)
        ctx.dtype = x.dtype
        return result.to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        values, piece, slopes, active, weight1, bias1, weight2 = ctx.saved_tensors
        grad = grad.to(values.dtype).contiguous()
        grad_x = (grad * _look_up(slopes, piece, values.dtype)).to(ctx.dtype) if ctx.needs_input_grad[0] else None
        by_unit = active.T.double()
        sums = (by_unit * _sum_by_piece(grad, piece, len(active))).sum(1)
        moments = (by_unit * _sum_by_piece(grad * values, piece, len(active))).sum(1)
        outer, inner, shift = weight2.double().flatten(), weight1.double().flatten(), bias1.double()
        return (grad_x, (outer * moments).to(weight1.dtype).view_as(weight1), (outer * sums).to(bias1.dtype),
                (inner * moments + shift * sums).to(weight2.dtype).view_as(weight2),
                grad.sum(dtype=torch.float64).to(weight2.dtype).view(1))


def _pieces(weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Switching points (h,) in ascending order, and which of the h units is active on each of the h + 1 pieces."""
    constant = weight == 0
    switch = torch.where(constant, torch.inf, -bias / weight)
    knots, order = switch.sort()
    rank = order.argsort()
    beyond = torch.arange(len(knots) + 1, device=weight.device)[:, None] > rank
    active = torch.where(constant, bias > 0, torch.where(weight > 0, beyond, ~beyond))
    return knots, active


def _look_up(table: Tensor, piece: Tensor, dtype: torch.dtype) -> Tensor:
    return table.to(dtype).index_select(0, piece.flatten()).view(piece.shape)


def _sum_by_piece(x: Tensor, piece: Tensor, count: int) -> Tensor:
    """Sum the entries of each piece in double precision: single precision would lose small ones among many."""
    return x.new_zeros(count, dtype=torch.float64).index_add_(0, piece.flatten(), x.flatten().double())
