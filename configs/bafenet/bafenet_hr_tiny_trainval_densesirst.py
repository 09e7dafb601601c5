# The reported network: trained once on train and val together for as many epochs as val_v2 has chosen, nothing picked.
_base_ = './bafenet_hr_tiny_densesirst.py'

train_dataloader = dict(dataset=dict(ann_file='Splits/trainval_{splits}.txt'))
val_dataloader = None
val_cfg = None
val_evaluator = None
default_hooks = dict(checkpoint=dict(save_best=None, rule=None))
