# Table III (c): features exchanged as they are.
_base_ = './_base_/{{$BAFENET_PROTOCOL:ours}}.py'

model = dict(bbox_head=dict(exchange=dict(adapter=None)))
