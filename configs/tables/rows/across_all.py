# The same schedule on dense and sparse frames and on those of NUDT-SIRST together.
_base_ = './across_nudt.py'

sparse = dict(_base_.nudt, data_root=_base_.sparse_root, sky='required')
# 512 of the 512 + 512 + 663 frames an epoch.
train_dataloader = dict(
    sampler=dict(repeats=512 / 1687),
    dataset=dict(_delete_=True, type='ConcatDataset', datasets=[_base_.dense, sparse, _base_.nudt]))
