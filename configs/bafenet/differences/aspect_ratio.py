# The image's aspect ratio kept.
_base_ = './_base_/{{$BAFENET_PROTOCOL:ours}}.py'

pipeline, test_pipeline = _base_.bag_cp_pipeline, _base_.test_pipeline
pipeline[3].update(keep_ratio=True)
test_pipeline[1].update(keep_ratio=True)
train_dataloader = dict(dataset=dict(pipeline=pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
