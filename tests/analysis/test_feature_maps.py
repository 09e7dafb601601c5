"""Feature maps: the right activations, at their place in the frame, on one colour scale."""
import cv2
import numpy as np
import pytest
import torch
from conftest import load_tool
from mmengine.dataset import pseudo_collate
from small_checkpoints import write_checkpoint, write_config

from bafenet.analysis import feature_maps as maps
from bafenet.errors import InputError
from bafenet.models.exchange import ChannelExchange, DynamicChannelExchange, SpatialExchange
from bafenet.visualization.feature_map_figure import FeatureMap, Row, figure, limits


@pytest.fixture(scope='module')
def checkpoints(tmp_path_factory, devkit):
    """Checkpoints of the demo's network, with and without the sky branch."""
    folder = tmp_path_factory.mktemp('maps')
    (folder / 'bafe').mkdir(), (folder / 'fcos').mkdir()
    bafe = write_checkpoint(write_config(folder / 'bafe/c.py', devkit))
    fcos = write_config(folder / 'fcos/c.py', devkit)
    with open(fcos, 'a') as file:
        file.write("model['bbox_head'] = dict(with_seg=False)\n")
    return bafe, write_checkpoint(fcos)


@pytest.fixture(scope='module')
def network(checkpoints):
    return maps.load_network(checkpoints[0])


@pytest.fixture(scope='module')
def image():
    return np.random.default_rng(0).integers(0, 255, (48, 96), dtype=np.uint8)


def test_maps_are_those_of_the_network_run_by_hand(network, image):
    found = maps.feature_maps(network, image, [*maps.FRIENDLY, *maps.EXCHANGED, 'bbox_head.cls_convs.0', 'neck'][:-1])
    batch = network.model.data_preprocessor(pseudo_collate([network.pipeline(dict(img=image))]), False)
    with torch.no_grad():
        x = network.model.extract_feat(batch['inputs'])[0]
        head = network.model.bbox_head
        cls_before, _, seg_before = head.before_exchange(x)
        cls_after, seg_after = head.exchange(cls_before, seg_before)
        expected = dict(cls_before=cls_before, seg_before=seg_before, cls_after=cls_after, seg_after=seg_after,
                        cls_exchanged=cls_after[:, ::2], seg_exchanged=seg_after[:, ::2])
        expected['bbox_head.cls_convs.0'] = head.cls_convs[0](x)
    assert found.keys() == expected.keys()
    for layer, activation in expected.items():
        assert found[layer].values == pytest.approx(activation[0].abs().mean(0).numpy(), abs=1e-5), layer
        # The pipeline resizes 48x96 to 64x64, and the level's stride is 2.
        assert found[layer].cell == pytest.approx((2 * 48 / 64, 2 * 96 / 64))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.model.modules())


def test_reductions():
    x = torch.tensor([[[3.]], [[-4.]]])
    assert {name: function(x).item() for name, (_, function) in maps.REDUCTIONS.items()} == dict(
        mean=3.5, max=4, norm=5)


@pytest.mark.parametrize('exchange', [ChannelExchange, SpatialExchange, DynamicChannelExchange])
def test_what_came_from_the_other_task_is_told_apart(exchange):
    torch.manual_seed(0)
    before, other = torch.rand(1, 8, 6, 10), torch.rand(1, 8, 6, 10)
    with torch.no_grad():
        after, _ = exchange(channels=8, ratio=0.5)(before, other)
    part = maps.exchanged_part(before, after)
    assert part.shape == (1, 8 if exchange is SpatialExchange else 4, 6, 10)
    if exchange is SpatialExchange:
        assert torch.equal(part[..., ::2], other[..., ::2]) and not part[..., 1::2].any()
    else:
        assert all(any(torch.equal(one, theirs) for theirs in other[0]) for one in part[0])


def test_a_network_without_a_sky_branch_says_so(checkpoints, image):
    found = maps.feature_maps(maps.load_network(checkpoints[1]), image, [*maps.FRIENDLY, *maps.EXCHANGED])
    assert found['seg_before'] == found['seg_after'] == found['seg_exchanged'] == 'no sky branch'
    assert found['cls_exchanged'] == 'no exchange'
    assert np.array_equal(found['cls_before'].values, found['cls_after'].values)


