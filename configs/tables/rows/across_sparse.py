# The same schedule on the sparse frames alone, as they are.
_base_ = './sparse_tiny.py'
from bafenet.engine.pipeline_steps import remove_step

sparse = dict(
    _base_.dense, data_root=_base_.sparse_root, pipeline=remove_step(_base_.train_pipeline, 'BAGCopyPaste'))
train_dataloader = dict(sampler=dict(repeats=1), dataset=dict(_delete_=True, **sparse))
