# Boxes as centre offset and log size; the control of the rows below.
_base_ = './_base_/{{$BAFENET_PROTOCOL:ours}}.py'

model = dict(bbox_head=dict(box_coding='centre_size', loss_bbox=dict(type='GIoULoss')))
