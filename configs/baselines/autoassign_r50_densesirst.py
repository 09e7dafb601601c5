# AutoAssign, https://arxiv.org/abs/2007.03496.
_base_ = '../_base_/protocols/ours.py'

from bafenet.engine.detector_model import detector_model

model = detector_model('mmdet::autoassign/autoassign_r50-caffe_fpn_1x_coco.py', _base_.protocol_model)
