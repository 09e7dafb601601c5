# The same with jitter of dense frames too.
_base_ = './sparse_ours.py'
from bafenet.engine.pipeline_steps import insert_steps

dense, *both_sparse = _base_.train_dataloader.dataset.datasets
train_dataloader = dict(dataset=dict(datasets=[insert_steps(dense, 'RandomFlip', _base_.jitter), *both_sparse]))
