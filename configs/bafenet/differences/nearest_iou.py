# The same, under a score that knows how good its box is.
_base_ = './nearest.py'

model = dict(bbox_head=dict(quality='iou'))
