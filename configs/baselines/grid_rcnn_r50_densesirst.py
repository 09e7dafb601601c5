# Grid R-CNN, https://arxiv.org/abs/1811.12030.
_base_ = '../_base_/protocols/ours.py'

from bafenet.engine.detector_model import detector_model

model = detector_model('mmdet::grid_rcnn/grid-rcnn_r50_fpn_gn-head_1x_coco.py', _base_.protocol_model)
