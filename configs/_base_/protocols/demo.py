# The demo's protocol: procedural scenes, small enough for a laptop CPU.
_base_ = './short.py'

data_root = 'data/demo'
input_size = (192, 192)
max_epochs = 14

train_pipeline = _base_.train_pipeline
train_pipeline[2].update(scale=input_size)
bag_cp_pipeline = _base_.bag_cp_pipeline
bag_cp_pipeline[3].update(scale=input_size)
test_pipeline = _base_.test_pipeline
test_pipeline[1].update(scale=input_size)
train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))

train_cfg = dict(max_epochs=max_epochs)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(end=max_epochs, T_max=max_epochs)
default_hooks = dict(panel=dict(type='TestPanelHook', file='predictions.png', num_images=6))
