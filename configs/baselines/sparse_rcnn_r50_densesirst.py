# Sparse R-CNN, 100 learnt proposals, https://arxiv.org/abs/2011.12450.
_base_ = '../_base_/protocols/ours.py'

from bafenet.engine.detector_model import detector_model

model = detector_model('mmdet::sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py', _base_.protocol_model)
# As released: six stages of attention from scratch want a small rate and clipped gradients.
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=2.5e-5, weight_decay=1e-4), clip_grad=dict(max_norm=1, norm_type=2))
