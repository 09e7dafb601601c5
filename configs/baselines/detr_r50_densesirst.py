# DETR, https://arxiv.org/abs/2005.12872.
_base_ = '../_base_/protocols/detr.py'

from bafenet.engine.detector_model import detector_model

model = detector_model('mmdet::detr/detr_r50_8xb2-150e_coco.py', _base_.protocol_model)
