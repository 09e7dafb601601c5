# Faster R-CNN with FPN, https://arxiv.org/abs/1612.03144.
_base_ = '../_base_/protocols/ours.py'

from bafenet.engine.detector_model import detector_model

model = detector_model('mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py', _base_.protocol_model)
