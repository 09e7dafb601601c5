# RTMDet-s on CSPNeXt, whose weights were learnt on BGR, https://arxiv.org/abs/2212.07784.
_base_ = '../_base_/protocols/ours.py'

from bafenet.engine.detector_model import detector_model

model = detector_model('mmdet::rtmdet/rtmdet_s_8xb32-300e_coco.py', _base_.protocol_model, own_statistics=True)
# The levels of its head share convolutions.
optim_wrapper = dict(paramwise_cfg=dict(bypass_duplicate=True))
