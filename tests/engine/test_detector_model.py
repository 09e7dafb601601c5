"""Models of other configs under a protocol of ours."""
import pytest
from conftest import ROOT

from bafenet.compat.registered_types import require_known_types
from bafenet.engine.detector_model import detector_model
from bafenet.engine.options import load_config
from bafenet.errors import InputError

PROTOCOL = dict(
    backbone=dict(style='caffe'),
    data_preprocessor=dict(type='DetDataPreprocessor', mean=[1.0, 2.0, 3.0], std=[4.0, 5.0, 6.0], bgr_to_rgb=True,
                           pad_seg=True, pad_size_divisor=32))
RETINA = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'


def write(folder, text):
    file = folder / 'detector.py'
    file.write_text(text)
    return str(file)


def test_what_the_protocol_says_is_changed_and_nothing_else():
    model = detector_model(RETINA, PROTOCOL, num_classes=3)
    assert model['data_preprocessor'] == PROTOCOL['data_preprocessor'] and model['bbox_head']['num_classes'] == 3
    assert model['backbone'] == dict(
        type='ResNet', depth=50, num_stages=4, out_indices=(0, 1, 2, 3), frozen_stages=-1, norm_eval=True,
        norm_cfg=dict(type='BN', requires_grad=False), style='caffe',
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50'))
    assert model['neck']['start_level'] == 1 and model['test_cfg']['score_thr'] == 0.05
    # Plain values, which a config takes and dumps.
    assert type(model) is type(model['bbox_head']['anchor_generator']) is dict


def test_changes_come_last_and_are_merged():
    model = detector_model(RETINA, PROTOCOL, bbox_head=dict(anchor_generator=dict(octave_base_scale=1)),
                           neck=dict(_delete_=True, type='Other'))
    assert model['bbox_head']['anchor_generator']['octave_base_scale'] == 1
    assert model['bbox_head']['anchor_generator']['strides'] == [8, 16, 32, 64, 128]
    assert model['neck'] == dict(type='Other')


def test_classes_of_every_stage_boxes_and_batch_normalisation(tmp_path):
    stage = "dict(type='Head', num_classes=80, norm_cfg=dict(type='SyncBN', eps=1e-3))"
    source = write(tmp_path, f'''model = dict(
        type='X', backbone=dict(type='Own', frozen_stages=1),
        data_preprocessor=dict(pad_size_divisor=128, std=[1, 1, 1]),
        roi_head=dict(bbox_head=[{stage}, {stage}]), num_queries=300,
        test_cfg=dict(rpn=dict(max_per_img=1000), rcnn=dict(score_thr=0.1, max_per_img=300)))''')
    model = detector_model(source, PROTOCOL)
    for head in model['roi_head']['bbox_head']:
        assert head == dict(type='Head', num_classes=1, norm_cfg=dict(type='BN', eps=1e-3))
    # Proposals are no boxes of the result.
    assert model['test_cfg'] == dict(rpn=dict(max_per_img=1000), rcnn=dict(score_thr=0.1, max_per_img=100))
    assert model['data_preprocessor'] == dict(PROTOCOL['data_preprocessor'], pad_size_divisor=128)
    assert model['backbone'] == dict(type='Own', frozen_stages=1)
    own = detector_model(source, PROTOCOL, own_statistics=True)['data_preprocessor']
    assert own == dict(type='DetDataPreprocessor', std=[1, 1, 1], pad_seg=True, pad_size_divisor=128)


@pytest.mark.parametrize('source', [
    'cascade_rpn/cascade-rpn_faster-rcnn_r50-caffe_fpn_1x_coco.py', 'fpg/retinanet_r50_fpg_crop640_50e_coco.py',
    'dcn/faster-rcnn_r50_fpn_dpool_1x_coco.py', 'pvt/retinanet_pvtv2-b0_fpn_1x_coco.py'])
def test_words_of_mmdets_own_are_types_that_a_config_may_have(tmp_path, source):
    file = write(tmp_path, f'''_base_ = {str(ROOT / 'configs/_base_/protocols/ours.py')!r}
from bafenet.engine.detector_model import detector_model
model = detector_model('mmdet::{source}', _base_.protocol_model)''')
    model = load_config(file).model.to_dict()
    require_known_types(model, 'a checkpoint of it')
    assert model['backbone']['init_cfg']['type'] == 'Pretrained'


def test_a_resnet_has_the_batch_normalisation_of_its_weights(tmp_path):
    source = write(tmp_path, """model = dict(type='X', backbone=dict(
        type='ResNet', depth=18, norm_cfg=dict(type='GN', num_groups=32), init_cfg=dict(type='Constant', val=0)))""")
    for _ in range(2):
        assert detector_model(source, PROTOCOL)['backbone'] == dict(
            type='ResNet', depth=18, frozen_stages=-1, norm_eval=True, norm_cfg=dict(type='BN', requires_grad=False),
            style='caffe', init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet18'))


def test_a_config_of_ours_gives_its_model(monkeypatch):
    monkeypatch.chdir(ROOT)
    path = 'configs/baselines/gfl_r50_densesirst.py'
    ours = load_config(path)
    assert detector_model(path, ours.protocol_model) == ours.model.to_dict()


@pytest.mark.parametrize(('text', 'message'), [
    ('model = 1', 'it has no model'), ('a = 1', 'it has no model'), ('model = ', 'cannot be read .SyntaxError'),
    ('raise ValueError(5)', 'cannot be read .ValueError: 5')])
def test_what_is_no_config_of_a_detector(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        detector_model(write(tmp_path, text), PROTOCOL)


def test_a_config_that_is_not_there():
    with pytest.raises(InputError, match=r"the installed mmdet 3.* did you mean mmdet::gfl/gfl_r50_fpn_1x_coco.py"):
        detector_model('mmdet::gfl/gfl_r50_fpn_2x_coco.py', PROTOCOL)
    with pytest.raises(InputError, match='nowhere.py'):
        detector_model('nowhere.py', PROTOCOL)


@pytest.mark.parametrize(('name', 'value'), [('num_classes', 0), ('num_classes', '1'), ('own_statistics', 'no')])
def test_values_that_are_none(name, value):
    with pytest.raises(InputError, match=f'detector_model: {name}='):
        detector_model(RETINA, PROTOCOL, **{name: value})
