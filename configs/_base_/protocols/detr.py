# Our protocol with the optimizer of DETR's release: a transformer from scratch wants a small rate, a tenth of it in the
# backbone, and clipped gradients; DAdaptAdam takes one rate for all.
_base_ = './ours.py'

optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=1e-4, weight_decay=1e-4),
    paramwise_cfg=dict(_delete_=True, custom_keys=dict(backbone=dict(lr_mult=0.1))),
    clip_grad=dict(max_norm=0.1, norm_type=2))
