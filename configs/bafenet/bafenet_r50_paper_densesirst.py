_base_ = ['../_base_/models/bafenet_r50.py', '../_base_/protocols/paper.py']

model = _base_.protocol_model
