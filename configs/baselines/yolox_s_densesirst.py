# YOLOX-s, from scratch, https://arxiv.org/abs/2107.08430.
_base_ = '../_base_/protocols/ours.py'

from bafenet.engine.detector_model import detector_model

model = detector_model(
    'mmdet::yolox/yolox_s_8xb8-300e_coco.py', _base_.protocol_model,
    # It keeps all that its threshold leaves.
    test_cfg=dict(nms=dict(max_num=100)))
# As released: SGD at the rate of its batch of 64, brought to ours of 2.
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='SGD', lr=0.01 * 2 / 64, momentum=0.9, weight_decay=5e-4, nesterov=True))
