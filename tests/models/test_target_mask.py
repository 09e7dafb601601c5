"""The target mask of a BAFE-Head: each pixel in its place, its loss, what it leaves as it was, that it is learnt."""
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from mmengine.model import BaseModule
from mmengine.structures import PixelData
from test_bafe_net import NETWORK, TEST_CFG, _bilinear, build, make_batch, make_sample, run
from torch.nn import functional as F

from bafenet.errors import InputError
from bafenet.models import CompactResNet


@MODELS.register_module()
class PixelsAsChannels(BaseModule):
    """Features that know each pixel: those of a cell of s x s pixels are its channels, row by row."""

    def __init__(self, stride):
        super().__init__()
        self.stride = stride

    def forward(self, images):
        return (F.pixel_unshuffle(images[:, :1], self.stride), )


def identity(stride):
    """A network whose mask is the image: the logit of a pixel is its grey level, less 127.5."""
    cells = stride**2
    network = MODELS.build(dict(
        type='BAFENet',
        data_preprocessor=dict(type='DetDataPreprocessor', mean=[127.5] * 3, std=[1] * 3, pad_size_divisor=2 * stride),
        backbone=dict(type='PixelsAsChannels', stride=stride), neck=None,
        bbox_head=dict(type='BAFEHead', num_classes=1, in_channels=cells, feat_channels=cells, stacked_convs=0,
                       strides=[stride], regress_ranges=((-1, 1e8), ), bottleneck=False, exchange=None,
                       with_mask=True),
        test_cfg=ConfigDict(TEST_CFG))).eval()
    conv = network.bbox_head.conv_mask
    conv.weight.data.zero_()
    conv.weight.data[:, :, 1, 1] = torch.eye(cells)
    conv.bias.data.zero_()
    return network


@pytest.mark.parametrize('stride', [2, 4])
@torch.no_grad()
def test_every_pixel_is_at_its_place_whatever_the_size_and_the_padding(stride):
    batch = make_batch([make_sample((35, 51)), make_sample((40, 44))])
    images = [image.numpy()[0].astype(float) for image in batch['inputs']]
    for sample, image in zip(run(identity(stride), batch, 'predict'), images, strict=True):
        found = sample.pred_target_mask
        assert found.sem_seg.dtype == torch.uint8 and found.prob.dtype == torch.float32
        np.testing.assert_array_equal(found.sem_seg[0], image > 127.5)
        np.testing.assert_allclose(found.prob[0], 1 / (1 + np.exp(127.5 - image)), atol=1e-6)
        assert sample.pred_sem_seg.sem_seg.shape == found.sem_seg.shape  # the sky, beside it


@torch.no_grad()
def test_in_a_frame_of_another_size_it_is_bilinear_without_the_padding():
    batch = make_batch([make_sample((30, 42), ori_size=(60, 63))])
    expected = _bilinear(batch['inputs'][0].numpy()[0] - 127.5, (60, 63))
    sample, = run(identity(2), batch, 'predict')
    np.testing.assert_array_equal(sample.pred_target_mask.sem_seg[0], expected > 0)


def test_the_pixels_of_a_cell_look_at_what_lies_around_the_cell():
    """Behind a stem of an even kernel, as the shipped networks have: as far to the left as to the right."""
    torch.manual_seed(0)
    backbone = CompactResNet((16, ), (1, ), (1, ), stem_channels=8, stem_kernel=4)
    head = build(with_mask=True, in_channels=16, feat_channels=16, strides=[2], regress_ranges=((-1, 1e8), ),
                 norm_cfg=dict(type='BN')).bbox_head
    for parameter in (*backbone.parameters(), *head.parameters()):
        torch.nn.init.uniform_(parameter, 0.01, 0.02)  # of one sign, so that nothing cancels
    image = torch.ones(1, 3, 64, 64, requires_grad=True)
    logits, = head.eval()(backbone.eval()(image)).mask_logits
    assert logits.shape == (1, 1, 64, 64)
    for row, column in ((30, 33), (31, 32)):
        seen, = torch.autograd.grad(logits[0, 0, row, column], image, retain_graph=True)
        rows, columns = (seen[0].sum(0).sum(axis).nonzero()[:, 0] for axis in (1, 0))
        assert 20 < len(rows) < 40
        assert (rows[0] + rows[-1]) / 2 == 30.5 and (columns[0] + columns[-1]) / 2 == 32.5


def masked(sample, mask):
    sample.gt_target_mask = PixelData(sem_seg=torch.from_numpy(mask)[None])
    return sample


def soft_iou(logits, masks):
    """Eq. 8 of SIRST-5K over all frames, by its definition."""
    p = 1 / (1 + np.exp(-np.concatenate([part.ravel() for part in logits])))
    y = np.concatenate([part.ravel() for part in masks])
    p, y = p[y != 255], y[y != 255]
    return 1 - ((p * y).sum() + 1) / ((p + y - p * y).sum() + 1)


def samples_of(rng):
    shapes = ((64, 64), (48, 34))
    return [masked(make_sample(shape), (rng.random(shape) < 0.1).astype(np.uint8)) for shape in shapes]


LOSSES = [dict(type='SoftIoULoss', loss_weight=0.5),
          dict(type='CrossEntropyLoss', use_sigmoid=True, ignore_index=255, avg_non_ignore=True)]


