_base_ = ['../_base_/models/bafenet_r50.py', '../_base_/protocols/paper.py']

model = _base_.protocol_model
train_dataloader = dict(dataset=dict(pipeline=_base_.bag_cp_pipeline))
