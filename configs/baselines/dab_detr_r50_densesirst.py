# DAB-DETR, https://arxiv.org/abs/2201.12329.
_base_ = '../_base_/protocols/detr.py'

from bafenet.engine.detector_model import detector_model

model = detector_model('mmdet::dab_detr/dab-detr_r50_8xb2-50e_coco.py', _base_.protocol_model)
