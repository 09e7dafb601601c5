# Table II (c): copy-paste, clustered.
_base_ = './_base_/{{$BAFENET_PROTOCOL:ours}}.py'

pipeline = _base_.bag_cp_pipeline
pipeline[_base_.paste_step].update(gaussian=False, background='any')
train_dataloader = dict(dataset=dict(pipeline=pipeline))
