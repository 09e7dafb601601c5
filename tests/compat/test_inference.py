"""mmdet's ``inference_detector`` and ``DetInferencer`` with every family of networks."""
import json

import cv2
import numpy as np
import pytest
import torch
from conftest import ROOT, a_third
from mmcv.transforms import Compose
from mmdet.apis import DetInferencer, inference_detector, init_detector
from mmdet.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import CheckpointLoader
from PIL import Image
from scipy.spatial.distance import cdist

from bafenet.errors import InputError

FAMILIES = ['bafenet/bafenet_r18', 'bafenet/bafenet_r50', 'bafenet/bafenet_r50_nearest', 'bafenet/bafenet_hr_tiny',
            'bafenet/bafenet_dynamic_r18', 'baselines/fcos_r50']
HR_TINY = str(ROOT / 'configs/bafenet/bafenet_hr_tiny_densesirst.py')
R18, FCOS = (str(ROOT / f'configs/{name}_densesirst.py') for name in ('bafenet/bafenet_r18', 'baselines/fcos_r50'))
SHIPPED = 'bafenet_hr_tiny'


@pytest.fixture(scope='module', params=a_third(FAMILIES))
def network(request, devkit, tmp_path_factory):
    """A config, small frames and a low threshold, and a checkpoint of random weights as a run writes it."""
    init_default_scope('mmdet')  # for this file alone: fixtures of a module come before it is set
    cfg = Config.fromfile(ROOT / f'configs/{request.param}_densesirst.py')
    dataset = cfg.test_dataloader.dataset
    dataset.update(data_root=str(devkit), ann_file='Splits/test_v2.txt')
    for step in dataset.pipeline:
        if step.type == 'Resize':
            step.scale = (64, 64)
    cfg.model.test_cfg.score_thr = 1e-4
    cfg.model.backbone.init_cfg = None
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    file = tmp_path_factory.mktemp('weights') / 'epoch_1.pth'
    meta = dict(cfg=cfg.pretty_text, epoch=1, iter=4, dataset_meta=dict(classes=('Target', ), palette=[(255, 64, 64)]))
    torch.save(dict(meta=meta, state_dict=model.state_dict(), message_hub=dict(log_scalars={}, runtime_info={},
                                                                             resumed_keys={})), file)
    return cfg, str(file)


def frame_of(cfg) -> tuple[str, np.ndarray]:
    """Path and grey levels (H, W) of the first frame that the config tests on."""
    path = DATASETS.build(cfg.test_dataloader.dataset).get_data_info(0)['img_path']
    return path, cv2.imread(path, cv2.IMREAD_GRAYSCALE)


def forms(grey: np.ndarray) -> list[np.ndarray]:
    """The arrays that a frame may be given as."""
    return [grey, grey[..., None], np.repeat(grey[..., None], 3, axis=2)]


def as_arrays(sample) -> list[np.ndarray]:
    """Boxes, scores, labels and, where there is one, the sky map of a prediction."""
    found = sample.pred_instances
    sky = [sample.pred_sem_seg.sem_seg] if 'pred_sem_seg' in sample else []
    return [value.cpu().numpy() for value in (found.bboxes, found.scores, found.labels, *sky)]


def assert_same(sample, expected) -> None:
    for ours, truth in zip(as_arrays(sample), as_arrays(expected), strict=True):
        np.testing.assert_array_equal(ours, truth)


@pytest.fixture(scope='module')
def expected(network):
    """What the pipeline of tools/test.py predicts of the first frame."""
    cfg, weights = network
    model = init_detector(cfg.copy(), weights, device='cpu')
    packed = DATASETS.build(cfg.test_dataloader.dataset)[0]
    with torch.no_grad():
        sample, = model.test_step({key: [value] for key, value in packed.items()})
    assert len(sample.pred_instances) > 0
    assert ('pred_sem_seg' in sample) == hasattr(model.bbox_head, 'loss_seg')
    return sample


