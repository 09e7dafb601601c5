# Our protocol on a budget, for networks that start from scratch: AdamW and one cosine, each image once an epoch.
_base_ = './ours.py'

max_epochs = 6
train_dataloader = dict(batch_size=4, num_workers=1, sampler=dict(repeats=1))
val_dataloader = dict(batch_size=4, num_workers=1)
test_dataloader = dict(batch_size=4, num_workers=1)

train_cfg = dict(max_epochs=max_epochs, val_interval=2)
auto_scale_lr = dict(base_batch_size=4)
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
default_hooks = dict(logger=dict(interval=25))
