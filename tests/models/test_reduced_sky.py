"""The sky of large frames at two sizes: mean of both, boxes as they are, the same in test, predict and ONNX files."""
import numpy as np
import pytest
import torch
from conftest import ROOT
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from onnx_networks import frames_of, write_network

import bafenet
from bafenet.engine.options import load_config
from bafenet.errors import InputError
from bafenet.models.head_outputs import Predictions
from bafenet.models.reduced_sky import predict_frames
from bafenet.release.onnx_build import Trained, build_onnx

SIDE = 48


class GreyIsSky:
    """A network whose sky logits are the grey levels that it is given, and which notes the sizes of its inputs."""

    def __init__(self, divisor=1, **test_cfg):
        self.bbox_head, self.test_cfg, self.sizes = self, ConfigDict(test_cfg), []
        self.data_preprocessor = ConfigDict(pad_size_divisor=divisor)

    def extract_feat(self, inputs):
        self.sizes += [tuple(image.shape[-2:]) for image in inputs]
        return inputs

    def predict_with_maps(self, images, samples, rescale, cfg=None, with_nms=True):
        sky = [image[:1, :sample.img_shape[0], :sample.img_shape[1]].float()
               for image, sample in zip(images, samples, strict=True)]
        return Predictions([InstanceData(scores=torch.ones(2))] * len(sky), sky, [None] * len(sky))


class NoSky(GreyIsSky):
    def predict_with_maps(self, *args, **kwargs):
        found = super().predict_with_maps(*args, **kwargs)
        return found._replace(sky_logits=[None] * len(found.sky_logits))


def sample_of(height, width):
    return DetDataSample(metainfo=dict(img_shape=(height, width), ori_shape=(height, width), scale_factor=(1, 1)))


def predict(network, *images):
    return predict_frames(network, list(images), [sample_of(*image.shape[-2:]) for image in images])


@pytest.mark.parametrize('dtype', [torch.float32, torch.uint8])
def test_the_logits_of_a_large_frame_are_the_mean_of_two_sizes(dtype):
    # Columns of 0 and 200 by turns: at half the size every one is 100.
    image = (torch.arange(96) % 2 * 200).expand(3, 40, 96).to(dtype)
    network = GreyIsSky(sky_side=SIDE)
    found = predict(network, image)
    assert network.sizes == [(40, 96), (20, 48)]
    inner = found.sky_logits[0][0, 4:-4, 4:-4].numpy()
    np.testing.assert_allclose(inner, np.broadcast_to((image[0, 4:-4, 4:-4].numpy() + 100.0) / 2, inner.shape), atol=1)
    assert len(found.boxes[0]) == 2


def test_what_is_enlarged_again_lies_in_its_place():
    ramp = torch.arange(96.0).expand(3, 60, 96)
    inner = predict(GreyIsSky(sky_side=SIDE), ramp).sky_logits[0][0, :, 4:-4].numpy()
    np.testing.assert_allclose(inner, ramp[0, :, 4:-4].numpy(), atol=0.01)


@pytest.mark.parametrize(('settings', 'shape'), [({}, (40, 96)), (dict(sky_side=None), (40, 96)),
                                                 (dict(sky_side=SIDE), (48, 48)), (dict(sky_side=SIDE), (20, 30))])
def test_small_frames_and_networks_without_it_run_once(settings, shape):
    network, image = GreyIsSky(**settings), torch.rand(3, *shape)
    assert torch.equal(predict(network, image).sky_logits[0][0], image[0]) and network.sizes == [shape]


def test_each_frame_of_a_batch_goes_its_own_way_and_is_padded_as_a_frame_of_its_size_is():
    network = GreyIsSky(divisor=32, sky_side=SIDE)
    images = torch.rand(2, 3, 64, 96)
    found = predict_frames(network, images, [sample_of(33, 40), sample_of(50, 90)])
    # 50 x 90 becomes 27 x 48.
    assert network.sizes == [(64, 96), (64, 96), (32, 64)]
    assert torch.equal(found.sky_logits[0], images[0, :1, :33, :40]) and found.sky_logits[1].shape == (1, 50, 90)


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp('networks')
    found = {name: write_network('hr_tiny', folder / f'{name}.pth', nms_pre=300, **more)
             for name, more in (('once', {}), ('twice', dict(sky_side=SIDE)))}
    found['onnx'] = folder / 'twice.onnx'
    found['onnx'].write_bytes(build_onnx(Trained.read(str(found['twice']))))
    return found


def test_checkpoint_onnx_file_and_mode_predict_agree(files):
    once, twice, onnx = (bafenet.load(files[name]) for name in ('once', 'twice', 'onnx'))
    for frame in frames_of(2, 75, 101, 1):
        own, ours, theirs = (detector(frame) for detector in (once, twice, onnx))
        assert np.abs(ours.sky_probability - own.sky_probability).max() > 0.01
        np.testing.assert_array_equal(ours.boxes, own.boxes)
        np.testing.assert_array_equal(ours.scores, own.scores)
        np.testing.assert_allclose(theirs.sky_probability, ours.sky_probability, atol=2e-3)
        pixels = torch.from_numpy(np.repeat(frame.reshape(1, 75, 101), 3, 0))
        data = twice.model.data_preprocessor(dict(inputs=[pixels], data_samples=[sample_of(75, 101)]), False)
        with torch.no_grad():
            tested, = twice.model(**data, mode='predict')
        np.testing.assert_array_equal(tested.pred_sem_seg.sem_seg[0].numpy(), ours.sky)


TINY, FCOS = (str(ROOT / f'configs/{name}_densesirst.py') for name in ('bafenet/bafenet_hr_tiny', 'baselines/fcos_r50'))


@pytest.mark.parametrize('value', ['0', '12.5', 'many', '-640'])
def test_sizes_that_are_none_are_one_line(value):
    with pytest.raises(InputError, match='sky_side'):
        load_config(TINY, [f'model.test_cfg.sky_side={value}'])


def test_it_is_an_option_of_networks_that_segment_the_sky_alone():
    assert load_config(TINY, ['model.test_cfg.sky_side=480']).model.test_cfg.sky_side == 480
    with pytest.raises(InputError, match='sky_side=640 is for heads that segment the sky'):
        load_config(FCOS, ['model.test_cfg.sky_side=640'])


def test_a_network_whose_sky_branch_is_off_keeps_the_entry_and_gives_no_sky():
    cfg = load_config(TINY, ['model.bbox_head.with_seg=False', 'model.bbox_head.exchange=None'])
    assert cfg.model.test_cfg.sky_side
    network = NoSky(sky_side=SIDE)
    assert predict(network, torch.rand(3, 40, 96)).sky_logits == [None] and network.sizes == [(40, 96)]
