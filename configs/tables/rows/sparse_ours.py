# bafenet_hr_tiny on dense and sparse frames, in a sixth of the steps.
_base_ = '../../bafenet/bafenet_hr_tiny_dense_sparse.py'
from bafenet.engine.pipeline_steps import change_steps

max_epochs, late_epoch = 9, 8
train_dataloader = change_steps(_base_.train_dataloader, 'BalancedCrop', late_epoch=late_epoch)
train_dataloader['sampler'] = dict(repeats=1 / 3)
# It has no test_v2. No epoch is picked: the last one is taken.
test_dataloader = dict(dataset=dict(data_root=_base_.sparse_root, ann_file='Splits/val_{splits}.txt'))

train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
warm_up, cosine, step, late_cosine = _base_.param_scheduler
param_scheduler = [
    warm_up,
    dict(cosine, end=late_epoch, T_max=late_epoch),
    dict(step, milestones=[late_epoch]),
    dict(late_cosine, begin=late_epoch, end=max_epochs, T_max=max_epochs - late_epoch),
]
