# Frames with targets three times as often, lone targets in them, at several scales.
_base_ = './sparse_tiny.py'
from bafenet.engine.pipeline_steps import change_step, remove_step

dense, sparse = _base_.train_dataloader.dataset.datasets
sparse_pipeline = change_step(sparse.pipeline, 'BalancedCrop', target_prob=0.7, other_prob=0.2)
# Real targets are larger than DenseSIRST's, and other lenses show them larger or smaller.
sparse_pipeline.insert(2, dict(
    type='RandomChoice',
    transforms=[[dict(type='Resize', scale_factor=factor)] for factor in (0.7, 1.0, 1.4, 2.0)],
    prob=[0.2, 0.4, 0.2, 0.2]))
lone_pipeline = change_step(sparse_pipeline, 'BAGCopyPaste', lone_prob=1.0, num_lone=(1, 4), max_target_size=32,
                            brightness=(0.4, 1.5), target_scale=(0.7, 2.0))
unpasted_pipeline = remove_step(sparse_pipeline, 'BAGCopyPaste')
train_dataloader = dict(
    sampler=dict(repeats=0.333),
    dataset=dict(datasets=[
        dense,
        dict(sparse, pipeline=unpasted_pipeline),
        dict(type='RepeatDataset', times=2, dataset=dict(sparse, only_with_targets=True, pipeline=lone_pipeline)),
    ]))
