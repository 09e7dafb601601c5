# Table II (c): copy-paste, clustered.
_base_ = './table2_f.py'

pipeline = _base_.bag_cp_pipeline
pipeline[2].update(gaussian=False, background='any')
train_dataloader = dict(dataset=dict(pipeline=pipeline))
