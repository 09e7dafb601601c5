# Table II (a): no paste.
_base_ = './_base_/{{$BAFENET_PROTOCOL:ours}}.py'

train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
