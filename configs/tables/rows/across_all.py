# The same schedule on dense and sparse frames and on those of NUDT-SIRST together.
_base_ = './sparse_unpasted.py'

dense, sparse = _base_.train_dataloader.dataset.datasets
nudt = dict(sparse, data_root='data/NUDTdevkit', sky='none')
# 512 of the 512 + 512 + 663 frames an epoch.
train_dataloader = dict(sampler=dict(repeats=512 / 1687), dataset=dict(datasets=[dense, sparse, nudt]))
