# The same without jitter.
_base_ = './sparse_jitter.py'
from bafenet.engine.pipeline_steps import without_steps

train_dataloader = without_steps(_base_.train_dataloader, 'IntensityJitter')
