"""The focal losses and their gradients against plain NumPy statements of their definitions."""
import numpy as np
import pytest
import torch

from bafenet.compat.operators import focal_loss as operators

# isort: split
from mmcv import ops

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason='needs CUDA')


def focal_loss(logits, target, gamma, alpha, weight=None):
    """-α_t (1 - p_t)^γ log(p_t), (N, C); background is class C."""
    loss = np.zeros(logits.shape)
    for row, column in np.ndindex(*logits.shape):
        probability = 1 / (1 + np.exp(-logits[row, column]))
        if target[row] == column:
            loss[row, column] = -alpha * (1 - probability)**gamma * np.log(probability)
        else:
            loss[row, column] = -(1 - alpha) * probability**gamma * np.log(1 - probability)
        if weight is not None and target[row] < logits.shape[1]:
            loss[row, column] *= weight[target[row]]
    return loss


def random_logits(seed, rows=12, classes=3):
    """Logits (N, C), and targets (N,) of every class, background included."""
    generator = np.random.default_rng(seed)
    return torch.tensor(generator.normal(0, 3, (rows, classes))), torch.arange(rows) % (classes + 1)


class TestSigmoidFocalLoss:

    @pytest.mark.parametrize(('gamma', 'alpha'), [(2., 0.25), (0., 0.5), (0.5, 0.7), (3., 1.)])
    @pytest.mark.parametrize('classes', [1, 3])
    def test_equals_definition(self, gamma, alpha, classes):
        logits, target = random_logits(12, classes=classes)
        loss = ops.sigmoid_focal_loss(logits, target, gamma, alpha, None, 'none')
        np.testing.assert_allclose(loss, focal_loss(logits.numpy(), target.numpy(), gamma, alpha), rtol=1e-9)

    @pytest.mark.parametrize('reduction', ['none', 'mean', 'sum'])
    @pytest.mark.parametrize('weighted', [False, True])
    def test_reductions_and_weight(self, reduction, weighted):
        logits, target = random_logits(13)
        weight = torch.tensor([0.5, 2., 3.], dtype=torch.float64) if weighted else None
        loss = ops.SigmoidFocalLoss(2., 0.25, weight, reduction)(logits, target)
        expected = focal_loss(logits.numpy(), target.numpy(), 2., 0.25, weight)
        # mmcv's mean is over the rows, as the normaliser is the number of samples.
        expected = {'none': expected, 'mean': expected.sum() / len(logits), 'sum': expected.sum()}[reduction]
        np.testing.assert_allclose(loss, expected, rtol=1e-9)

    def test_background_is_negative_in_all_classes(self):
        logits, _ = random_logits(14)
        loss = ops.sigmoid_focal_loss(logits, torch.full((len(logits), ), 3), 2., 0.25, None, 'none')
        probability = logits.sigmoid()
        torch.testing.assert_close(loss, -0.75 * probability**2 * torch.log(1 - probability))

    @pytest.mark.parametrize('reduction', ['none', 'mean', 'sum'])
    @pytest.mark.parametrize(('gamma', 'alpha'), [(2., 0.25), (0., 0.5), (0.5, 0.7)])
    @pytest.mark.parametrize('weighted', [False, True])
    def test_gradient_equals_finite_differences(self, reduction, gamma, alpha, weighted):
        logits, target = random_logits(15)
        weight = torch.tensor([0.5, 2., 3.], dtype=torch.float64) if weighted else None
        assert torch.autograd.gradcheck(
            lambda x: ops.sigmoid_focal_loss(x, target, gamma, alpha, weight, reduction), logits.requires_grad_())

    def test_backward_operator_is_derivative_of_definition(self):
        logits, target = random_logits(16)
        gradient, step = torch.zeros_like(logits), 1e-5
        operators.sigmoid_focal_loss_backward(logits, target, logits.new_empty(0), gradient, gamma=2., alpha=0.25)
        above, below = (focal_loss(logits.numpy() + side, target.numpy(), 2., 0.25) for side in (step, -step))
        np.testing.assert_allclose(gradient, (above - below) / (2 * step), atol=1e-8)

    def test_extreme_logits(self):
        logits = torch.tensor([[-200.], [200.], [-200.], [200.]], requires_grad=True)
        target = torch.tensor([0, 0, 1, 1])
        loss = ops.sigmoid_focal_loss(logits, target, 0.5, 0.25, None, 'none')
        loss.sum().backward()
        torch.testing.assert_close(loss.detach().flatten(), torch.tensor([0.25 * 200, 0, 0, 0.75 * 200]))
        torch.testing.assert_close(logits.grad.flatten(), torch.tensor([-0.25, 0, 0, 0.75]))

    def test_empty(self):
        logits = torch.zeros(0, 3, requires_grad=True)
        loss = ops.sigmoid_focal_loss(logits, torch.zeros(0, dtype=torch.long), 2., 0.25, None, 'sum')
        loss.backward()
        assert loss.item() == 0
        assert logits.grad.shape == (0, 3)

    # The tolerance is half a unit in the last place: computed in float32 and rounded once.
    @pytest.mark.parametrize(('dtype', 'tolerance'), [(torch.float16, 2**-11), (torch.bfloat16, 2**-8)])
    def test_autocast(self, dtype, tolerance):
        torch.manual_seed(0)
        features, target = torch.randn(16, 8), torch.arange(16) % 4
        layer = torch.nn.Linear(8, 3)
        with torch.autocast('cpu', dtype=dtype):
            logits = layer(4 * features)
            logits.retain_grad()
            loss = ops.sigmoid_focal_loss(logits, target, 2., 0.25, None, 'none')
        loss.float().sum().backward()
        assert logits.dtype == loss.dtype == logits.grad.dtype == dtype
        seen, step = logits.detach().double().numpy(), 1e-5
        expected = focal_loss(seen, target.numpy(), 2., 0.25)
        np.testing.assert_allclose(loss.detach().double(), expected, rtol=1.01 * tolerance, atol=5e-8)
        above, below = (focal_loss(seen + side, target.numpy(), 2., 0.25) for side in (step, -step))
        np.testing.assert_allclose(logits.grad.double(), (above - below) / (2 * step), rtol=1.01 * tolerance, atol=5e-8)
        assert layer.weight.grad.isfinite().all()

    @needs_cuda
    @pytest.mark.parametrize('dtype', [torch.float16, torch.float32, torch.float64])
    def test_cuda_equals_cpu(self, dtype):
        logits, target = random_logits(17, 200)
        results = []
        for device in ('cpu', 'cuda'):
            leaf = logits.detach().clone().to(device, dtype).requires_grad_()
            loss = ops.sigmoid_focal_loss(leaf, target.to(device), 2., 0.25, None, 'none')
            loss.sum().backward()
            results.append((loss.detach().cpu(), leaf.grad.cpu()))
        torch.testing.assert_close(results[1], results[0])

    @needs_cuda
    def test_autocast_on_cuda(self):
        logits, target = random_logits(18, 200)
        leaf = logits.float().cuda().requires_grad_()
        with torch.autocast('cuda', dtype=torch.float16):
            half = leaf @ torch.eye(3, device='cuda')
            loss = ops.sigmoid_focal_loss(half, target.cuda(), 2., 0.25, None, 'none')
        loss.float().sum().backward()
        assert half.dtype == torch.float16
        expected = focal_loss(half.detach().double().cpu().numpy(), target.numpy(), 2., 0.25)
        np.testing.assert_allclose(loss.detach().double().cpu(), expected, rtol=2e-3, atol=2e-5)
        assert leaf.grad.isfinite().all()


