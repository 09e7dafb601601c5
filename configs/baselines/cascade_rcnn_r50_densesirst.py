# Cascade R-CNN, https://arxiv.org/abs/1712.00726.
_base_ = '../_base_/protocols/ours.py'

from bafenet.engine.detector_model import detector_model

model = detector_model('mmdet::cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py', _base_.protocol_model)
