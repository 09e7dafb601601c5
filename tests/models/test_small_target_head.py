"""Box codings, qualities and losses of BAFE-Head under each label assignment."""
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import ConfigDict
from point_heads import (
    NEAREST,
    SIZE,
    STRIDES,
    area,
    assigned,
    build,
    build_fcos,
    features,
    grid,
    instances,
    metas,
    owners,
)

from bafenet.errors import InputError
from bafenet.models.box_coding import centre_size_to_distances

RECEPTIVE_FIELD = assigned('ReceptiveFieldAssigner')
SIMOTA = assigned('SimOTAAssigner')
NWD = dict(loss_bbox=dict(type='NormalisedWassersteinLoss', constant=4.0))


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def encode(points, boxes, stride):
    """Centre offset and log size from their definition."""
    centres, sizes = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    return np.concatenate([(centres - points) / (stride / 2), np.log(sizes / (stride / 2))], axis=1)


@pytest.mark.parametrize('stride', STRIDES)
def test_centre_and_size_are_decoded_to_the_boxes_encoded(stride):
    rng = np.random.default_rng(0)
    points = grid(stride)
    start = rng.uniform(0, SIZE - 8, points.shape)
    boxes = np.concatenate([start, start + rng.uniform(0.5, 8, points.shape)], axis=1)
    side = SIZE // stride
    codes = torch.tensor(encode(points, boxes, stride).T.reshape(1, 4, side, side), dtype=torch.float32)
    distances = centre_size_to_distances(codes, stride).permute(0, 2, 3, 1).reshape(-1, 4).numpy()
    decoded = np.concatenate([points - distances[:, :2], points + distances[:, 2:]], axis=1)
    np.testing.assert_allclose(decoded, boxes, atol=1e-4)


def test_an_untrained_network_predicts_boxes_of_half_a_stride_at_its_points():
    with torch.no_grad():
        _, predictions, _ = build(**NEAREST)(features())
    for stride, distances in zip(STRIDES, predictions, strict=True):
        left, top, right, bottom = distances.numpy().swapaxes(0, 1)
        for low, high in ((left, right), (top, bottom)):
            np.testing.assert_allclose(low + high, stride / 2, rtol=0.4)
            assert np.abs(high - low).max() / 2 < stride / 4


def test_codes_are_float32_and_finite_whatever_the_logits():
    head = build(**NEAREST)
    torch.nn.init.constant_(head.conv_reg.bias, 1e4)
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
        _, predictions, _ = head(features())
    assert all(level.dtype == torch.float32 and level.isfinite().all() for level in predictions)


