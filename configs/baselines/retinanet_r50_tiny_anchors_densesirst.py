# RetinaNet whose anchors of the finest level are as large as its stride, 8 px: each target of 3 px lies under one.
_base_ = './retinanet_r50_densesirst.py'

model = dict(bbox_head=dict(anchor_generator=dict(octave_base_scale=1)))