def test_the_losses_are_of_the_pixels_that_are_known():
    network = build(with_mask=True, loss_mask=LOSSES).train()
    samples = samples_of(np.random.default_rng(0))
    samples[0].gt_target_mask.sem_seg[0, :20] = 255
    masks = [sample.gt_target_mask.sem_seg[0].numpy().astype(float) for sample in samples]
    batch = network.data_preprocessor(make_batch(samples), True)
    with torch.no_grad():
        network.bbox_head.conv_mask.weight.mul_(100)
        logits = network.eval()(**batch, mode='tensor').mask_logits[0].double().numpy()
        losses = network(**batch, mode='loss')
    parts = [logits[0, 0], logits[1, 0, :48, :34]]
    assert losses['loss_mask_1'].item() == pytest.approx(0.5 * soft_iou(parts, masks), rel=1e-4)
    z, y = (np.concatenate([part.ravel() for part in values]) for values in (parts, masks))
    z, y = z[y != 255], y[y != 255]
    assert losses['loss_mask_2'].item() == pytest.approx(np.mean(np.logaddexp(0, z) - z * y), rel=1e-4)


@pytest.mark.parametrize('loss', LOSSES)
def test_samples_without_a_mask_cost_it_nothing(loss):
    network = build(with_mask=True, loss_mask=loss).train()
    sample = masked(make_sample((64, 64)), np.full((64, 64), 255, np.uint8))
    losses = run(network, make_batch([sample, sample]), 'loss', training=True)
    losses['loss_mask'].backward()
    assert losses['loss_mask'] == 0
    assert all(p.grad is None or not p.grad.any() for p in network.parameters())


def test_a_sample_that_no_step_gave_a_mask_is_named():
    network = build(with_mask=True).train()
    batch = network.data_preprocessor(make_batch([make_sample((64, 64))] * 2), True)
    with pytest.raises(InputError, match=r'BAFEHead\(with_mask=True\) learns from masks .*put LoadTargetMask into'):
        network(**batch, mode='loss')


@pytest.mark.parametrize('settings', [dict(with_mask=1), dict(with_mask=True, loss_mask='SoftIoULoss'),
                                      dict(with_mask=True, loss_mask=[dict(smooth=1)])])
def test_wrong_settings_are_named(settings):
    with pytest.raises(InputError, match=f'bbox_head: {list(settings)[-1]}='):
        build(**settings)


@pytest.mark.parametrize('seg', [True, False])
@torch.no_grad()
def test_all_else_is_as_it_is_without_it(seg):
    plain, with_mask = build(with_seg=seg).eval(), build(with_seg=seg, with_mask=True).eval()
    more = with_mask.state_dict().keys() - plain.state_dict().keys()
    assert more == {'bbox_head.conv_mask.weight', 'bbox_head.conv_mask.bias'}
    assert with_mask.load_state_dict(plain.state_dict(), strict=False).unexpected_keys == []
    batch = make_batch([make_sample((64, 96))])
    expected, found = (run(network, dict(batch), 'tensor') for network in (plain, with_mask))
    assert len(found) == 5 and [len(part) for part in found] == [3, 3, 3, 3 if seg else 0, 1]
    for one, other in zip(found, expected, strict=False):
        assert all(map(torch.equal, one, other))
    # It begins as the mask of hardly any target, as the class does.
    assert found.mask_logits[0].sigmoid().mean() == pytest.approx(0.01, abs=0.005)
    sample, = run(with_mask, batch, 'predict')
    assert ('pred_sem_seg' in sample) == seg and sample.pred_target_mask.sem_seg.shape == (1, 64, 96)


def test_single_pixels_are_learnt_under_flips():
    """Targets of 1 to 3 pixels, of which blocks of 2 x 2 pixels give less than three quarters."""
    rng, size = np.random.default_rng(0), 32
    masks = np.zeros((4, size, size), np.uint8)
    for mask in masks:
        for row, column in rng.permutation([(y, x) for y in range(3, 28, 6) for x in range(3, 28, 6)])[:6]:
            row, column = row + rng.integers(2), column + rng.integers(2)
            mask[row, column] = mask[row + rng.integers(2), column:column + rng.integers(1, 3)] = 1
    blocks = masks.reshape(4, size // 2, 2, size // 2, 2).sum((2, 4))
    assert masks.sum() / (4 * (blocks > 0).sum()) < 0.5 and blocks[blocks > 1].sum() / masks.sum() < 0.75
    images = np.where(masks, 200, rng.integers(40, 80, masks.shape)).astype(np.uint8)
    torch.manual_seed(0)
    network = MODELS.build(dict(
        NETWORK, backbone=dict(type='CompactResNet', stage_channels=(16, ), stage_blocks=(1, ), dilations=(1, ),
                               stem_channels=8, stem_kernel=4), neck=None,
        bbox_head=dict(type='BAFEHead', num_classes=1, in_channels=16, feat_channels=16, stacked_convs=1, strides=[2],
                       regress_ranges=((-1, 1e8), ), norm_cfg=dict(type='BN'), with_mask=True)))
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    for step in range(120):
        flip = [slice(None, None, -1 if step & bit else 1) for bit in (1, 2)]
        x = torch.from_numpy(images[:, flip[0], flip[1]] / 128 - 1).float()[:, None].expand(-1, 3, -1, -1)
        logits, = network.train()(x, mode='tensor').mask_logits
        truth = torch.from_numpy(masks[:, flip[0], flip[1]].copy())[:, None]
        loss = network.bbox_head.losses_mask[0](logits, truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    found = (logits > 0).numpy()
    assert (found & (truth.numpy() > 0)).sum() / (found | (truth.numpy() > 0)).sum() > 0.95
