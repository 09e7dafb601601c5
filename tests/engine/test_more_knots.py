"""Larger targets: more ``side_knots`` by config, what they can say, and weights that have fewer."""
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData, PixelData

from bafenet import weights as shipped
from bafenet.engine.checkpoints import load_weights
from bafenet.engine.network import build_network
from bafenet.engine.options import load_config
from bafenet.errors import InputError

CONFIG = 'configs/bafenet/bafenet_hr_tiny_densesirst.py'
KNOTS = (1, 2, 3, 4, 5, 6, 8, 12, 16, 24, 32, 48)


def config(knots=KNOTS):
    return load_config(CONFIG, [f'model.bbox_head.side_knots={knots}'])


def test_the_network_of_more_knots_learns_boxes_of_forty_five_pixels():
    torch.manual_seed(0)
    cfg = config()
    network = MODELS.build(cfg.model)
    assert network.bbox_head.conv_reg.out_channels == 4 * len(KNOTS)
    assert network.bbox_head.bbox_coder.knots == KNOTS
    sample = DetDataSample(metainfo=dict(img_shape=(64, 64), pad_shape=(64, 64), scale_factor=(1.0, 1.0)))
    box = torch.tensor([[10., 12., 55., 56.]])
    sample.gt_instances = InstanceData(bboxes=box, labels=torch.zeros(1, dtype=torch.long))
    sample.gt_sem_seg = PixelData(sem_seg=torch.ones(1, 64, 64, dtype=torch.uint8))
    coder = network.bbox_head.bbox_coder
    points = torch.tensor([[33., 35.], [11., 13.]])  # its middle, and near its corner
    sides = torch.stack([torch.stack([x - box[0, 0], y - box[0, 1], box[0, 2] - x, box[0, 3] - y]) for x, y in points])
    place = coder.position(sides)
    low = place.floor().long().clamp(max=len(KNOTS) - 2)
    weights = torch.zeros(2, 4, len(KNOTS))
    weights.scatter_(2, low[..., None], (1 - (place - low))[..., None])
    weights.scatter_(2, low[..., None] + 1, (place - low)[..., None])
    torch.testing.assert_close(coder.decode(points, weights.clamp(min=1e-20).log().flatten(1)), box.expand(2, 4))
    # Two images, for the normalisation of the coarsest stage.
    inputs = [torch.zeros(1, 64, 64).expand(3, -1, -1)] * 2
    batch = network.data_preprocessor(dict(inputs=inputs, data_samples=[sample, sample.clone()]), True)
    total, losses = network.train().parse_losses(network(**batch, mode='loss'))
    total.backward()
    assert all(torch.isfinite(value) for value in losses.values()) and losses['loss_bbox'] > 0
    assert network.bbox_head.conv_reg.weight.grad.abs().sum() > 0


def test_weights_of_fewer_knots_are_told_by_the_layer_that_differs():
    checkpoint = torch.load(shipped.find('bafenet_hr_tiny'), weights_only=True)
    report = load_weights(MODELS.build(config().model), checkpoint)
    assert report.reshaped == ['bbox_head.conv_reg.weight', 'bbox_head.conv_reg.bias']
    assert not report.missing and not report.unexpected
    assert 'of another shape or kind (bbox_head.conv_reg.weight, bbox_head.conv_reg.bias)' in report.describe()
    with pytest.raises(InputError, match=r'missing or of another shape \(bbox_head.conv_reg') as error:
        build_network(config(), checkpoint, 'bafenet_hr_tiny')
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('bad', ['(8,4)', '(1,)', '3', '(-1,4)', "('1','2')", 'None'])
def test_bad_knots_are_refused(bad):
    with pytest.raises(InputError, match='side_knots'):
        MODELS.build(config(bad).model)
