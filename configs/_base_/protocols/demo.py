# The demo's protocol: procedural scenes, small enough for a laptop CPU.
_base_ = './ours.py'

data_root = 'data/demo'
input_size = (192, 192)
max_epochs = 14

train_pipeline = _base_.train_pipeline
train_pipeline[2].update(scale=input_size)
bag_cp_pipeline = _base_.bag_cp_pipeline
bag_cp_pipeline[3].update(scale=input_size)
test_pipeline = _base_.test_pipeline
test_pipeline[1].update(scale=input_size)
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    sampler=dict(repeats=1),
    dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(batch_size=4, num_workers=1, dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = dict(batch_size=4, num_workers=1, dataset=dict(data_root=data_root, pipeline=test_pipeline))

train_cfg = dict(max_epochs=max_epochs, val_interval=2)
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=2e-3, weight_decay=0.05), clip_grad=dict(max_norm=35))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=50),
    dict(
        type='CosineAnnealingLR',
        begin=0,
        end=max_epochs,
        T_max=max_epochs,
        eta_min_ratio=0.01,
        by_epoch=True,
        convert_to_iter_based=True),
]
default_hooks = dict(logger=dict(interval=25), panel=dict(type='TestPanelHook', file='predictions.png', num_images=6))
