# BAFE-Net: FCOS on three levels whose head also segments the sky and exchanges features between the two tasks.
_base_ = './fcos_r50.py'

model = dict(
    type='BAFENet',
    neck=dict(add_extra_convs=False, num_outs=3),
    bbox_head=dict(
        type='BAFEHead',
        strides=[8, 16, 32],
        regress_ranges=((-1, 64), (64, 128), (128, 256)),
        bottleneck=True,
        bottleneck_norm_cfg=dict(type='BN'),
        exchange=dict(type='ChannelExchange', ratio=0.5, adapter=dict(type='MLPAdapter', hidden_channels=64)),
        loss_seg=dict(
            type='CrossEntropyLoss', use_sigmoid=True, ignore_index=255, avg_non_ignore=True, loss_weight=1.0)),
    test_cfg=dict(whole_pixels=False))

# The head of the paper's later version, as a difference: refined features, and channels that a gate picks.
dynamic_head = dict(refine='lsk', exchange=dict(type='DynamicChannelExchange', adapter=dict(mix_channels=True)))
