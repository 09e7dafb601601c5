# The protocol of the paper's release, as it was: for comparing with its tables, not for new work.
# Optimizer, epochs and batch are those of ours too: ../schedules/dadapt_20e.py.
_base_ = './ours.py'

# The release pastes after the resize, and truncates every box to whole pixels of the small image.
bag_cp_pipeline = [
    dict(type='LoadInfraredImage'),
    dict(type='LoadSkyAnnotations'),
    dict(type='Resize', scale=_base_.input_size, keep_ratio=False),
    dict(type='BAGCopyPaste', clustered=True, gaussian=True, background='sky', truncate_boxes=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackInfraredInputs'),
]
train_dataloader = dict(dataset=dict(ann_file='Splits/trainval_{splits}.txt', box_origin=1))
# The release picks its epochs on the test split, once by each mAP.
val_dataloader = dict(dataset=dict(ann_file='Splits/test_{splits}.txt', box_origin=1))
test_dataloader = dict(dataset=dict(box_origin=1))
val_evaluator = dict(legacy_coordinates=True)
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(save_best=['densesirst/mAP_07_legacy', 'densesirst/mAP_12_legacy']))

# Torchvision's weights in a ResNet of Caffe's style, under Caffe's normalisation.
protocol_model = dict(
    backbone=dict(style='caffe'),
    data_preprocessor=dict(mean=[103.53, 116.28, 123.675], std=[1.0, 1.0, 1.0], bgr_to_rgb=False))
