# BAFE-Net at native resolution, three times as much to compute as tiny; half an hour on a GPU.
_base_ = './bafenet_hr_tiny_densesirst.py'

stage_channels = [40, 76, 128, 128, 128, 128]
channels = 48
model = dict(
    backbone=dict(stage_channels=stage_channels),
    neck=dict(in_channels=stage_channels, out_channels=channels),
    bbox_head=dict(
        in_channels=channels, feat_channels=channels, exchange=dict(adapter=dict(hidden_channels=channels // 2))))
