# The same, grey levels jittered after the paste.
_base_ = './sparse_targets.py'

jitter = dict(type='IntensityJitter')
dense_pipeline = [*_base_.train_pipeline[:-2], jitter, *_base_.train_pipeline[-2:]]
unpasted_pipeline = [*_base_.unpasted_pipeline[:-2], jitter, *_base_.unpasted_pipeline[-2:]]
lone_pipeline = [*_base_.lone_pipeline[:-2], jitter, *_base_.lone_pipeline[-2:]]
dense, sparse, lone = _base_.train_dataloader.dataset.datasets
train_dataloader = dict(dataset=dict(datasets=[
    dict(dense, pipeline=dense_pipeline),
    dict(sparse, pipeline=unpasted_pipeline),
    dict(lone, dataset=dict(lone.dataset, pipeline=lone_pipeline)),
]))