def test_layers_that_do_not_exist_are_answered_by_those_that_do(network, image):
    for layer, message in (('bbox_head.cls_conv.0', r'no such layer; close: bbox_head\.cls_convs\.0'),
                           ('', 'no such layer'), ('bbox_head.loss_cls', 'nothing passes this layer'),
                           ('backbone', 'gives no feature maps')):
        with pytest.raises(InputError, match=message):
            maps.feature_maps(network, image, [layer])
    with pytest.raises(InputError, match='--level 1: cls_after is passed 1 times'):
        maps.feature_maps(network, image, ['cls_after'], level=1)


def test_frames_by_name_have_boxes_and_those_by_path_have_none(network, devkit, tmp_path):
    path = str(tmp_path / 'a.png')
    cv2.imwrite(path, np.zeros((8, 9), np.uint8))
    named, by_path = maps.find_frames(['scene_10', path], network.cfg, 'test_v2')
    assert named.boxes.shape == (4, 4) and named.image.shape == (64, 64)
    assert by_path.name == 'a.png' and by_path.boxes.shape == (0, 4)
    assert maps.find_frames(['scene_8'], network.cfg, 'val_v2')[0].name == 'scene_8'
    with pytest.raises(InputError, match='--frames scene_8: no such file, and no image of the split; close: scene_1'):
        maps.find_frames(['scene_8'], network.cfg, 'test_v2')


def test_the_window_holds_the_densest_cluster_and_stays_in_the_frame():
    boxes = np.array([[5, 5, 8, 8], [80, 40, 83, 43], [86, 44, 89, 47], [84, 47, 87, 50]], float)
    frame = maps.FrameOf('a', np.zeros((52, 100), np.uint8), boxes)
    x1, y1, x2, y2 = maps.window(frame, 24)
    assert (x2 - x1, y2 - y1) == (24, 24) and x1 >= 0 and y1 >= 0 and x2 <= 100 and y2 <= 52
    assert (boxes[1:, :2] >= (x1, y1)).all() and (boxes[1:, 2:] <= (x2, y2)).all()
    assert maps.window(frame) == (0, 0, 100, 52) == maps.window(frame, 4000)


def row(label, high, window=(0, 0, 8, 8)):
    """A row whose second layer is twice as bright, with a bright spot at the lower right corner."""
    values = np.zeros((4, 4))
    values[0, 0], values[3, 3] = high, 10 * high
    layers = {'a': FeatureMap(values, (2, 2)), 'b': FeatureMap(2 * values, (2, 2)), 'c': 'no sky branch'}
    return Row(label, 'frame', np.zeros((8, 8), np.uint8), np.array([[1., 1, 3, 3]]), layers, window)


def test_one_colour_scale_holds_all_that_is_shown():
    rows = [row('x', 1), row('y', 3)]
    assert {layer: norm.vmax for layer, norm in limits(rows).items()} == dict(a=60, b=60, c=60)
    each = limits(rows, 'layer')
    assert (each['a'].vmax, each['b'].vmax) == (30, 60) and all(norm.vmin == 0 for norm in each.values())
    assert limits([row('x', 1, (0, 0, 4, 4))])['a'].vmax == 2  # the spot is outside the window
    drawing = figure(rows, 'mean')
    norms = {id(image.norm) for axes in drawing.axes[:8] for image in axes.images[:1] if axes.images[0].cmap.name ==
             'viridis'}
    assert len(norms) == 1 and len(drawing.axes) == 9


@pytest.mark.faults
def test_the_tool_draws_networks_side_by_side(checkpoints, devkit, tmp_path):
    out = tmp_path / 'maps.png'
    assert load_tool('analysis/feature_maps.py').main([
        *checkpoints, '--labels', r'$\frac{', 'FCOS', '--frames', 'scene_10', '--split', 'test_v2', '--zoom', '32',
        '--layers', 'cls_before', 'seg_after', '--out', str(out)]) == 0
    assert cv2.imread(str(out)).std() > 20
