# The paper's schedule: DAdaptAdam, 20 epochs, steps at 8 and 16.
max_epochs = 20
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    type='OptimWrapper',
    # lr multiplies the step size that the optimizer estimates.
    optimizer=dict(type='DAdaptAdam', lr=1.0, weight_decay=0.05, decouple=True),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0))
param_scheduler = [
    dict(type='ConstantLR', factor=1 / 3, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', by_epoch=True, begin=0, end=max_epochs, milestones=[8, 16], gamma=0.1),
]
auto_scale_lr = dict(enable=False, base_batch_size=2)
