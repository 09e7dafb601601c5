# A finer level: stride 4 in the place of 8.
_base_ = './_base_/{{$BAFENET_PROTOCOL:ours}}.py'

model = dict(
    backbone=dict(out_indices=(0, 1, 2, 3)),
    neck=dict(in_channels=[16, 32, 64, 128]),
    bbox_head=dict(strides=[4]))
