# Deformable DETR, https://arxiv.org/abs/2010.04159.
_base_ = '../_base_/protocols/ours.py'

from bafenet.engine.detector_model import detector_model

model = detector_model('mmdet::deformable_detr/deformable-detr_r50_16xb2-50e_coco.py', _base_.protocol_model)
# As released: a transformer from scratch wants a small rate, a tenth of it in the backbone, and clipped gradients;
# DAdaptAdam takes one rate for all.
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=2e-4, weight_decay=1e-4),
    paramwise_cfg=dict(_delete_=True, custom_keys=dict(
        backbone=dict(lr_mult=0.1), sampling_offsets=dict(lr_mult=0.1), reference_points=dict(lr_mult=0.1))),
    clip_grad=dict(max_norm=0.1, norm_type=2))
