# Our protocol on native pixels: trained on crops, tested on whole frames, nothing resized.
_base_ = './short.py'

# What an hour on two CPU cores holds of trainval_v2.
max_epochs = 34
# The commonest frame, for which costs are counted; nothing is resized to it.
input_size = (640, 512)
train_pipeline = [
    dict(type='LoadInfraredImage', cache_mb=1024),
    dict(type='LoadSkyAnnotations', cache_mb=1024),
    dict(type='BalancedCrop', size=(320, 320), target_prob=0.5, other_prob=0.3),
    # The paper's recipe dims what DenseSIRST has dimmed already, and its boxes end where a single grey level is left.
    # Wider Gaussians, and boxes that end at the share of the peak where DenseSIRST's do, give pasted targets the sizes
    # of present ones (tools/analysis/box_edges.py).
    dict(type='BAGCopyPaste', prob=0.5, sigma=(0.6, 1.2), visible_share=0.12),
    # Not upside down: the sky is above.
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackInfraredInputs'),
]
test_pipeline = [
    dict(type='LoadInfraredImage'),
    dict(type='LoadSkyAnnotations'),
    dict(type='PackInfraredInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
# Frames differ in size; a batch of them would mostly be padding.
val_dataloader = dict(batch_size=1, dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(batch_size=1, dataset=dict(pipeline=test_pipeline))

train_cfg = dict(max_epochs=max_epochs, val_interval=5)
optim_wrapper = dict(type='BFloat16OptimWrapper')
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(end=max_epochs, T_max=max_epochs)
