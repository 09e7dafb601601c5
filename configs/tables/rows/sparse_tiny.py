# Tiny on dense and sparse frames together: DenseSIRST's, and the same ones without its pasted clusters (SIRST-V2).
_base_ = '../../bafenet/bafenet_hr_tiny_densesirst.py'
from bafenet.engine.pipeline_steps import change_step

max_epochs, late_epoch = 9, 8
sparse_root = 'data/SIRSTv2devkit'
train_pipeline = change_step(_base_.train_pipeline, 'BalancedCrop', late_epoch=late_epoch)
dense = dict(_base_.train_dataloader.dataset, pipeline=train_pipeline)
# As many steps an epoch as tiny has on DenseSIRST alone.
train_dataloader = dict(
    sampler=dict(repeats=0.5),
    dataset=dict(_delete_=True, type='ConcatDataset', datasets=[dense, dict(dense, data_root=sparse_root)]))
# It has no test_v2. No epoch is picked: the last one is taken.
test_dataloader = dict(dataset=dict(data_root=sparse_root, ann_file='Splits/val_{splits}.txt'))

train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
warm_up, cosine, step, late_cosine = _base_.param_scheduler
param_scheduler = [
    warm_up,
    dict(cosine, end=late_epoch, T_max=late_epoch),
    dict(step, milestones=[late_epoch]),
    dict(late_cosine, begin=late_epoch, end=max_epochs, T_max=max_epochs - late_epoch),
]
