# Caffe's normalisation and Caffe's ResNet, as in the release (which loads torchvision's weights into it).
_base_ = './_base_/{{$BAFENET_PROTOCOL:ours}}.py'

model = dict(
    backbone=dict(style='caffe'),
    data_preprocessor=dict(mean=[103.53, 116.28, 123.675], std=[1.0, 1.0, 1.0], bgr_to_rgb=False))