def test_inference_detector_predicts_what_a_test_does(network, expected):
    cfg, weights = network
    path, grey = frame_of(cfg)
    model = init_detector(cfg.copy(), weights, device='cpu')
    assert_same(inference_detector(model, path), expected)
    for frame in forms(grey):
        before = frame.copy()
        assert_same(inference_detector(model, frame), expected)
        np.testing.assert_array_equal(frame, before)
    for sample in inference_detector(model, [path, grey]):
        assert_same(sample, expected)


def test_the_inferencer_predicts_what_a_test_does_and_writes_it(network, expected, tmp_path):
    cfg, weights = network
    path, grey = frame_of(cfg)
    inferencer = DetInferencer(cfg.copy(), weights, device='cpu', show_progress=False)
    samples = inferencer([path, *forms(grey)], return_datasamples=True, batch_size=2)['predictions']
    assert len(samples) == 4
    for sample in samples:
        # In a batch the rounding may be another, and with it the order of boxes whose scores are nearly equal.
        ours, truth = as_arrays(sample), as_arrays(expected)
        order = cdist(truth[0], ours[0]).argmin(axis=1) if len(truth[0]) else []
        assert sorted(order) == list(range(len(ours[0])))
        for index, (values, wanted) in enumerate(zip(ours, truth, strict=True)):
            values = values[order] if index < 3 else values  # boxes, scores, labels
            np.testing.assert_allclose(values, wanted, rtol=1e-3, atol=1e-3)
    for frame, name, picture in ((path, 'scene_10', 'scene_10.png'), (grey, '0', '00000001.jpg')):
        result, = inferencer(frame, out_dir=str(tmp_path), no_save_pred=False)['predictions']
        assert json.loads((tmp_path / 'preds' / f'{name}.json').read_text()) == result
        np.testing.assert_allclose(result['bboxes'], expected.pred_instances.bboxes, rtol=1e-5)
        assert min(Image.open(tmp_path / 'vis' / picture).size) >= 64
        assert ('sem_seg_path' in result) == ('pred_sem_seg' in expected)
        if 'sem_seg_path' in result:
            sky = np.asarray(Image.open(result['sem_seg_path']))
            np.testing.assert_array_equal(sky, expected.pred_sem_seg.sem_seg[0])


def test_a_pipeline_of_mmdets_loader_and_our_packer_gives_the_same(devkit):
    model = init_detector(HR_TINY, SHIPPED, device='cpu')
    path = str(devkit / 'PNGImages' / 'scene_0.png')
    pipeline = Compose([dict(type='mmdet.LoadImageFromNDArray'), dict(type='PackInfraredInputs')])
    for frame in forms(cv2.imread(path, cv2.IMREAD_GRAYSCALE)):
        assert_same(inference_detector(model, frame, pipeline), inference_detector(model, path))


def test_shipped_weights_have_a_name_at_both_doors(devkit):
    path = devkit / 'PNGImages' / 'scene_0.png'
    sample = inference_detector(init_detector(HR_TINY, SHIPPED, device='cpu'), str(path))
    for inferencer in (DetInferencer(HR_TINY, SHIPPED, device='cpu'), DetInferencer(weights=SHIPPED, device='cpu')):
        result, = inferencer(path)['predictions']
        np.testing.assert_allclose(result['bboxes'], sample.pred_instances.bboxes)
        np.testing.assert_array_equal(result['sem_seg'], sample.pred_sem_seg.sem_seg[0])


@pytest.fixture(scope='module')
def unfit(tmp_path_factory):
    """The shipped weights without one of them."""
    checkpoint = CheckpointLoader.load_checkpoint(SHIPPED)
    checkpoint['state_dict'].popitem()
    file = tmp_path_factory.mktemp('unfit') / 'epoch_1.pth'
    torch.save(checkpoint, file)
    return str(file)


