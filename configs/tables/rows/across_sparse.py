# The same schedule on the sparse frames alone.
_base_ = './sparse_tiny.py'

train_dataloader = dict(
    sampler=dict(repeats=1), dataset=dict(_delete_=True, **dict(_base_.dense, data_root=_base_.sparse_root)))
