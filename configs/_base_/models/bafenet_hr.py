# BAFE-Net for native pixels: one level of stride 2, where 98 % of DenseSIRST's targets hold a point; from scratch.
_base_ = './bafenet_narrow.py'

stage_channels = [24, 32, 48, 56, 56, 56]
channels = 32
model = dict(
    # Down to stride 64: a smooth road and a smooth sky are told apart by what is far away.
    backbone=dict(
        _delete_=True,
        type='CompactResNet',
        # Which of two pixels a side lies at is seen before the image is halved.
        stem_channels=16,
        stem_kernel=4,
        stage_channels=stage_channels,
        stage_blocks=(2, 2, 2, 2, 2, 2),
        dilations=(1, 1, 1, 1, 1, 1)),
    neck=dict(in_channels=stage_channels, out_channels=channels),
    bbox_head=dict(
        in_channels=channels,
        feat_channels=channels,
        stacked_convs=1,
        strides=[2],
        # Sides lie between pixels: a choice of one border out of a few. The last knot is as long as the longest target.
        box_coding='distribution',
        side_knots=(1, 2, 3, 4, 5, 6, 8, 12, 16, 24, 32),
        loss_sides=dict(type='DistributionFocalLoss', loss_weight=1.0),
        # Chosen on val_v2: 0.909 against 0.885 mAP_12, and half the false alarms outside the sky at recall 0.9.
        quality='iou',
        # The paper's later adapter: the scalar one takes a third of a step at so many positions and so few channels.
        exchange=dict(adapter=dict(mix_channels=True, hidden_channels=channels // 2))),
    # Larger frames are seen once more at this side for the sky: 0.930 against 0.917 sky IoU on val_v2.
    test_cfg=dict(whole_pixels=True, sky_side=640))
