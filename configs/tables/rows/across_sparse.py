# The same schedule on the sparse frames alone, as they are.
_base_ = './sparse_unpasted.py'

_, sparse = _base_.train_dataloader.dataset.datasets
train_dataloader = dict(sampler=dict(repeats=1), dataset=dict(_delete_=True, **sparse))
