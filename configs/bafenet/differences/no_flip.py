# No flips.
_base_ = './_base_/{{$BAFENET_PROTOCOL:ours}}.py'

pipeline = _base_.bag_cp_pipeline
pipeline[4].update(prob=0.0)
train_dataloader = dict(dataset=dict(pipeline=pipeline))
