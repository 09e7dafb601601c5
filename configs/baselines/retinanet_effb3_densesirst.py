# RetinaNet on EfficientNet-B3, mmdet's stand-in for EfficientDet, https://arxiv.org/abs/1911.09070.
_base_ = '../_base_/protocols/ours.py'

from bafenet.engine.detector_model import detector_model

model = detector_model('mmdet::efficientnet/retinanet_effb3_fpn_8xb4-crop896-1x_coco.py', _base_.protocol_model)
# The levels of its head share convolutions.
optim_wrapper = dict(paramwise_cfg=dict(bypass_duplicate=True))
