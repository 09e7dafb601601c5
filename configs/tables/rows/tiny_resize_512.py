# Whole frames brought to the paper's 512x512, in training and in the test.
_base_ = '../../bafenet/bafenet_hr_tiny_densesirst.py'

input_size = (512, 512)
resize = dict(type='Resize', scale=input_size, keep_ratio=False)
pipeline = [step for step in _base_.train_pipeline if step['type'] != 'BalancedCrop']
# A target of 3 pixels can have 1.2 here, and the distances to its sides are below tiny's least.
model = dict(bbox_head=dict(side_knots=(0, 0.25, 0.5, 1, 1.5, 2, 3, 4, 6, 8, 16)))
# After the paste, as in our protocol, and before the flip.
pipeline.insert(-2, resize)
test_pipeline = _base_.test_pipeline
test_pipeline.insert(1, resize)
# The steps of an epoch of crops; over the whole training 1.28 times tiny's pixels.
train_dataloader = dict(batch_size=2, sampler=dict(repeats=0.5), dataset=dict(pipeline=pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
