# DenseSIRST read as it is: boxes 0-based with exclusive ends, chosen on validation, tested once.
dataset_type = 'DenseSIRSTDataset'
data_root = 'data/SIRSTdevkit'
# Replaces {splits} in every ann_file; 'rec' (--splits rec): splits of which no two share a recording.
splits = 'v2'
input_size = (512, 512)

train_pipeline = [
    dict(type='LoadInfraredImage'),
    dict(type='LoadSkyAnnotations'),
    # The paper's text keeps the aspect ratio, its FLOPs say that it is lost.
    dict(type='Resize', scale=input_size, keep_ratio=False),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackInfraredInputs'),
]
# BAG-CP in native pixels, so that Resize treats pasted and present targets alike.
bag_cp_pipeline = [
    dict(type='LoadInfraredImage'),
    dict(type='LoadSkyAnnotations'),
    dict(type='BAGCopyPaste', clustered=True, gaussian=True, background='sky'),
    dict(type='Resize', scale=input_size, keep_ratio=False),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackInfraredInputs'),
]
test_pipeline = [
    dict(type='LoadInfraredImage'),
    dict(type='Resize', scale=input_size, keep_ratio=False),
    # After Resize, so that the truth keeps original coordinates.
    dict(type='LoadSkyAnnotations'),
    dict(type='PackInfraredInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]

train_dataloader = dict(
    batch_size=2,
    num_workers=2,
    persistent_workers=True,
    # The paper's release passes the data three times an epoch.
    sampler=dict(type='EpochSampler', repeats=3),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='Splits/train_{splits}.txt',
        box_origin=0,
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
        ann_file='Splits/val_{splits}.txt',
        box_origin=0,
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = dict(
    val_dataloader, dataset=dict(val_dataloader['dataset'], ann_file='Splits/test_{splits}.txt'))

val_evaluator = dict(type='DenseSIRSTMetric', legacy_coordinates=False)
test_evaluator = val_evaluator
