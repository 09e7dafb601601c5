# The narrow network under our protocol on a budget: what each difference from the paper is worth, a row a file.
_base_ = ['../../../_base_/models/bafenet_narrow.py', '../../../_base_/protocols/short.py']

model = _base_.protocol_model
train_dataloader = dict(dataset=dict(pipeline=_base_.bag_cp_pipeline))
