# Our protocol: boxes as they are, epochs picked on val_v2, true sides, normalisation that matches the weights.
_base_ = ['../datasets/densesirst.py', '../schedules/dadapt_20e.py', '../default_runtime.py']

default_hooks = dict(checkpoint=dict(save_best='densesirst/mAP_12', rule='greater'))

# What the protocol asks of the network; a config puts its model under it by `model = _base_.protocol_model`.
protocol_model = dict(
    backbone=dict(style='pytorch'),
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_seg=True,
        pad_size_divisor=32))
