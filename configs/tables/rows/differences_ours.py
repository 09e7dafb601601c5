# The small network of the table of differences, under our protocol on a budget.
_base_ = ['../../_base_/models/bafenet_narrow.py', '../../_base_/protocols/short.py']

max_epochs = 8
model = dict(
    data_preprocessor=_base_.protocol_model.data_preprocessor,
    # The pooled ResNet, from scratch, learns next to nothing in so few steps.
    backbone=dict(
        _delete_=True,
        type='CompactResNet',
        stage_channels=(16, 32, 64, 96),
        stage_blocks=(1, 2, 2, 1),
        out_indices=(2, 3)),
    neck=dict(in_channels=[64, 96]),
    bbox_head=dict(stacked_convs=1))

bag_cp_pipeline = _base_.bag_cp_pipeline
bag_cp_pipeline[0].update(cache_mb=1024)
bag_cp_pipeline[1].update(cache_mb=1024)
train_dataloader = dict(dataset=dict(pipeline=bag_cp_pipeline))

train_cfg = dict(max_epochs=max_epochs, val_interval=4)
optim_wrapper = dict(type='BFloat16OptimWrapper')
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(end=max_epochs, T_max=max_epochs)
