# BAG-CP after the resize, patches brought to its scale.
_base_ = './differences_ours.py'

paste, resize = _base_.bag_cp_pipeline[2:4]
pipeline = _base_.bag_cp_pipeline
pipeline[2:4] = [resize, paste]
train_dataloader = dict(dataset=dict(pipeline=pipeline))
