"""Assignment to anchors of tiny targets: by the normalised Wasserstein distance, and by receptive fields."""
import numpy as np
import pytest
import torch
from mmdet.registry import TASK_UTILS
from mmengine.structures import InstanceData
from scipy.linalg import sqrtm

from bafenet.errors import InputError


def random_boxes(count, seed):
    rng = np.random.default_rng(seed)
    start = rng.uniform(0, 40, (count, 2))
    return np.concatenate([start, start + rng.uniform(1, 9, (count, 2))], axis=1)


def plain(a, b, constant):
    """From means and covariance matrices of the Gaussians that stand for two boxes."""
    (m1, c1), (m2, c2) = (((box[:2] + box[2:]) / 2, np.diag((box[2:] - box[:2])**2 / 4)) for box in (a, b))
    root = sqrtm(c1)
    return np.exp(-np.sqrt(np.sum((m1 - m2)**2) + np.trace(c1 + c2 - 2 * sqrtm(root @ c2 @ root).real)) / constant)


@pytest.mark.parametrize('constant', [1.0, 3.7, 12.8])
def test_similarity_is_that_of_the_gaussians(constant):
    similarity = TASK_UTILS.build(dict(type='NormalisedWassersteinSimilarity', constant=constant))
    first, second = random_boxes(5, 0), random_boxes(5, 1)
    expected = np.array([[plain(a, b, constant) for b in second] for a in first])
    found = similarity(torch.tensor(first), torch.tensor(second[:4]))
    np.testing.assert_allclose(found, expected[:, :4], atol=1e-9)
    aligned = similarity(torch.tensor(first), torch.tensor(second), is_aligned=True)
    np.testing.assert_allclose(aligned, np.diag(expected), atol=1e-9)
    assert similarity(torch.zeros(0, 4), torch.tensor(second)).shape == (0, 5)
    # What is to be ignored goes by the share of the box in it.
    assert similarity(torch.tensor([[0., 0, 4, 4]]), torch.tensor([[0., 0, 2, 4]]), mode='iof').item() == 0.5


@pytest.mark.parametrize('constant', [0, -1, 'a', None])
def test_a_constant_that_is_none_is_refused(constant):
    with pytest.raises(InputError, match='constant'):
        TASK_UTILS.build(dict(type='NormalisedWassersteinSimilarity', constant=constant))


def anchors(stride, side, size=64):
    y, x = np.mgrid[stride / 2:size:stride, stride / 2:size:stride]
    return np.stack([x - side / 2, y - side / 2, x + side / 2, y + side / 2], axis=-1).reshape(-1, 4)


def divergence(anchor, box):
    """Kullback-Leibler divergence of the anchor's Gaussian, as wide as half of it, from the box's."""
    m1, m2 = ((one[:2] + one[2:]) / 2 for one in (anchor, box))
    c1, c2 = np.eye(2) * ((anchor[2] - anchor[0]) / 2)**2, np.diag((box[2:] - box[:2])**2 / 4)
    inverse = np.linalg.inv(c2)
    return (np.trace(inverse @ c1) + (m2 - m1) @ inverse @ (m2 - m1) - 2 + np.log(np.linalg.det(c2)
                                                                                 / np.linalg.det(c1))) / 2


def plain_claims(distances, topk):
    """Rank by rank each target claims its least distant anchor; of several the less distant has it."""
    owners, left = np.full(distances.shape[1], -1), distances.copy()
    for _ in range(topk):
        claims = [(left[t].min(), t, left[t].argmin()) for t in range(len(left))]
        free = owners < 0
        for _, t, anchor in sorted(claims, reverse=True):
            owners[anchor] = t if free[anchor] else owners[anchor]
            left[t, anchor] = np.inf
    return owners


@pytest.mark.parametrize('topk', [1, 3])
def test_anchors_are_claimed_by_their_receptive_fields(topk):
    priors = np.concatenate([anchors(4, 8), anchors(8, 16)])
    boxes = random_boxes(9, 2)
    distances = np.array([[divergence(anchor, box) for anchor in priors] for box in boxes])
    assigner = TASK_UTILS.build(dict(type='AnchorReceptiveFieldAssigner', topk=topk))
    labels = torch.arange(9) % 4
    result = assigner.assign(InstanceData(priors=torch.tensor(priors)), InstanceData(
        bboxes=torch.tensor(boxes), labels=labels))
    expected = plain_claims(distances, topk)
    assert (result.gt_inds - 1).tolist() == expected.tolist()
    assert result.labels.tolist() == [-1 if owner < 0 else owner % 4 for owner in expected]


def test_without_a_target_every_anchor_is_negative():
    assigner = TASK_UTILS.build(dict(type='AnchorReceptiveFieldAssigner'))
    priors = torch.tensor(anchors(8, 16))
    result = assigner.assign(InstanceData(priors=priors), InstanceData(
        bboxes=torch.zeros(0, 4, dtype=priors.dtype), labels=torch.zeros(0, dtype=torch.long)))
    assert not result.gt_inds.any() and (result.labels == -1).all() and len(result.gt_inds) == len(priors)
