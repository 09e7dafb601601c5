# The same, grey levels jittered after the paste.
_base_ = './sparse_tiny.py'

train_pipeline = _base_.train_pipeline
train_pipeline.insert(-2, dict(type='IntensityJitter'))
datasets = [dict(part, pipeline=train_pipeline) for part in _base_.train_dataloader.dataset.datasets]
train_dataloader = dict(dataset=dict(datasets=datasets))
