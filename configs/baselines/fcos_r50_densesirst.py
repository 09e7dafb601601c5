_base_ = ['../_base_/models/fcos_r50.py', '../_base_/protocols/ours.py']

model = _base_.protocol_model
