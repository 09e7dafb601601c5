# VarifocalNet, https://arxiv.org/abs/2008.13367.
_base_ = '../_base_/protocols/ours.py'

from bafenet.engine.detector_model import detector_model

model = detector_model('mmdet::vfnet/vfnet_r50_fpn_1x_coco.py', _base_.protocol_model)
