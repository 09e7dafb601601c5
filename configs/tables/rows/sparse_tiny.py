# Dense and sparse frames alike.
_base_ = './sparse_unpasted.py'

dense, sparse = _base_.train_dataloader.dataset.datasets
train_dataloader = dict(dataset=dict(datasets=[dense, dict(sparse, pipeline=dense.pipeline)]))
