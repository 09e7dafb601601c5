# Table II (e): copy-paste, clustered and Gaussian.
_base_ = './_base_/{{$BAFENET_PROTOCOL:ours}}.py'

pipeline = _base_.bag_cp_pipeline
pipeline[_base_.paste_step].update(background='any')
train_dataloader = dict(dataset=dict(pipeline=pipeline))
