# TOOD's head on bafenet_hr_tiny's backbone and neck.
_base_ = '../../bafenet/bafenet_hr_tiny_densesirst.py'

from bafenet.engine.head_on_level import head_on_level

model = head_on_level(
    'configs/baselines/tood_r50_densesirst.py', _base_.model,
    # A third of the epochs of three, as released.
    train_cfg=dict(initial_epoch=1))
