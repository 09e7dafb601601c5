# Table II (d): copy-paste, Gaussian.
_base_ = './_base_/{{$BAFENET_PROTOCOL:ours}}.py'

pipeline = _base_.bag_cp_pipeline
pipeline[_base_.paste_step].update(clustered=False, background='any')
train_dataloader = dict(dataset=dict(pipeline=pipeline))
