# The same schedule on the dense frames alone.
_base_ = './sparse_unpasted.py'

dense, _ = _base_.train_dataloader.dataset.datasets
train_dataloader = dict(sampler=dict(repeats=1), dataset=dict(_delete_=True, **dense))
