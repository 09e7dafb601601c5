# CenterNet in the updated form of CenterNet2, https://arxiv.org/abs/2103.07461.
_base_ = '../_base_/protocols/ours.py'

from bafenet.engine.detector_model import detector_model

model = detector_model('mmdet::centernet/centernet-update_r50-caffe_fpn_ms-1x_coco.py', _base_.protocol_model)
