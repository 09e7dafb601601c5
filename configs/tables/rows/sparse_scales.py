# The same at several scales: real targets are larger than DenseSIRST's, and other lenses show them larger or smaller.
_base_ = './sparse_frequent.py'

sparse_pipeline = _base_.sparse_pipeline
sparse_pipeline.insert(2, dict(
    type='RandomChoice',
    transforms=[[dict(type='Resize', scale_factor=factor)] for factor in (0.7, 1.0, 1.4, 2.0)],
    prob=[0.2, 0.4, 0.2, 0.2]))
dense, sparse, repeated = _base_.train_dataloader.dataset.datasets
train_dataloader = dict(dataset=dict(datasets=[
    dense,
    dict(sparse, pipeline=sparse_pipeline),
    dict(repeated, dataset=dict(repeated.dataset, pipeline=sparse_pipeline)),
]))
