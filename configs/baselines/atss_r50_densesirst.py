# ATSS, https://arxiv.org/abs/1912.02424.
_base_ = '../_base_/protocols/ours.py'

from bafenet.engine.detector_model import detector_model

model = detector_model('mmdet::atss/atss_r50_fpn_1x_coco.py', _base_.protocol_model)
