_base_ = '../_base_/protocols/paper.py'

from bafenet.engine.detector_model import detector_model

model = detector_model('configs/baselines/ssd512_densesirst.py', _base_.protocol_model)
