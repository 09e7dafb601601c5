# Predictions at stride 4.
_base_ = '../bafenet_hr_tiny_densesirst.py'

model = dict(
    backbone=dict(out_indices=tuple(range(1, len(_base_.model.neck.in_channels)))),
    neck=dict(in_channels=_base_.model.neck.in_channels[1:]),
    bbox_head=dict(strides=[4]))
