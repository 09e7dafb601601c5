# The same with sparse frames in their own size.
_base_ = './sparse_scales.py'
from bafenet.engine.pipeline_steps import without_steps

train_dataloader = without_steps(_base_.train_dataloader, 'RandomChoice')
