# No pretrained weights, so BatchNorm is trained.
_base_ = './bafenet_dynamic_r50_densesirst.py'

model = dict(backbone=dict(init_cfg=None, norm_cfg=dict(requires_grad=True), norm_eval=False))
