"""Soft-IoU and the losses of sets of negatives, from the paper's equations."""
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS

from bafenet.errors import InputError


def build(kind, **settings):
    return MODELS.build(dict(type=kind, **settings))


def batch(count, seed=0, ignored=True):
    rng = np.random.default_rng(seed)
    masks = (rng.random((count, 1, 5, 6)) < 0.2).astype(np.uint8)
    if ignored:
        masks[rng.random(masks.shape) < 0.1] = 255
    return rng.normal(size=masks.shape), masks


def soft_iou(logits, mask, smooth=1.0):
    """Eq. 8 of the pixels that count, in a plain loop."""
    both = either = 0.0
    for x, y in zip(np.ravel(logits), np.ravel(mask), strict=True):
        if y != 255:
            p = 1 / (1 + np.exp(-x))
            both, either = both + p * y, either + p + y - p * y
    return 1 - (both + smooth) / (either + smooth)


def tensors(*arrays):
    return tuple(torch.from_numpy(np.asarray(array)) for array in arrays)


def descent(losses):
    """Algorithm 2 as it is written, with L_0 where no term descends."""
    result = losses[0]
    for i in range(1, len(losses)):
        if losses[i] < losses[i - 1]:
            result = losses[i]
    return result


@pytest.mark.parametrize('smooth', [1.0, 0.01])
def test_soft_iou_of_each_frame_of_all_and_of_a_batch(smooth):
    logits, masks = batch(4)
    each = [soft_iou(x, y, smooth) for x, y in zip(logits, masks, strict=True)]
    loss = build('SoftIoULoss', smooth=smooth, loss_weight=2.0)
    given = tensors(logits, masks)
    assert loss(*given).item() == pytest.approx(2 * soft_iou(logits, masks, smooth), rel=1e-5)
    assert loss(*given, reduction_override='mean').item() == pytest.approx(2 * np.mean(each), rel=1e-5)
    np.testing.assert_allclose(loss(*given, reduction_override='none'), 2 * np.array(each), rtol=1e-5)


def test_soft_iou_ends():
    loss = build('SoftIoULoss', reduction='none')
    masks = torch.zeros(3, 1, 4, 4, dtype=torch.uint8)
    masks[1:, :, 1:3, 1:3] = 1
    sure = 100 * (masks.float() * 2 - 1)
    sure[2] *= -1
    # Nothing where nothing is, all found, all wrong: the union is 16 pixels.
    np.testing.assert_allclose(loss(sure, masks), [0, 0, 1 - 1 / 17], atol=1e-6)
    assert loss(sure.bfloat16(), masks).dtype == torch.float32
    masks[:] = 255
    np.testing.assert_allclose(loss(sure, masks), 0, atol=1e-6)


@pytest.mark.parametrize('reduction', ['batch', 'mean'])
def test_gradients_of_soft_iou(reduction):
    logits, masks = (value[..., :3, :3] for value in tensors(*batch(2)))
    loss = build('SoftIoULoss', reduction=reduction)
    logits = (5 * logits).float().requires_grad_()
    loss(logits, masks).backward()
    step, known = 1e-4, logits.detach().double().numpy()
    for place in np.ndindex(known.shape):
        sides = []
        for sign in (1, -1):
            moved = known.copy()
            moved[place] += sign * step
            sides.append(soft_iou(moved, masks.numpy()) if reduction == 'batch' else
                         np.mean([soft_iou(x, y) for x, y in zip(moved, masks.numpy(), strict=True)]))
        assert logits.grad[place].item() == pytest.approx((sides[0] - sides[1]) / (2 * step), abs=2e-6)


def test_equation_9_is_the_mean_over_terms_and_sets():
    logits, masks = batch(8)
    sets = np.array([0, 1, 0, 1, 1, 0, 0, 0])  # in any order
    each = np.array([soft_iou(x, y) for x, y in zip(logits, masks, strict=True)])
    expected = np.mean([each[sets == one].mean() for one in (0, 1)])
    loss = build('NegativeSetLoss', loss_weight=5.0)
    assert loss(*tensors(logits, masks, sets)).item() == pytest.approx(5 * expected, rel=1e-5)


def test_weights_of_the_terms():
    logits, masks = batch(5)
    weights = [4, 1, 0, 2, 0.5]
    each = [soft_iou(x, y) for x, y in zip(logits, masks, strict=True)]
    loss = build('NegativeSetLoss', weights=weights)
    given = tensors(logits, masks, np.zeros(5, int))
    assert loss(*given).item() == pytest.approx(np.average(each, weights=weights), rel=1e-5)
    with pytest.raises(InputError, match='a set has 5 frames and there are 4 weights'):
        build('NegativeSetLoss', weights=weights[:4])(*given)


@pytest.mark.parametrize('seed', range(6))
def test_algorithm_2_is_the_plain_loop(seed):
    logits, masks = batch(12, seed)
    sets = np.random.default_rng(seed).permutation([0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 3])
    each = np.array([soft_iou(x, y) for x, y in zip(logits, masks, strict=True)])
    expected = np.mean([descent(each[sets == one]) for one in range(4)])
    loss = build('NegativeSetLoss', reduction='descent')
    logits, masks, sets = tensors(logits, masks, sets)
    logits.requires_grad_()
    result = loss(logits, masks, sets)
    assert result.item() == pytest.approx(expected, rel=1e-5)
    result.backward()
    # One frame of each set is learnt from.
    assert int(logits.grad.flatten(1).any(1).sum()) == 4


@pytest.mark.parametrize(('scale', 'learnt'), [((1, 2, 3, 4, 5), 0), ((5, 4, 3, 2, 1), 4), ((3, 2, 5, 4, 6), 3)])
def test_algorithm_2_takes_the_last_term_that_descends(scale, learnt):
    masks = torch.ones(5, 1, 4, 4, dtype=torch.uint8)
    logits = -torch.tensor(scale, dtype=torch.float32)[:, None, None, None].repeat(1, 1, 4, 4)
    logits.requires_grad_()
    build('NegativeSetLoss', reduction='descent')(logits, masks, torch.zeros(5, dtype=torch.int64)).backward()
    assert logits.grad.flatten(1).any(1).nonzero().flatten().tolist() == [learnt]
