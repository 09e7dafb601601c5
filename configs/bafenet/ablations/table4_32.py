# Table IV: adapter with 32 hidden units.
_base_ = './_base_/{{$BAFENET_PROTOCOL:ours}}.py'

model = dict(bbox_head=dict(exchange=dict(adapter=dict(hidden_channels=32))))
