# Whole frames in training. A mean frame of train_v2 has the pixels of 5.8 of tiny's crops.
_base_ = '../bafenet_hr_tiny_densesirst.py'

pipeline = [step for step in _base_.train_pipeline if step['type'] != 'BalancedCrop']
# The steps of an epoch of crops, a quarter of the frames in each; over the whole training 1.23 times tiny's pixels.
train_dataloader = dict(batch_size=1, sampler=dict(repeats=0.25), dataset=dict(pipeline=pipeline))
