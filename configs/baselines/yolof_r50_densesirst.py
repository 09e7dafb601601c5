# YOLOF, one level of stride 32, https://arxiv.org/abs/2103.09460.
_base_ = '../_base_/protocols/ours.py'

from bafenet.engine.detector_model import detector_model

model = detector_model('mmdet::yolof/yolof_r50-c5_8xb8-1x_coco.py', _base_.protocol_model)
