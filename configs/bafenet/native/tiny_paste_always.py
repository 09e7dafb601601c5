# BAG-CP in every crop.
_base_ = '../bafenet_hr_tiny_densesirst.py'

pipeline = _base_.train_pipeline
for step in pipeline:
    if step['type'] == 'BAGCopyPaste':
        step.update(prob=1.0)
train_dataloader = dict(dataset=dict(pipeline=pipeline))
