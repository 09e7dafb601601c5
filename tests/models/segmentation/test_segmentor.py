"""TargetSegmentor: loss and prediction of padded and resized frames, its losses, its arguments."""
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.model import BaseModule
from mmengine.structures import PixelData
from scipy import ndimage

from bafenet.engine.mixed_precision import BFloat16OptimWrapper
from bafenet.errors import InputError

MEAN, STD = 107.81, 33.03
PREPROCESSOR = dict(type='SegmentationPreprocessor', mean=[MEAN] * 3, std=[STD] * 3, pad_seg=True, pad_size_divisor=16)


@MODELS.register_module()
class Brightness(BaseModule):
    """A network that knows everything: half the grey level, and the grey level above 0."""

    def __init__(self, in_channels=3):
        super().__init__()
        self.in_channels = in_channels
        self.seen = []

    def forward(self, images):
        self.seen.append(images)
        return [images[:, :1] / 2, images[:, :1]]


def build(backbone=None, **settings):
    return MODELS.build(dict(type='TargetSegmentor', backbone=backbone or dict(type='Brightness'),
                             **dict(dict(data_preprocessor=PREPROCESSOR), **settings)))


def sample(mask=None, shape=None, frame=None, **meta):
    shape = mask.shape if shape is None else shape
    item = DetDataSample(metainfo=dict(img_shape=shape, ori_shape=frame or shape, **meta))
    if mask is not None:
        item.gt_target_mask = PixelData(sem_seg=torch.from_numpy(mask)[None])
    return item


def grey(rng, shape):
    return np.repeat(rng.integers(0, 256, (1, *shape), dtype=np.uint8), 3, axis=0)


def soft_iou(logits, mask):
    p = 1 / (1 + np.exp(-logits))
    return 1 - ((p * mask).sum() + 1) / ((p + mask - p * mask).sum() + 1)


def batch_of_two(rng):
    images = [grey(rng, (20, 32)), grey(rng, (32, 23))]
    masks = [(rng.random(image.shape[1:]) < 0.1).astype(np.uint8) for image in images]
    return images, masks


def data(images, samples):
    return dict(inputs=[torch.from_numpy(image) for image in images], data_samples=samples)


@pytest.mark.parametrize('weights', [None, [1, 3]])
def test_padding_counts_in_no_loss(weights):
    images, masks = batch_of_two(np.random.default_rng(0))
    network = build(loss_mask=dict(type='SoftIoULoss', reduction='mean'), output_weights=weights)
    given = network.data_preprocessor(data(images, [sample(mask) for mask in masks]), True)
    assert given['inputs'].shape == (2, 3, 32, 32)
    assert all(item.gt_target_mask.sem_seg.shape == (1, 32, 32) for item in given['data_samples'])
    logits = [(image[0].astype(float) - MEAN) / STD for image in images]
    each = [np.mean([soft_iou(x * factor, mask) for x, mask in zip(logits, masks, strict=True)]) for factor in (0.5, 1)]
    losses = network(**given, mode='loss')
    assert list(losses) == ['loss_mask']
    assert losses['loss_mask'].item() == pytest.approx(np.average(each, weights=weights), rel=1e-5)


@pytest.mark.parametrize('in_channels', [1, 3])
def test_predictions_have_the_size_of_the_frame(in_channels):
    rng = np.random.default_rng(0)
    images, masks = batch_of_two(rng)
    images[0][images[0] < 220] = 0  # so that there are several components
    network = build(dict(type='Brightness', in_channels=in_channels))
    samples = [sample(masks[0]), sample(shape=(32, 23), frame=(61, 47))]
    with torch.no_grad():
        first, second = network.test_step(data(images, samples))
    assert network.backbone.seen[0].shape == (2, in_channels, 32, 32)
    logits = (images[0][0].astype(float) - MEAN) / STD
    assert first.pred_sem_seg.sem_seg.dtype == torch.uint8 and first.pred_sem_seg.prob.dtype == torch.float32
    np.testing.assert_array_equal(first.pred_sem_seg.sem_seg[0], logits > 0)
    np.testing.assert_allclose(first.pred_sem_seg.prob[0], 1 / (1 + np.exp(-logits)), atol=1e-5)
    labels, count = ndimage.label(logits > 0, np.ones((3, 3)))
    assert len(first.pred_instances) == count > 1 and not first.pred_instances.labels.any()
    boxes = [(x.start, y.start, x.stop, y.stop) for y, x in ndimage.find_objects(labels)]
    scores = [(1 / (1 + np.exp(-logits[labels == i + 1]))).max() for i in range(count)]
    expected = dict(zip(boxes, scores, strict=True))
    for box, score in zip(first.pred_instances.bboxes.tolist(), first.pred_instances.scores.tolist(), strict=True):
        assert score == pytest.approx(expected.pop(tuple(map(int, box))), abs=1e-5)
    assert second.pred_sem_seg.sem_seg.shape == second.pred_sem_seg.prob.shape == (1, 61, 47)
    np.testing.assert_array_equal(second.pred_sem_seg.sem_seg, second.pred_sem_seg.prob > 0.5)
    # The truth keeps its own size, whatever the batch is padded to.
    assert first.gt_target_mask.sem_seg.shape == (1, 20, 32)


