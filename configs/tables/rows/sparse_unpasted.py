# The same without frames with targets, and crops around them, more often.
_base_ = './sparse_frequent.py'
from bafenet.engine.pipeline_steps import remove_step

dense, sparse, _ = _base_.train_dataloader.dataset.datasets
train_dataloader = dict(
    sampler=dict(repeats=0.5),
    dataset=dict(datasets=[dense, dict(sparse, pipeline=remove_step(dense.pipeline, 'BAGCopyPaste'))]))
