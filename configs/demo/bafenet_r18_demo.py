# A narrow BAFE-Net that trains on a CPU in minutes: the classes of the paper's network, other widths and strides.
_base_ = ['../_base_/models/bafenet_r50.py', '../_base_/protocols/demo.py']

channels = 32
model = dict(
    data_preprocessor=_base_.protocol_model.data_preprocessor,
    backbone=dict(
        depth=18,
        base_channels=16,
        stem_channels=16,
        style=_base_.protocol_model.backbone.style,
        norm_cfg=dict(requires_grad=True),
        norm_eval=False,
        init_cfg=None),
    neck=dict(in_channels=[16, 32, 64, 128], out_channels=channels, start_level=0, num_outs=4),
    bbox_head=dict(
        in_channels=channels,
        feat_channels=channels,
        stacked_convs=2,
        strides=[4, 8, 16, 32],
        regress_ranges=((-1, 64), (64, 128), (128, 256), (256, 512)),
        norm_cfg=dict(type='GN', num_groups=8, requires_grad=True)))
