# AutoAssign's head on the demo's network.
_base_ = '../../demo/bafenet_r18_demo.py'

from bafenet.engine.head_on_level import head_on_level

model = head_on_level('configs/baselines/autoassign_r50_densesirst.py', _base_.model)
