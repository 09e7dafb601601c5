# Whole frames brought to the paper's 512x512, in training and in the test.
_base_ = '../bafenet_hr_tiny_densesirst.py'

input_size = (512, 512)
resize = dict(type='Resize', scale=input_size, keep_ratio=False)
pipeline = [step for step in _base_.train_pipeline if step['type'] != 'BalancedCrop']
# After the paste, as in our protocol, and before the flip.
pipeline.insert(-2, resize)
test_pipeline = _base_.test_pipeline
test_pipeline.insert(1, resize)
# The steps of an epoch of crops, and 1.52 times its pixels.
train_dataloader = dict(batch_size=2, sampler=dict(repeats=0.5), dataset=dict(pipeline=pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
