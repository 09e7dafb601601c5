# Table II (e): copy-paste, clustered and Gaussian.
_base_ = './table2_f.py'

pipeline = _base_.bag_cp_pipeline
pipeline[2].update(background='any')
train_dataloader = dict(dataset=dict(pipeline=pipeline))