def test_what_is_enlarged_stays_in_its_place():
    network = build()
    image = np.zeros((3, 16, 16), np.uint8)
    image[:, 4:8, 8:12] = 255
    with torch.no_grad():
        predicted, = network.test_step(data([image], [sample(shape=(16, 16), frame=(48, 32))]))
    rows, columns = np.nonzero(predicted.pred_sem_seg.sem_seg[0].numpy())
    assert (rows.mean() + 0.5, columns.mean() + 0.5) == (6 * 3, 10 * 2)
    (left, top, right, bottom), = predicted.pred_instances.bboxes.tolist()
    assert (top + bottom, left + right) == (2 * 6 * 3, 2 * 10 * 2)
    assert predicted.pred_instances.scores.item() == pytest.approx(1 / (1 + np.exp(-(255 - MEAN) / STD)), rel=1e-3)


def test_several_losses_and_those_of_mmdet():
    images, masks = batch_of_two(np.random.default_rng(0))
    cross_entropy = dict(type='CrossEntropyLoss', use_sigmoid=True, ignore_index=255, avg_non_ignore=True)
    network = build(loss_mask=[dict(type='SoftIoULoss'), cross_entropy], output_weights=[0, 1])
    given = network.data_preprocessor(data(images, [sample(mask) for mask in masks]), True)
    losses = network(**given, mode='loss')
    assert list(losses) == ['loss_mask_1', 'loss_mask_2']
    logits = np.concatenate([((image[0].astype(float) - MEAN) / STD).ravel() for image in images])
    truth = np.concatenate([mask.ravel() for mask in masks])
    expected = np.mean(np.log1p(np.exp(logits)) - truth * logits)
    assert losses['loss_mask_2'].item() == pytest.approx(expected, rel=1e-5)


def test_sets_of_negatives_are_told_by_their_meta_data():
    rng = np.random.default_rng(0)
    images = [grey(rng, (16, 16)) for _ in range(3)]
    masks = [(rng.random((16, 16)) < 0.1).astype(np.uint8) for _ in range(3)]
    network = build(loss_mask=dict(type='NegativeSetLoss'), output_weights=[0, 1])
    items = [sample(mask, set_id=name) for mask, name in zip(masks, 'aba', strict=True)]
    given = network.data_preprocessor(data(images, items), True)
    each = [soft_iou((image[0].astype(float) - MEAN) / STD, mask) for image, mask in zip(images, masks, strict=True)]
    expected = np.mean([(each[0] + each[2]) / 2, each[1]])
    assert network(**given, mode='loss')['loss_mask'].item() == pytest.approx(expected, rel=1e-5)
    with pytest.raises(InputError, match=r'frame\.png: NegativeSetLoss needs sets of negatives'):
        network.loss(given['inputs'][:1], [sample(masks[0], img_path='frame.png')])


@pytest.mark.parametrize('backbone', [dict(type='NestedUNet', depth=10), dict(type='AdditiveUNet', in_channels=1)],
                         ids=lambda part: part['type'])
def test_steps_in_bfloat16_learn_two_frames(backbone):
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    network = build(backbone).to(memory_format=torch.channels_last)
    images = [grey(rng, (32, 32)) // 2 for _ in range(2)]
    masks = [np.zeros((32, 32), np.uint8) for _ in images]
    for number, (image, mask) in enumerate(zip(images, masks, strict=True)):
        mask[6:9, 10 + 5 * number:13 + 5 * number] = 1
        image[:, mask == 1] = 255
    wrapper = BFloat16OptimWrapper(torch.optim.AdamW(network.parameters(), lr=5e-3))
    losses = [network.train_step(data(images, [sample(mask) for mask in masks]), wrapper)['loss'].item()
              for _ in range(5)]
    # The soft IoU itself, which starts at the share of target pixels.
    assert 1 - losses[-1] > 2 * (1 - losses[0])


def test_what_is_absent_or_does_not_fit_is_one_line():
    network = build(output_weights=[1, 1, 1])
    inputs, mask = torch.zeros(1, 3, 16, 16), np.zeros((16, 16), np.uint8)
    with pytest.raises(InputError, match=r'a/b\.png: .*put LoadTargetMask into'):
        network.loss(inputs, [sample(shape=(16, 16), img_path='a/b.png')])
    with pytest.raises(InputError, match=r'output_weights=\[1, 1, 1\] has 3 values, and Brightness gives 2'):
        network.loss(inputs, [sample(mask)])
    with pytest.raises(InputError, match="mode='guess' must be"):
        network(inputs, mode='guess')
    with pytest.raises(InputError, match=r'backbone\.in_channels=2 must be one of 1, 3'):
        build(dict(type='Brightness', in_channels=2))
