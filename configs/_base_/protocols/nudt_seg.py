# Segmentation on NUDT-SIRST: trained on crops of 563 frames, the epoch picked on 100 others by IoU, tested on 664.
_base_ = ['../datasets/nudt_sirst_seg.py', '../schedules/segmentation.py', '../default_runtime.py']

# Costs are counted for a whole frame.
input_size = (256, 256)
load_image, load_mask, *augment = _base_.train_pipeline
train_pipeline = [
    load_image,
    load_mask,
    # There is no sky map, so that clutter is met by the draw of a place alone.
    dict(type='BalancedCrop', size=_base_.crop_size, target_prob=0.5, other_prob=0.0),
    *augment,
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
default_hooks = dict(checkpoint=dict(save_best='irstd/IoU', rule='greater'), logger=dict(interval=25))
