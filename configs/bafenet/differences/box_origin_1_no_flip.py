# Boxes one pixel off, always in the same direction.
_base_ = './box_origin_1.py'

pipeline = _base_.bag_cp_pipeline
pipeline[4].update(prob=0.0)
train_dataloader = dict(dataset=dict(pipeline=pipeline))
