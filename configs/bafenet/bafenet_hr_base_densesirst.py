# BAFE-Net at native resolution, at about the cost of the paper's network.
_base_ = './bafenet_hr_tiny_densesirst.py'

stage_channels = [56, 120, 224, 256, 256, 256]
channels = 64
model = dict(
    backbone=dict(stage_channels=stage_channels, stage_blocks=(2, 3, 4, 2, 2, 2)),
    neck=dict(in_channels=stage_channels, out_channels=channels),
    bbox_head=dict(
        in_channels=channels, feat_channels=channels, exchange=dict(adapter=dict(hidden_channels=channels // 2))))
