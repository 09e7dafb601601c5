# Table II (b): plain copy-paste.
_base_ = './table2_f.py'

pipeline = _base_.bag_cp_pipeline
pipeline[2].update(clustered=False, gaussian=False, background='any')
train_dataloader = dict(dataset=dict(pipeline=pipeline))
