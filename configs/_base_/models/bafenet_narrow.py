# BAFE-Net at a quarter of its width, from scratch, on one level: what a CPU can train in minutes.
_base_ = './bafenet_r50.py'

channels = 64
model = dict(
    backbone=dict(
        depth=18,
        out_indices=(1, 2, 3),
        base_channels=16,
        stem_channels=16,
        norm_cfg=dict(requires_grad=True),
        norm_eval=False,
        # Residual branches that start at zero see little context, and a few hundred steps are too few to grow it.
        zero_init_residual=False,
        init_cfg=None),
    neck=dict(_delete_=True, type='FinestFPN', in_channels=[32, 64, 128], out_channels=channels),
    bbox_head=dict(
        in_channels=channels,
        feat_channels=channels,
        stacked_convs=2,
        strides=[8],
        regress_ranges=((-1, 1e8), ),
        norm_cfg=dict(type='BN'),
        init_cfg=dict(
            type='Kaiming',
            layer='Conv2d',
            override=[
                dict(type='Normal', name='conv_cls', std=0.01, bias_prob=0.01),
                dict(type='Normal', name='conv_reg', std=0.01),
                dict(type='Normal', name='conv_centerness', std=0.01),
                dict(type='Normal', name='conv_seg', std=0.01),
            ])))
