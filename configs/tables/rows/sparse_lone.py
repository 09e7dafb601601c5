# The same, with lone targets pasted into the frames that have targets.
_base_ = './sparse_scales.py'

pasted_pipeline = list(_base_.sparse_pipeline)
pasted_pipeline.insert(-2, dict(
    _base_.train_pipeline[3],
    lone_prob=1.0,
    num_lone=(1, 4),
    max_target_size=32,
    target_scale=(0.7, 2.0),
    brightness=(0.4, 1.5)))
dense, sparse, repeated = _base_.train_dataloader.dataset.datasets
train_dataloader = dict(dataset=dict(datasets=[
    dense,
    sparse,
    dict(repeated, dataset=dict(repeated.dataset, pipeline=pasted_pipeline)),
]))
