# The same, grey levels of all frames jittered.
_base_ = './sparse_lone.py'

jitter = dict(type='IntensityJitter')
dense_pipeline = [*_base_.train_pipeline[:-2], jitter, *_base_.train_pipeline[-2:]]
sparse_pipeline = [*_base_.sparse_pipeline[:-2], jitter, *_base_.sparse_pipeline[-2:]]
pasted_pipeline = [*_base_.pasted_pipeline[:-2], jitter, *_base_.pasted_pipeline[-2:]]
dense, sparse, repeated = _base_.train_dataloader.dataset.datasets
train_dataloader = dict(dataset=dict(datasets=[
    dict(dense, pipeline=dense_pipeline),
    dict(sparse, pipeline=sparse_pipeline),
    dict(repeated, dataset=dict(repeated.dataset, pipeline=pasted_pipeline)),
]))
