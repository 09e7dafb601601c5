# The demo with BAG-CP.
_base_ = './bafenet_r18_demo.py'

train_dataloader = dict(dataset=dict(pipeline=_base_.bag_cp_pipeline))
