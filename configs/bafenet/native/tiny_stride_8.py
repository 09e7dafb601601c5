# Predictions at stride 8.
_base_ = '../bafenet_hr_tiny_densesirst.py'

model = dict(
    backbone=dict(out_indices=tuple(range(2, len(_base_.model.neck.in_channels)))),
    neck=dict(in_channels=_base_.model.neck.in_channels[2:]),
    bbox_head=dict(strides=[8]))
