# Table V: no exchange.
_base_ = './_base_/{{$BAFENET_PROTOCOL:ours}}.py'

model = dict(bbox_head=dict(exchange=None))
