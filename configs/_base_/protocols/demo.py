# The demo's protocol: procedural scenes, small enough for a laptop CPU.
_base_ = './short.py'

from bafenet.engine.pipeline_steps import change_step

data_root = 'data/demo'
input_size = (192, 192)
max_epochs = 14

train_pipeline = change_step(_base_.train_pipeline, 'Resize', scale=input_size)
bag_cp_pipeline = change_step(_base_.bag_cp_pipeline, 'Resize', scale=input_size)
test_pipeline = change_step(_base_.test_pipeline, 'Resize', scale=input_size)
train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))

train_cfg = dict(max_epochs=max_epochs)
param_scheduler = change_step(_base_.param_scheduler, 'CosineAnnealingLR', end=max_epochs, T_max=max_epochs)
default_hooks = dict(panel=dict(type='TestPanelHook', file='predictions.png', num_images=6))
