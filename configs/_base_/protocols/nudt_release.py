# SIRST-5K's protocol as its release really trains: batches of 16, a constant rate, and the augmentation of DNA-Net.
_base_ = './nudt_paper.py'

load_image, load_mask, pack = _base_.train_pipeline
train_pipeline = [
    load_image,
    load_mask,
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='RandomResize',
        scale=_base_.input_size,
        ratio_range=(0.5, 2.0),
        resize_type='Resize',
        keep_ratio=True),
    # Anywhere; what is smaller is padded with the batch, and what is padded counts in no loss.
    dict(type='BalancedCrop', size=_base_.input_size, target_prob=0.0, other_prob=0.0),
    dict(
        type='IntensityJitter',
        gain_prob=0.0,
        offset_prob=0.0,
        gamma_prob=0.0,
        noise_prob=0.0,
        blur=(0.0, 1.0),
        blur_prob=0.5),
    pack,
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
optim_wrapper = dict(accumulative_counts=1)
param_scheduler = None
