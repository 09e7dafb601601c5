# Table III (a): detection alone, FCOS on three levels.
_base_ = './_base_/{{$BAFENET_PROTOCOL:ours}}.py'

model = dict(bbox_head=dict(with_seg=False))
