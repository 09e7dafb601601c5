# Sparse frames as they are, those with targets three times as often and mostly cut around these.
_base_ = './sparse_tiny.py'
from bafenet.engine.pipeline_steps import change_step, remove_step

dense, sparse = _base_.train_dataloader.dataset.datasets
sparse_pipeline = change_step(remove_step(sparse.pipeline, 'BAGCopyPaste'), 'BalancedCrop', target_prob=0.7,
                              other_prob=0.2)
sparse = dict(sparse, pipeline=sparse_pipeline)
train_dataloader = dict(
    # As many steps an epoch as before: a third of the data.
    sampler=dict(repeats=0.333),
    dataset=dict(datasets=[
        dense,
        sparse,
        dict(type='RepeatDataset', times=2, dataset=dict(sparse, only_with_targets=True)),
    ]))
