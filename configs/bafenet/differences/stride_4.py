# A finer level: strides 4 to 32.
_base_ = './_base_/{{$BAFENET_PROTOCOL:ours}}.py'

model = dict(
    neck=dict(start_level=0, num_outs=4),
    bbox_head=dict(strides=[4, 8, 16, 32], regress_ranges=((-1, 32), (32, 64), (64, 128), (128, 256))))
