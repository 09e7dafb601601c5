# A narrow BAFE-Net that trains on a CPU in minutes: the classes of the paper's network, one level of stride 2.
_base_ = ['../_base_/models/bafenet_r50.py', '../_base_/protocols/demo.py']

channels = 32
model = dict(
    data_preprocessor=_base_.protocol_model.data_preprocessor,
    backbone=dict(
        # Stride 2 at its first stage: a box of 3x3 pixels then always holds a point to learn from.
        type='UnpooledResNet',
        depth=18,
        base_channels=16,
        stem_channels=16,
        style=_base_.protocol_model.backbone.style,
        norm_cfg=dict(requires_grad=True),
        norm_eval=False,
        # The sky is known by what is far away.
        dilations=(1, 1, 2, 4),
        # Residual branches that start at zero see little context, and a few hundred steps are too few to grow it.
        zero_init_residual=False,
        init_cfg=None),
    neck=dict(_delete_=True, type='FinestFPN', in_channels=[16, 32, 64, 128], out_channels=channels),
    bbox_head=dict(
        in_channels=channels,
        feat_channels=channels,
        stacked_convs=1,
        strides=[2],
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
