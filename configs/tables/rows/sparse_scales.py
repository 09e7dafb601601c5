# The same without lone targets that are pasted: with_targets is as sparse.
_base_ = './sparse_lone.py'

dense, sparse, repeated = _base_.train_dataloader.dataset.datasets
train_dataloader = dict(dataset=dict(datasets=[
    dense, sparse, dict(repeated, dataset=dict(repeated.dataset, pipeline=sparse.pipeline))]))
