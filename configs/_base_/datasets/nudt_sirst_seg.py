# NUDT-SIRST with target masks: 563 frames to train on, 100 of the training split to validate on, 664 to test on.
dataset_type = 'SIRSTSegDataset'
data_root = 'data/NUDT-SIRST'
holdout = 100

train_pipeline = [
    dict(type='LoadInfraredImage', cache_mb=64),
    dict(type='LoadTargetMask', cache_mb=64),
    # All eight flips and quarter turns, equally likely.
    dict(type='RandomFlip', prob=[0.25, 0.25, 0.25], direction=['horizontal', 'vertical', 'diagonal']),
    dict(type='RandomTranspose', prob=0.5),
    dict(type='PackInfraredInputs'),
]
test_pipeline = [
    dict(type='LoadInfraredImage'),
    dict(type='LoadTargetMask'),
    dict(type='PackInfraredInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]

train_dataloader = dict(
    batch_size=16,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='EpochSampler'),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='splits/train.txt',
        holdout=holdout,
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='splits/train.txt',
        holdout=holdout,
        held_out=True,
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = dict(
    val_dataloader,
    dataset=dict(
        type=dataset_type, data_root=data_root, ann_file='splits/test.txt', test_mode=True, pipeline=test_pipeline))

val_evaluator = dict(type='IRSTDMetric')
test_evaluator = val_evaluator
