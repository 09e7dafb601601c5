# bafenet_hr_tiny for clustered and for lone targets: DenseSIRST, and the real frames that it was made from (SIRST-V2).
# What each setting gave: configs/tables/sparse.yaml, docs/hr.md.
_base_ = './bafenet_hr_tiny_densesirst.py'

sparse_root = 'data/SIRSTv2devkit'
load_image, load_sky, crop, paste, flip, pack = _base_.train_pipeline
# Sensors differ. Sparse frames show it; the borders of dense targets are learnt as they are.
jitter = dict(type='IntensityJitter')
# Real targets are larger than DenseSIRST's, and other lenses show them larger or smaller.
scales = dict(
    type='RandomChoice',
    transforms=[[dict(type='Resize', scale_factor=factor)] for factor in (0.7, 1.0, 1.4, 2.0)],
    prob=[0.2, 0.4, 0.2, 0.2])
sparse_crop = dict(crop, target_prob=0.7, other_prob=0.2)
# Clusters in sparse frames cost lone targets: they are taken for clutter.
lone_paste = dict(
    paste, lone_prob=1.0, num_lone=(1, 4), max_target_size=32, target_scale=(0.7, 2.0), brightness=(0.4, 1.5))

dense = dict(
    _base_.train_dataloader.dataset, pipeline=[load_image, load_sky, crop, paste, flip, pack])
sparse = dict(dense, data_root=sparse_root, pipeline=[load_image, load_sky, scales, sparse_crop, jitter, flip, pack])
with_targets = dict(
    sparse,
    only_with_targets=True,
    pipeline=[load_image, load_sky, scales, sparse_crop, lone_paste, jitter, flip, pack])
train_dataloader = dict(
    # As many dense crops as DenseSIRST alone has, and twice as many sparse ones.
    sampler=dict(repeats=1.1),
    # Every other sparse frame has no target.
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[dense, sparse, dict(type='RepeatDataset', times=2, dataset=with_targets)]))
