# Deformable DETR, https://arxiv.org/abs/2010.04159.
_base_ = '../_base_/protocols/detr.py'

from bafenet.engine.detector_model import detector_model

model = detector_model('mmdet::deformable_detr/deformable-detr_r50_16xb2-50e_coco.py', _base_.protocol_model)
# Its release's rate is twice DETR's, and a tenth of it where the offsets are learnt.
optim_wrapper = dict(
    optimizer=dict(lr=2e-4),
    paramwise_cfg=dict(custom_keys=dict(sampling_offsets=dict(lr_mult=0.1), reference_points=dict(lr_mult=0.1))))
