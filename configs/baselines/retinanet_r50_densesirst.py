# RetinaNet, https://arxiv.org/abs/1708.02002.
_base_ = '../_base_/protocols/ours.py'

from bafenet.engine.detector_model import detector_model

model = detector_model('mmdet::retinanet/retinanet_r50_fpn_1x_coco.py', _base_.protocol_model)
