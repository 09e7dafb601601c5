# Its FLOPs in Table VII are those of mmdet's own style and normalisation, unlike FCOS's.
_base_ = '../_base_/protocols/paper.py'

from bafenet.engine.detector_model import detector_model

model = detector_model(
    'configs/baselines/cascade_rcnn_r50_densesirst.py', _base_.protocol_model, own_statistics=True,
    backbone=dict(style='pytorch'))
