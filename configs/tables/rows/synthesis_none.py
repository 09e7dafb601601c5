# The small U-Net on all training frames of NUDT-SIRST, for 2100 steps; the last epoch is tested.
_base_ = ['../../segmentation/additive_unet_nudt.py', '../../_base_/datasets/sirst5k_synthesis.py']

max_epochs = 50
train_dataloader = dict(dataset=dict(holdout=0))
# Only the last epoch is validated, so that none is picked.
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
val_dataloader = dict(dataset=dict(ann_file='splits/test.txt', holdout=0, held_out=False))
warm_up, cosine = _base_.param_scheduler
param_scheduler = [warm_up, dict(cosine, end=max_epochs, T_max=max_epochs)]
