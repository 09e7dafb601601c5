# Table VI: ResNet-18.
_base_ = './_base_/{{$BAFENET_PROTOCOL:ours}}.py'

pretrained = dict(checkpoint='torchvision://resnet18')
model = dict(
    backbone=dict(
        depth=18,
        # From scratch where the protocol trains so.
        init_cfg=_base_.model.backbone.init_cfg and pretrained),
    neck=dict(in_channels=[_base_.base_channels * width for width in (1, 2, 4, 8)]))
