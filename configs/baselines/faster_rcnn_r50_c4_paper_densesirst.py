_base_ = '../_base_/protocols/paper.py'

from bafenet.engine.detector_model import detector_model

model = detector_model(
    'configs/baselines/faster_rcnn_r50_c4_densesirst.py', _base_.protocol_model,
    roi_head=dict(shared_head=dict(style=_base_.protocol_model.backbone.style)))
