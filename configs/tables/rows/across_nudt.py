# The same schedule on NUDT-SIRST alone, which has no sky maps: nothing to paste into, and the sky branch is not taught.
_base_ = './sparse_tiny.py'
from bafenet.engine.pipeline_steps import remove_step

nudt = dict(
    _base_.dense, data_root='data/NUDTdevkit', sky='none', pipeline=remove_step(_base_.train_pipeline, 'BAGCopyPaste'))
# 512 of its 663 frames an epoch: as many steps as on the others.
train_dataloader = dict(sampler=dict(repeats=512 / 663), dataset=dict(_delete_=True, **nudt))
