# ATSS with the dynamic head, https://arxiv.org/abs/2106.08322.
_base_ = '../_base_/protocols/ours.py'

from bafenet.engine.detector_model import detector_model

model = detector_model('mmdet::dyhead/atss_r50_fpn_dyhead_1x_coco.py', _base_.protocol_model)
