# RetinaNet on PVT-Tiny, https://arxiv.org/abs/2102.12122.
_base_ = '../_base_/protocols/ours.py'

from bafenet.engine.detector_model import detector_model

model = detector_model(
    'mmdet::pvt/retinanet_pvt-t_fpn_1x_coco.py', _base_.protocol_model,
    backbone=dict(init_cfg=dict(type='Pretrained')))
