# BAFE-Net at native resolution, small enough for a laptop.
_base_ = ['../_base_/models/bafenet_hr.py', '../_base_/protocols/hr.py']

model = dict(data_preprocessor=_base_.protocol_model.data_preprocessor)
