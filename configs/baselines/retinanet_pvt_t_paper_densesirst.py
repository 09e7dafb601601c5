_base_ = '../_base_/protocols/paper.py'

from bafenet.engine.detector_model import detector_model

model = detector_model('configs/baselines/retinanet_pvt_t_densesirst.py', _base_.protocol_model)
