# SSD512, https://arxiv.org/abs/1512.02325. Torchvision's VGG-16 instead of Caffe's: the protocol normalises for it.
_base_ = '../_base_/protocols/ours.py'

from bafenet.engine.detector_model import detector_model

model = detector_model(
    'mmdet::ssd/ssd512_coco.py', _base_.protocol_model,
    backbone=dict(init_cfg=dict(checkpoint='torchvision://vgg16')))
