# A narrow BAFE-Net that trains on a CPU in minutes: the classes of the paper's network, one level of stride 2.
_base_ = ['../_base_/models/bafenet_narrow.py', '../_base_/protocols/demo.py']

channels = 32
model = dict(
    data_preprocessor=_base_.protocol_model.data_preprocessor,
    backbone=dict(
        # Stride 2 at its first stage: a box of 3x3 pixels then always holds a point to learn from.
        type='UnpooledResNet',
        out_indices=(0, 1, 2, 3),
        style=_base_.protocol_model.backbone.style,
        # The sky is known by what is far away.
        dilations=(1, 1, 2, 4)),
    neck=dict(in_channels=[16, 32, 64, 128], out_channels=channels),
    bbox_head=dict(in_channels=channels, feat_channels=channels, stacked_convs=1, strides=[2]))
