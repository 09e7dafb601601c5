# The same schedule on the dense frames alone.
_base_ = './sparse_tiny.py'

train_dataloader = dict(sampler=dict(repeats=1), dataset=dict(_delete_=True, **_base_.dense))
