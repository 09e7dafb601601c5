# BAG-CP with the paper's Gaussians, and boxes that end where a single grey level is left.
_base_ = '../bafenet_hr_tiny_densesirst.py'

pipeline = _base_.train_pipeline
for step in pipeline:
    if step['type'] == 'BAGCopyPaste':
        step.update(sigma=(0.3, 0.6), visible_share=0.0)
train_dataloader = dict(dataset=dict(pipeline=pipeline))
