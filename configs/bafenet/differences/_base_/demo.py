# The same on the demo set.
_base_ = ['../../../_base_/models/bafenet_narrow.py', '../../../_base_/protocols/demo.py']

model = _base_.protocol_model
train_dataloader = dict(dataset=dict(pipeline=_base_.bag_cp_pipeline))
