# sparse_ours with the noise of plain windows mixed into every other crop, SIRST-5K's Noise2Noise.
_base_ = './sparse_ours.py'
from bafenet.engine.pipeline_steps import insert_steps

noise = dict(type='NoiseDisplacement', alpha=0.1, prob=0.5)
train_dataloader = insert_steps(_base_.train_dataloader, 'RandomFlip', noise)
