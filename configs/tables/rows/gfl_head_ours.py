# GFL's head on the small network of the table of differences.
_base_ = './differences_ours.py'

from bafenet.engine.head_on_level import head_on_level

model = head_on_level('configs/baselines/gfl_r50_densesirst.py', _base_.model)
