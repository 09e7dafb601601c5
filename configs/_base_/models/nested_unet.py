# The network of SIRST-5K as released: DNA-Net's nested U-Net with ResNet-34 blocks, four outputs, Soft-IoU of a batch.
model = dict(
    type='TargetSegmentor',
    data_preprocessor=dict(
        type='SegmentationPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_seg=True,
        pad_size_divisor=16),
    backbone=dict(type='NestedUNet', depth=34, attention=True, nested=True, in_channels=3),
    loss_mask=dict(type='SoftIoULoss', smooth=1.0, reduction='batch'),
    output_weights=None)

# One channel with the statistics of NUDT-SIRST, as the field trains on it, as a difference.
grey_model = dict(
    data_preprocessor=dict(mean=[107.81] * 3, std=[33.03] * 3, bgr_to_rgb=False), backbone=dict(in_channels=1))
