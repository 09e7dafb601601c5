# The same, and in every other crop one target is rotated in place, SIRST-5K's negatives.
_base_ = './bridge_noise.py'
from bafenet.engine.pipeline_steps import insert_steps

negatives = dict(type='NegativeAugmentation', size=3, prob=0.5)
train_dataloader = insert_steps(_base_.train_dataloader, 'RandomFlip', negatives)
