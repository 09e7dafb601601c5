# The same schedule on NUDT-SIRST alone, which has no sky maps: the sky branch is not taught.
_base_ = './sparse_unpasted.py'

_, sparse = _base_.train_dataloader.dataset.datasets
nudt = dict(sparse, data_root='data/NUDTdevkit', sky='none')
# 512 of its 663 frames an epoch: as many steps as on the others.
train_dataloader = dict(sampler=dict(repeats=512 / 663), dataset=dict(_delete_=True, **nudt))
