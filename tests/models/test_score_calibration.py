"""The map of scores: against NumPy's interpolation, order, inverse, bad values; in the head after NMS alone."""
import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from point_heads import build, build_fcos, features, metas

from bafenet.errors import InputError
from bafenet.models.score_calibration import calibrate, fault_of, knots_of, likely_score, uncalibrate

STEEP = dict(scores=[0.1, 0.3, 0.55], shares=[0.02, 0.7, 0.98], likely=0.9)
CFG = dict(nms_pre=50, min_bbox_size=0, score_thr=0.05, max_per_img=20, nms=dict(type='nms', iou_threshold=0.5))


@pytest.mark.parametrize('calibration', [STEEP, dict(scores=[0.5], shares=[0.1]),
                                         dict(scores=(0.01, 0.02), shares=(0.5, 0.999))])
def test_it_is_the_interpolation_between_the_knots_and_their_ends(calibration):
    scores = torch.rand(4, 100, generator=torch.Generator().manual_seed(0))
    scores[0, :5] = torch.tensor([0, 1, *calibration['scores'], 0.5, 0.5, 0.5])[:5]
    expected = np.interp(scores.double().numpy(), [0, *calibration['scores'], 1], [0, *calibration['shares'], 1])
    found = calibrate(scores, calibration)
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(uncalibrate(found.numpy(), calibration), scores.numpy(), rtol=0, atol=1e-9)
    assert [knots[0] for knots in knots_of(calibration)] == [0, 0] and found.min() >= 0 and found.max() <= 1


def test_neighbouring_scores_keep_their_order():
    # All that float32 has around 0.7, which the map squeezes to 0.044 of their distances.
    first = np.float32(0.7).view(np.int32)
    scores = torch.from_numpy((first + np.arange(10_000, dtype=np.int32)).view(np.float32))
    assert (calibrate(scores, STEEP).diff() > 0).all()
    assert (calibrate(scores, STEEP).float().diff() == 0).any()  # why it is float64


@pytest.mark.parametrize('calibration', [None, False])
def test_no_map_leaves_scores_as_they_are(calibration):
    scores = torch.rand(5)
    assert calibrate(scores, calibration) is scores and uncalibrate(0.3, calibration) == 0.3
    assert likely_score(calibration) is None and likely_score(dict(STEEP, likely=None)) is None
    assert likely_score(STEEP) == 0.9 and fault_of(calibration) is None


@pytest.mark.parametrize(('calibration', 'message'), [
    (True, 'must be None, False or dict'), ('x', 'must be None'), ({}, 'must be None'), (dict(scores=[0.5]), 'must be'),
    (dict(STEEP, other=1), 'must be None'), (dict(scores=0.5, shares=0.5), r'scores=0\.5 must be a list'),
    (dict(scores=[], shares=[]), r'scores=\[\] must be a list'),
    (dict(scores=[0.5], shares=['a']), r"shares=\['a'\] must be a list"),
    (dict(scores=[0.5], shares=[float('nan')]), 'must be a list'), (dict(scores=[True], shares=[0.5]), 'must be a'),
    (dict(scores=[0.5, 0.5], shares=[0.1, 0.2]), 'scores=.* must ascend'),
    (dict(scores=[0.1, 0.2], shares=[0.3, 0.2]), 'shares=.* must ascend'),
    (dict(scores=[0.0], shares=[0.2]), 'must ascend, each number above 0 and below 1'),
    (dict(scores=[0.1], shares=[1]), 'must ascend'), (dict(scores=[0.1], shares=[0.1, 0.2]), 'scores has 1 numbers'),
    (dict(scores=[0.1, 0.9], shares=[0.5, 0.5001]), 'must rise at least 0.001 as fast'),
    (dict(STEEP, likely=2), 'likely=2 must be a number'), (dict(STEEP, likely='x'), "likely='x' must be"),
    (dict(scores=[i / 100 for i in range(1, 90)], shares=[i / 100 for i in range(1, 90)]), '1 to 64 numbers')])
def test_what_is_no_map_is_refused_in_one_line(calibration, message):
    with pytest.raises(InputError, match=rf'test_cfg\.calibration: .*{message}') as caught:
        build(test_cfg=dict(CFG, calibration=calibration))
    assert '\n' not in str(caught.value)


def predictions(head, calibration, **options):
    torch.manual_seed(0)
    cfg = ConfigDict(CFG, calibration=calibration)
    outputs = head(features(2))
    return head.predict_by_feat(*outputs, batch_img_metas=metas(2), cfg=cfg, **options)


def lively(head):
    """With scores of all kinds."""
    torch.nn.init.normal_(head.conv_cls.weight, std=0.5)
    torch.nn.init.constant_(head.conv_cls.bias, 0)
    return head


@torch.no_grad()
def test_the_head_maps_scores_after_nms_and_nothing_else():
    torch.manual_seed(0)
    head = lively(build())
    for raw, mapped in zip(predictions(head, None), predictions(head, STEEP), strict=True):
        assert len(raw) > 3 and torch.equal(raw.bboxes, mapped.bboxes) and torch.equal(raw.labels, mapped.labels)
        expected = np.interp(raw.scores.numpy(), [0, *STEEP['scores'], 1], [0, *STEEP['shares'], 1])
        np.testing.assert_allclose(mapped.scores.numpy(), expected, rtol=0, atol=1e-12)
        # A threshold for the network's own scores: some calibrated ones lie below.
    candidates = [predictions(head, calibration, with_nms=False)[0].scores for calibration in (None, STEEP)]
    assert torch.equal(*candidates)


@torch.no_grad()
def test_a_head_that_knows_no_map_ignores_it():
    torch.manual_seed(0)
    head = lively(build_fcos())
    assert torch.equal(predictions(head, None)[0].scores, predictions(head, STEEP)[0].scores)
