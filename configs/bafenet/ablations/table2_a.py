# Table II (a): no paste.
_base_ = './table2_f.py'

train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
