"""BAFE-Net and BAFE-Head: what they compute, from their definition."""
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import ROOT
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config, ConfigDict
from mmengine.structures import InstanceData, PixelData

from bafenet.errors import InputError
from bafenet.models.bafe_head import sample_at_points
from bafenet.models.head_outputs import at_pixels

HEAD = dict(type='BAFEHead', num_classes=1, in_channels=8, feat_channels=8, stacked_convs=1, strides=[8, 16, 32],
            regress_ranges=((-1, 64), (64, 128), (128, 256)), norm_cfg=dict(type='GN', num_groups=4))
TEST_CFG = dict(nms_pre=1000, min_bbox_size=0, score_thr=0.05, nms=dict(type='nms', iou_threshold=0.5), max_per_img=100)
NETWORK = dict(
    type='BAFENet',
    data_preprocessor=dict(type='DetDataPreprocessor', mean=[0, 0, 0], std=[255, 255, 255], pad_seg=True,
                           pad_size_divisor=32),
    backbone=dict(type='ResNet', depth=18, base_channels=4, stem_channels=4, zero_init_residual=False),
    neck=dict(type='FPN', in_channels=[4, 8, 16, 32], out_channels=8, start_level=1, num_outs=3),
    bbox_head=HEAD,
    test_cfg=TEST_CFG)


def build(**head):
    torch.manual_seed(0)
    network = MODELS.build(ConfigDict(NETWORK, bbox_head={**HEAD, **head}))
    network.init_weights()
    return network


def make_sample(size, boxes=(), sky=None, ori_size=None):
    """A sample as the pipeline packs it: boxes in the input, sky map of the input."""
    ori_size = ori_size or size
    sample = DetDataSample(metainfo=dict(
        img_id='a', img_shape=size, ori_shape=ori_size, scale_factor=(size[1] / ori_size[1], size[0] / ori_size[0])))
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    sample.gt_instances = InstanceData(bboxes=boxes, labels=torch.zeros(len(boxes), dtype=torch.long))
    sky = np.ones(size, np.uint8) if sky is None else sky
    sample.gt_sem_seg = PixelData(sem_seg=torch.from_numpy(sky)[None])
    return sample


