# bafenet_hr_tiny that marks the pixels of the targets too, one by one: a detector that stands beside segmentors.
_base_ = './bafenet_hr_tiny_densesirst.py'

load_mask = dict(type='LoadTargetMask')
load_image, load_sky, *augment = _base_.train_pipeline
train_pipeline = [load_image, load_sky, dict(load_mask, cache_mb=1024), *augment]
load_image, load_sky, pack = _base_.test_pipeline
test_pipeline = [load_image, load_sky, load_mask, pack]

model = dict(bbox_head=dict(with_mask=True, loss_mask=dict(type='SoftIoULoss', loss_weight=1.0)))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
val_evaluator = [_base_.val_evaluator, dict(type='IRSTDMetric', prediction='pred_target_mask')]
test_evaluator = val_evaluator
