# SIRST-5K's protocol as its paper prints it: whole frames of the whole training split, nothing added but its synthesis.
# Normalisation and initialisation (Xavier's) are the model's. The paper does not say which epoch it took: the last one.
_base_ = './nudt_seg.py'

train_pipeline = [*_base_.train_pipeline[:2], _base_.train_pipeline[-1]]
# Batches of 256, by accumulation. An epoch is as long as the set of 4998 frames, in rows without synthesis too.
train_dataloader = dict(
    batch_size=16, sampler=dict(repeats=4998 / 663), dataset=dict(holdout=0, pipeline=train_pipeline))
max_epochs = 1500
# Only the last epoch is validated, so that none is picked.
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
val_dataloader = dict(dataset=dict(ann_file='splits/test.txt', holdout=0, held_out=False))

optim_wrapper = dict(
    _delete_=True, type='OptimWrapper', accumulative_counts=16, optimizer=dict(type='Adagrad', lr=0.05))
param_scheduler = [
    dict(type='CosineAnnealingLR', T_max=max_epochs, by_epoch=True, begin=0, end=max_epochs),
]