def test_predictions_are_boxes_that_may_lie_beside_their_points():
    head = build(**NEAREST, test_cfg=dict(nms_pre=10, min_bbox_size=0, score_thr=0.5, max_per_img=10,
                                          nms=dict(type='nms', iou_threshold=0.5)))
    box = np.array([[13, 14, 15.5, 15]])
    sizes = [(1, 1, SIZE // stride, SIZE // stride) for stride in STRIDES]
    scores, qualities = [torch.full(size, -9.) for size in sizes], [torch.zeros(size) for size in sizes]
    scores[0][0, 0, 1, 1] = 9
    codes = torch.zeros(1, 4, 8, 8)
    codes[0, :, 1, 1] = torch.tensor(encode(np.array([[12, 12]]), box, 8))[0]
    predictions = [centre_size_to_distances(codes, 8), *(torch.ones(1, 4, *size[2:]) for size in sizes[1:])]
    result, = head.predict_by_feat(scores, predictions, qualities, batch_img_metas=[
        dict(img_shape=(SIZE, SIZE), ori_shape=(2 * SIZE, 4 * SIZE), scale_factor=(0.25, 0.5))], rescale=True)
    np.testing.assert_allclose(result.bboxes, box * [4, 2, 4, 2], atol=1e-4)


@pytest.mark.parametrize('rescale', [False, True])
def test_whole_pixels_are_those_of_the_image_that_the_boxes_are_given_in(rescale):
    head, x = build(**NEAREST).eval(), features()
    image_metas = [dict(meta, scale_factor=(0.4, 0.4)) for meta in metas(len(x[0]))]
    found = []
    with torch.no_grad():
        for whole_pixels in (False, True):
            cfg = ConfigDict(
                nms_pre=100, score_thr=0, nms=dict(type='nms', iou_threshold=0.5), max_per_img=20, min_bbox_size=0,
                whole_pixels=whole_pixels)
            found.append(head.predict_by_feat(*head(x)[:3], batch_img_metas=image_metas, cfg=cfg, rescale=rescale))
    for free, whole in zip(*found, strict=True):
        assert len(free) and not torch.equal(free.bboxes, whole.bboxes)
        torch.testing.assert_close(free.scores, whole.scores, rtol=0, atol=0)
        wide = (free.bboxes[:, 2:] - free.bboxes[:, :2] > 1).all(dim=1)
        np.testing.assert_array_equal(whole.bboxes[wide].numpy(), np.rint(free.bboxes[wide].numpy()))
        assert wide.any() and (whole.bboxes[:, 2:] - whole.bboxes[:, :2] >= 1).all()


def test_centerness_is_fcoss_inside_and_0_outside():
    distances = torch.tensor([[1, 2, 3, 2], [2, 2, 2, 2], [-1, 1, 3, 1], [1, 3, 1, -0.5], [-1, -2, 3, 4.]])
    expected = [np.sqrt(1 / 3), 1, 0, 0, 0]
    np.testing.assert_allclose(build().centerness_target(distances), expected, rtol=1e-6)


# --- Losses -----------------------------------------------------------------------------------------------------------

IMAGES = [[(8, 8, 21, 19), (9.5, 9.5, 11.5, 11.5), (40, 41, 43, 43)], [], [(0, 0, 40, 30), (17, 17, 19, 19)]]


def losses(head, x, images=IMAGES):
    outputs = head(x)
    return head.loss_by_feat(*outputs, [instances(boxes) for boxes in images], metas(len(images)))


def test_the_papers_losses_are_mmdets_to_the_bit():
    x = features(3)
    head, fcos = build(), build_fcos()
    fcos.load_state_dict(head.state_dict())
    ours, theirs = losses(head, x), losses(fcos, x)
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in theirs)
    # Another score leaves classification and boxes as they are.
    head.quality = 'iou'
    ours = losses(head, x)
    assert torch.equal(ours['loss_cls'], theirs['loss_cls']) and torch.equal(ours['loss_bbox'], theirs['loss_bbox'])
    assert not torch.equal(ours['loss_centerness'], theirs['loss_centerness'])


def overlaps(a, b):
    """IoU and GIoU of boxes (n, 4), row by row."""
    low, high = np.maximum(a[:, :2], b[:, :2]), np.minimum(a[:, 2:], b[:, 2:])
    common = (high - low).clip(0).prod(1)
    union = area(a.T) + area(b.T) - common
    hull = (np.maximum(a[:, 2:], b[:, 2:]) - np.minimum(a[:, :2], b[:, :2])).prod(1)
    return common / union, common / union - (hull - union) / hull


def positives(predictions, logits, **settings):
    """Of all points that learn a target: point, predicted box, true box, quality logit."""
    rows = []
    for i, boxes in enumerate(IMAGES):
        if not boxes:
            continue
        levels, _ = owners(boxes, **settings)
        for stride, owner, distances, logit in zip(STRIDES, levels, predictions, logits, strict=True):
            for p in np.flatnonzero(owner >= 0):
                point = grid(stride)[p]
                d = distances[i].flatten(1)[:, p].double().numpy()
                predicted = np.concatenate([point - d[:2], point + d[2:]])
                rows.append((point, predicted, boxes[owner[p]], logit[i].flatten()[p].item()))
    return (np.array(column) for column in zip(*rows, strict=True))


@pytest.mark.parametrize(('settings', 'quality'), [(NEAREST, 'centerness'), (NEAREST, 'iou'),
                                                   (RECEPTIVE_FIELD, 'centerness')])
def test_losses_of_points_outside_from_their_definition(settings, quality):
    x = features(3)
    head = build(**settings, quality=quality)
    for level in (head.conv_reg, head.conv_centerness, head.conv_cls):
        torch.nn.init.normal_(level.weight, std=0.2)
    with torch.no_grad():
        scores, predictions, logits = head(x)
        result = losses(head, x)
    points, predicted, true, logit = positives(predictions, logits, **settings)
    iou, giou = overlaps(predicted, true)
    inside = ((points > true[:, :2]) & (points < true[:, 2:])).all(1)
    assert inside.any() and not inside.all()
    left_top, right_bottom = points - true[:, :2], true[:, 2:] - points
    ratio = np.minimum(left_top, right_bottom) / np.maximum(left_top, right_bottom)
    goal = iou if quality == 'iou' else np.where(inside, np.sqrt(ratio.clip(0).prod(1)), 0)
    cross_entropy = np.log1p(np.exp(logit)) - goal * logit
    # Every point weighs the same in the box loss, those outside included.
    assert result['loss_bbox'].item() == pytest.approx((1 - giou).mean(), rel=1e-4)
    assert result['loss_centerness'].item() == pytest.approx(cross_entropy.mean(), rel=1e-4)
    flat = torch.cat([level.flatten() for level in scores])
    truth = torch.zeros_like(flat, dtype=torch.double)
    offset = 0
    for i, stride in enumerate(STRIDES):
        for image, boxes in enumerate(IMAGES):
            if boxes:
                count = (SIZE // stride)**2
                start = offset + image * count
                truth[start:start + count] = torch.tensor(owners(boxes, **settings)[0][i] >= 0)
        offset += len(IMAGES) * (SIZE // stride)**2
    p = flat.double().sigmoid()
    right = torch.where(truth > 0, p, 1 - p)
    focal = -torch.where(truth > 0, 0.25, 0.75) * (1 - right)**2 * right.log()
    assert result['loss_cls'].item() == pytest.approx(focal.sum().item() / len(points), rel=1e-4)


@pytest.mark.parametrize('precision', [torch.float32, torch.bfloat16])
@pytest.mark.parametrize('images', [[[], []], [[], IMAGES[0]]])
@pytest.mark.parametrize('settings', [
    {}, NEAREST, dict(NEAREST, quality='iou'), RECEPTIVE_FIELD, dict(RECEPTIVE_FIELD, **NWD), SIMOTA,
    dict(SIMOTA, quality='iou'), NWD, dict(box_coding='distribution')])
def test_losses_are_finite_and_reach_every_weight_whatever_the_images_hold(settings, images, precision):
    head = build(**settings).to(memory_format=torch.channels_last)
    x = tuple(level.contiguous(memory_format=torch.channels_last) for level in features(2))
    with torch.autocast('cpu', torch.bfloat16, enabled=precision == torch.bfloat16):
        result = losses(head, x, images)
    sum(result.values()).backward()
    assert all(value.isfinite() and value.dtype == torch.float32 for value in result.values())
    assert (result['loss_bbox'] > 0) == any(images)
    assert all(parameter.grad.isfinite().all() for parameter in head.parameters())
    assert head.conv_reg.weight.grad.any() == any(images)


@pytest.mark.parametrize('settings', [dict(NEAREST, quality='iou'), RECEPTIVE_FIELD])
def test_mixed_precision_assigns_as_full_precision_does(settings):
    head = build(**settings)
    x = features(3)
    full = losses(head, x)
    with torch.autocast('cpu', torch.bfloat16):
        mixed = losses(head, x)
    for key, value in full.items():
        assert mixed[key].item() == pytest.approx(value.item(), rel=0.02)


@pytest.mark.parametrize('settings', [NEAREST, dict(NEAREST, quality='iou'), dict(NEAREST, **NWD),
                                      assigned('ReceptiveFieldAssigner', topk=1)])
def test_a_head_learns_boxes_that_lie_beside_their_points(settings):
    boxes = [(13, 14, 15.5, 15), (33, 50, 35, 53)]
    head = build(**settings)
    x = features()
    optimizer = torch.optim.Adam(head.parameters(), lr=0.003)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0, total_iters=120)
    for step in range(120):
        result = losses(head, x, [boxes])
        optimizer.zero_grad()
        sum(result.values()).backward()
        if step == 0:
            assert head.conv_reg.weight.grad.abs().sum() > 0
        optimizer.step()
        schedule.step()
    head.test_cfg = ConfigDict(nms_pre=10, min_bbox_size=0, score_thr=0.3, max_per_img=2,
                               nms=dict(type='nms', iou_threshold=0.5))
    with torch.no_grad():
        found, = head.predict_by_feat(*head(x), batch_img_metas=metas(1))
        qualities = torch.cat([F.sigmoid(level).flatten() for level in head(x)[2]])
    order = found.bboxes[:, 0].argsort()
    iou, _ = overlaps(found.bboxes[order].numpy(), np.array(boxes))
    assert iou.min() > 0.7
    # The score knows what it was taught: boxes that fit, or points that do not.
    points = [grid(8).tolist().index(point) for point in ([12, 12], [36, 52])]
    assert (qualities[points] > 0.6).all() if head.quality == 'iou' else (qualities[points] < 0.2).all()


@pytest.mark.parametrize(('values', 'message'), [
    (dict(assign='closest'), "assign='closest' must be one of inside, nearest, receptive_field, simota"),
    (dict(assign=dict(type='MaxIoUAssigner')), 'or the config of one of InsideAssigner'),
    (dict(box_coding='corners'), "box_coding='corners' must be one of"),
    (dict(quality='score'), "quality='score' must be one of"),
    (dict(assign='nearest'), "set box_coding='centre_size'"),
    (dict(assign='simota'), "set box_coding='centre_size'"),
    (dict(assign='nearest', norm_on_bbox=True), "set box_coding='centre_size'"),
    (dict(box_coding='centre_size', norm_on_bbox=True), 'set norm_on_bbox=False'),
    (dict(box_coding='distribution', norm_on_bbox=True), 'set norm_on_bbox=False'),
    (dict(box_coding='distribution', assign='nearest'), "box_coding='distribution' has no answer"),
    (dict(box_coding='distribution', side_knots=(1, 3, 3)), 'side_knots=.* must be two or more distances that ascend'),
    (dict(box_coding='distribution', side_knots=(-1, 3)), 'side_knots=.* must be two or more distances that ascend'),
    (dict(center_sampling=True), r"assign=dict\(type='InsideAssigner', center_radius=1.5\)"),
    (assigned('NearestAssigner', topk=0), 'topk=0'),
    (assigned('NearestAssigner', topk=1.5), 'topk=1.5'),
    (assigned('ReceptiveFieldAssigner', topk=0), 'topk=0'),
    (assigned('ReceptiveFieldAssigner', radius=0), 'radius=0'),
    (assigned('ReceptiveFieldAssigner', distance='iou'), "distance='iou' must be one of"),
])
def test_settings_that_cannot_be(values, message):
    with pytest.raises(InputError, match=message) as error:
        build(**values)
    assert '\n' not in str(error.value)