def make_batch(samples, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = [torch.randint(0, 255, (3, *sample.img_shape), generator=generator, dtype=torch.uint8)
              for sample in samples]
    return dict(inputs=images, data_samples=samples)


def run(network, batch, mode, training=False):
    batch = network.data_preprocessor(batch, training)
    return network(**batch, mode=mode)


# The tables of the issue: parameters of whole networks.
@pytest.mark.parametrize(('config', 'parameters'), [
    ('bafenet/bafenet_r50_densesirst.py', 34_478_859),
    ('bafenet/bafenet_r50_paper_densesirst.py', 34_478_859),
    ('baselines/fcos_r50_densesirst.py', 32_113_227),
])
def test_parameters_of_the_papers_networks(config, parameters):
    network = MODELS.build(Config.fromfile(ROOT / 'configs' / config, import_custom_modules=False).model)
    assert sum(p.numel() for p in network.parameters()) == parameters


@pytest.mark.parametrize(('head', 'parameters'), [(dict(bottleneck=False, exchange=None), 33_296_714),
                                                  (dict(exchange=None), 33_296_714 + 1_181_952),
                                                  (dict(with_seg=False), 30_933_000)])
def test_parameters_of_the_parts(head, parameters):
    model = Config.fromfile(ROOT / 'configs/bafenet/bafenet_r50_densesirst.py', import_custom_modules=False).model
    model.bbox_head.update(head)
    network = MODELS.build(model)
    # The last figure is given to the thousand.
    tolerance = 1000 if head == dict(with_seg=False) else 0
    assert abs(sum(p.numel() for p in network.parameters()) - parameters) <= tolerance


def test_towers_bottlenecks_and_exchange_are_composed_as_in_the_paper():
    head = MODELS.build(HEAD).eval()
    x = torch.randn(2, 8, 6, 5)
    cls, reg, seg = (tower[0](x) for tower in (head.cls_convs, head.reg_convs, head.seg_convs))
    cls, seg = head.cls_bottleneck(cls), head.seg_bottleneck(seg)
    adapt = head.exchange.adapters[0]
    mixed_cls, mixed_seg = cls.clone(), seg.clone()
    mixed_cls[:, 0::2], mixed_seg[:, 0::2] = adapt(seg[:, 0::2]), adapt(cls[:, 0::2])
    expected = (head.conv_cls(mixed_cls), torch.exp(2.0 * head.conv_reg(reg)), head.conv_centerness(mixed_cls),
                head.conv_seg(mixed_seg))
    head.scales[0].scale.data.fill_(2.0)
    outputs = head.forward_single(x, head.scales[0], 8)
    assert len(outputs) == 4
    for output, value in zip(outputs, expected, strict=True):
        torch.testing.assert_close(output, value)


def test_the_bottlenecks_normalisation_is_a_setting():
    head = MODELS.build({**HEAD, 'bottleneck_norm_cfg': dict(type='GN', num_groups=2)})
    layers = [type(layer).__name__ for layer in head.seg_bottleneck]
    assert layers == ['Conv2d', 'GroupNorm', 'ReLU', 'Conv2d', 'GroupNorm', 'ReLU']
    # Then nothing in the head differs between training and testing.
    x = torch.randn(2, 8, 6, 5)
    training, testing = (head.train(mode).forward_single(x, head.scales[0], 8) for mode in (True, False))
    for output, value in zip(training, testing, strict=True):
        torch.testing.assert_close(output, value)


def test_without_the_sky_branch_it_is_fcos():
    ours = MODELS.build({**HEAD, 'with_seg': False})
    fcos = MODELS.build({**HEAD, 'type': 'FCOSHead'})
    fcos.load_state_dict(ours.state_dict(), strict=True)
    levels = [torch.randn(2, 8, size, size) for size in (8, 4, 2)]
    for level, expected in zip(ours(levels), fcos(levels), strict=True):
        for output, value in zip(level, expected, strict=True):
            torch.testing.assert_close(output, value, rtol=0, atol=0)


def test_without_the_sky_branch_its_layers_are_not_looked_for_by_name():
    by_name = dict(type='Kaiming', layer='Conv2d', override=[
        dict(type='Constant', name='conv_cls', val=3.0), dict(type='Constant', name='conv_seg', val=4.0)])
    assert (build(init_cfg=by_name).bbox_head.conv_seg.weight == 4).all()
    assert (build(init_cfg=by_name, with_seg=False).bbox_head.conv_cls.weight == 3).all()


def test_adapter_keeps_pytorchs_initialisation_and_convolutions_get_the_heads():
    head = build().bbox_head
    assert head.conv_cls.weight.std() < 0.02 and head.conv_seg.weight.std() < 0.02
    # Linear(1, 64) draws from U(-1, 1), whose standard deviation is 0.58; 0.01 would erase what passes.
    assert head.exchange.adapters[0].layers[0].weight.std() > 0.3


def test_sky_truth_is_read_at_the_points():
    sky = torch.randint(0, 2, (2, 1, 64, 96), dtype=torch.uint8)
    for stride in (4, 8, 16, 32):
        size = (64 // stride, 96 // stride)
        expected = F.interpolate(sky.float(), size=size, mode='nearest-exact').to(torch.uint8)
        assert torch.equal(sample_at_points(sky, stride, size), expected)
    ragged = sample_at_points(sky[..., :60, :90], 8, (8, 12))
    assert torch.equal(ragged[..., :7, :11], sky[..., 4:60:8, 4:90:8][..., :7, :11])
    assert (ragged[..., 7, :] == 255).all() and (ragged[..., 11] == 255).all()


def test_loss_seg_is_the_mean_cross_entropy_of_each_level_over_known_pixels():
    head = MODELS.build(HEAD)
    rng = np.random.default_rng(0)
    skies = [rng.choice(np.array([0, 1, 255], np.uint8), (64, 64)) for _ in range(2)]
    samples = [make_sample((64, 64), sky=sky) for sky in skies]
    logits = [torch.randn(2, 1, 64 // stride, 64 // stride) for stride in (8, 16, 32)]
    losses = head.loss_seg_by_feat(logits, samples)
    for loss, level, stride in zip(losses, logits, (8, 16, 32), strict=True):
        truth = np.stack(skies)[:, stride // 2::stride, stride // 2::stride].ravel()
        z = level.numpy().astype(np.float64).ravel()[truth != 255]
        t = truth[truth != 255].astype(np.float64)
        expected = np.mean(-t * np.log(1 / (1 + np.exp(-z))) - (1 - t) * np.log(1 - 1 / (1 + np.exp(-z))))
        assert loss.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize('sky', ['all', 'none', 'half', 'unknown'])
@pytest.mark.parametrize('boxes', [(), ((4, 4, 20, 20), )])
def test_training_stays_finite(sky, boxes):
    value = {'all': 1, 'none': 0, 'half': 1, 'unknown': 255}[sky]
    sky_map = np.full((64, 64), value, np.uint8)
    if sky == 'half':
        sky_map[32:] = 0
    network = build().train()
    losses = run(network, make_batch([make_sample((64, 64), boxes, sky_map) for _ in range(2)]), 'loss', training=True)
    assert set(losses) == {'loss_cls', 'loss_bbox', 'loss_centerness', 'loss_seg'} and len(losses['loss_seg']) == 3
    total, _ = network.parse_losses(losses)
    total.backward()
    assert torch.isfinite(total)
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)
    if sky == 'unknown':
        assert sum(losses['loss_seg']) == 0


def test_every_parameter_learns():
    network = build().train()
    boxes = ((2, 2, 7, 7), (10, 12, 110, 100), (30, 20, 220, 230))
    samples = [make_sample((256, 256), boxes, np.eye(256, dtype=np.uint8)) for _ in range(2)]
    network.parse_losses(run(network, make_batch(samples), 'loss', training=True))[0].backward()
    dead = [name for name, p in network.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert dead == []


def test_padding_of_the_batch_is_ignored_by_the_sky_loss():
    network = build().train()
    batch = network.data_preprocessor(make_batch([make_sample((64, 64)), make_sample((48, 33))]), True)
    padded = batch['data_samples'][1].gt_sem_seg.sem_seg
    assert padded.shape == (1, 64, 64)
    assert (padded[:, :48, :33] == 1).all() and (padded[:, 48:] == 255).all() and (padded[:, :, 33:] == 255).all()


def test_predict_gives_boxes_and_a_sky_map_of_the_original_size():
    network = build().eval()
    samples = [make_sample((64, 96), ori_size=(128, 300)), make_sample((60, 50), ori_size=(60, 50))]
    with torch.no_grad():
        predicted = run(network, make_batch(samples), 'predict')
    for sample, size in zip(predicted, ((128, 300), (60, 50)), strict=True):
        sky = sample.pred_sem_seg.sem_seg
        assert sky.shape == (1, *size) and sky.dtype == torch.uint8 and sky.max() <= 1
        boxes = sample.pred_instances.bboxes
        assert boxes.shape[1] == 4 and len(boxes) <= 100
        assert (boxes >= 0).all() and (boxes[:, 2] <= size[1]).all() and (boxes[:, 3] <= size[0]).all()


def test_sky_map_is_the_bilinear_logits_of_the_finest_level_with_padding_cut():
    head = MODELS.build(HEAD)
    logits = torch.randn(1, 1, 8, 12)
    meta = dict(img_shape=(60, 90), ori_shape=(120, 45))
    found = at_pixels(logits, meta, rescale=True, stride=head.strides[0])
    # Bilinear by its definition: value at output centre (i + 1/2) * input / output - 1/2, borders held.
    full = _bilinear(logits[0, 0].numpy(), (64, 96))[:60, :90]
    expected = _bilinear(full, (120, 45))
    np.testing.assert_allclose(found[0].numpy(), expected, atol=1e-5)
    assert at_pixels(logits, meta, rescale=False, stride=head.strides[0]).shape == (1, 60, 90)


def test_a_logit_of_0_counts_as_sky():
    network = build().eval()
    for parameter in network.bbox_head.conv_seg.parameters():
        parameter.data.zero_()
    with torch.no_grad():
        predicted, = run(network, make_batch([make_sample((64, 96))]), 'predict')
    assert predicted.pred_sem_seg.sem_seg.all()


def _bilinear(values, size):
    for axis, out in enumerate(size):
        n = values.shape[axis]
        position = np.clip((np.arange(out) + 0.5) * n / out - 0.5, 0, n - 1)
        low = np.floor(position).astype(int)
        high = np.minimum(low + 1, n - 1)
        weight = (position - low).reshape([-1 if a == axis else 1 for a in range(2)])
        values = np.take(values, low, axis) * (1 - weight) + np.take(values, high, axis) * weight
    return values


def test_tensor_mode_gives_the_heads_four_lists():
    network = build().eval()
    outputs = run(network, make_batch([make_sample((64, 64))]), 'tensor')
    assert [level[0].shape[1] for level in outputs] == [1, 4, 1, 1]


def test_plain_fcos_head_predicts_without_a_sky_map():
    network = build(with_seg=False).eval()
    with torch.no_grad():
        sample, = run(network, make_batch([make_sample((64, 64))]), 'predict')
    assert 'pred_sem_seg' not in sample and 'pred_instances' in sample


def test_neck_and_head_must_agree():
    with pytest.raises(InputError, match='2 levels and the head has 3 strides'):
        MODELS.build(HEAD)([torch.randn(1, 8, 4, 4)] * 2)


def test_a_training_sample_without_sky_map_is_named():
    network = build().train()
    sample = make_sample((64, 64))
    del sample.gt_sem_seg
    with pytest.raises(InputError, match='LoadSkyAnnotations'):
        network.bbox_head.loss([torch.randn(1, 8, s, s) for s in (8, 4, 2)], [sample])