@pytest.mark.parametrize('door', [init_detector, DetInferencer])
def test_weights_that_do_not_fit_are_refused(door, unfit):
    for config, weights in ((HR_TINY, unfit), (R18, SHIPPED), (FCOS, SHIPPED)):
        config = Config.fromfile(config)
        config.model.backbone.init_cfg = None
        with pytest.raises(InputError, match='does not fit the network of its config, weights: .*missing') as caught:
            door(config, weights, device='cpu')
        assert '\n' not in str(caught.value)


def test_a_window_without_a_display_is_refused(doors, monkeypatch):
    for name in ('DISPLAY', 'WAYLAND_DISPLAY'):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError, match='there is no display'):
        doors[1](np.zeros((64, 64), np.uint8), show=True)


def test_a_folder_is_all_its_frames(devkit):
    inferencer = DetInferencer(HR_TINY, SHIPPED, device='cpu', show_progress=False)
    assert len(inferencer(devkit / 'PNGImages', batch_size=5)['predictions']) == 12


def test_a_coloured_frame_is_drawn_in_its_colours():
    blue = np.zeros((96, 96, 3), np.uint8)
    blue[..., 0] = 255
    inferencer = DetInferencer(HR_TINY, SHIPPED, device='cpu', show_progress=False)
    picture, = inferencer(blue, return_vis=True, pred_score_thr=1.0)['visualization']
    assert picture[..., 2].mean() > picture[..., 0].mean()  # RGB


@pytest.fixture(scope='module')
def doors():
    """Both doors with the shipped network."""
    model = init_detector(HR_TINY, SHIPPED, device='cpu')
    return lambda frame: inference_detector(model, frame), DetInferencer(HR_TINY, SHIPPED, device='cpu',
                                                                         show_progress=False)


@pytest.mark.parametrize(('frame', 'message'), [
    (np.zeros((64, 64), bool), 'bool 64x64: give grey levels'),
    (np.zeros((64, 64), complex), 'complex128 64x64: give grey levels'),
    (np.zeros((64, 64, 4), np.uint8), 'uint8 64x64x4: give .* grey, or .* BGR'),
    (np.zeros((2, 64, 64, 3), np.uint8), 'uint8 2x64x64x3: give'),
    (np.zeros((0, 64), np.uint8), 'uint8 0x64: give'),
    (np.broadcast_to(np.uint8(0), (2**14, 2**13)), 'more than 67,108,864 pixels'),
])
def test_other_arrays_are_refused_by_name(doors, frame, message):
    for door in doors:
        with pytest.raises(InputError, match=message):
            door(frame)


def test_sixteen_bits_are_taken_from_files_and_arrays(doors, tmp_path):
    deep = np.random.default_rng(0).integers(0, 4000, (64, 64), dtype=np.uint16)
    cv2.imwrite(str(tmp_path / 'deep.png'), deep)
    detect, inferencer = doors
    assert_same(detect(deep), detect(str(tmp_path / 'deep.png')))
    first, second = inferencer([deep, str(tmp_path / 'deep.png')])['predictions']
    np.testing.assert_array_equal(first['sem_seg'], second['sem_seg'])


def test_other_pipelines_are_left_to_mmdet(devkit):
    cfg = Config.fromfile(HR_TINY)
    cfg.test_dataloader.dataset.pipeline = [
        dict(type='LoadImageFromFile'), dict(type='PackInfraredInputs', meta_keys=('img_shape', 'ori_shape',
                                                                                   'scale_factor'))]
    inferencer = DetInferencer(cfg, SHIPPED, device='cpu', show_progress=False)
    assert type(inferencer.pipeline.transforms[0]).__name__ == 'InferencerLoader'
    result, = inferencer(str(devkit / 'PNGImages' / 'scene_0.png'))['predictions']
    assert result.keys() == {'labels', 'scores', 'bboxes'}
