# Faster R-CNN on C4 alone, https://arxiv.org/abs/1506.01497: the one whose cost Table VII states.
_base_ = '../_base_/protocols/ours.py'

from bafenet.engine.detector_model import detector_model

model = detector_model(
    'mmdet::faster_rcnn/faster-rcnn_r50-caffe_c4-1x_coco.py', _base_.protocol_model,
    roi_head=dict(
        # The last stage of the same ResNet.
        shared_head=dict(
            style=_base_.protocol_model.backbone.style, init_cfg=dict(checkpoint='torchvision://resnet50'))))
