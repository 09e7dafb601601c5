# Table II (b): plain copy-paste.
_base_ = './_base_/{{$BAFENET_PROTOCOL:ours}}.py'

pipeline = _base_.bag_cp_pipeline
pipeline[_base_.paste_step].update(clustered=False, gaussian=False, background='any')
train_dataloader = dict(dataset=dict(pipeline=pipeline))