def softmax_focal_loss(logits, target, gamma, alpha, weight=None):
    """-α (1 - p)^γ log(p) of each row's class, (N, )."""
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    own = np.take_along_axis(shares, target[:, None], axis=1)[:, 0]
    return -alpha * (1 - own)**gamma * np.log(own) * (1 if weight is None else weight[target])


class TestSoftmaxFocalLoss:

    @pytest.mark.parametrize('reduction', ['none', 'mean', 'sum'])
    @pytest.mark.parametrize(('gamma', 'alpha'), [(2., 0.25), (0., 0.5), (0.5, 0.7)])
    @pytest.mark.parametrize('weighted', [False, True])
    def test_equals_definition_and_finite_differences(self, reduction, gamma, alpha, weighted):
        logits, target = random_logits(19)
        target = target % 3
        weight = torch.tensor([0.5, 2., 3.], dtype=torch.float64) if weighted else None
        loss = ops.SoftmaxFocalLoss(gamma, alpha, weight, reduction)(logits, target)
        expected = softmax_focal_loss(logits.numpy(), target.numpy(), gamma, alpha,
                                      None if weight is None else weight.numpy())
        expected = {'none': expected, 'mean': expected.mean(), 'sum': expected.sum()}[reduction]
        np.testing.assert_allclose(loss, expected, rtol=1e-9)
        if reduction != 'none':  # mmcv's own code multiplies (N, C) by (N, ) then
            assert torch.autograd.gradcheck(
                lambda x: ops.softmax_focal_loss(x, target, gamma, alpha, weight, reduction), logits.requires_grad_())

    @pytest.mark.parametrize('gamma', [0., 0.5, 2.])
    def test_certain_rows_have_finite_losses_and_gradients(self, gamma):
        logits = torch.tensor([[200., 0], [200, 0]], requires_grad=True)
        loss = ops.softmax_focal_loss(logits, torch.tensor([0, 1]), gamma, 1., None, 'sum')
        loss.backward()
        assert loss.isfinite()
        assert logits.grad.isfinite().all()
        assert logits.grad[0].eq(0).all()

    def test_a_row_without_a_class_has_no_loss(self):
        logits = torch.zeros(2, 3, requires_grad=True)
        weight = torch.tensor([1., 2, 3])
        loss = ops.softmax_focal_loss(logits, torch.tensor([-1, 1]), 2., 0.25, weight, 'sum')
        loss.backward()
        assert loss.item() == pytest.approx(2 * 0.25 * (2 / 3)**2 * np.log(3))
        assert logits.grad[0].eq(0).all()

    @pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
    def test_half_precision(self, dtype):
        shares = torch.tensor([[0.25, 0.75], [0.5, 0.5]], dtype=dtype)
        losses, factors, gradient = shares.new_zeros(2), shares.new_zeros(2), torch.zeros_like(shares)
        target, none = torch.tensor([0, 1]), shares.new_empty(0)
        operators.softmax_focal_loss_forward(shares, target, none, losses, 2., 1.)
        operators.softmax_focal_loss_backward(shares, target, none, factors, gradient, 2., 1.)
        np.testing.assert_allclose(losses.double(), [0.75**2 * np.log(4), 0.25 * np.log(2)],
                                   rtol=torch.finfo(dtype).eps)
        assert gradient.isfinite().all()
