# With negatives in sets and the loss of sets, the whole of SIRST-5K: batches of 15 instead of 16, in as many steps.
_base_ = './sirst5k_paper.py'
from bafenet.datasets.samplers import in_sets

model = dict(loss_mask=dict(_delete_=True, type='NegativeSetLoss'))
pipeline = _base_.train_dataloader.dataset.pipeline
train_dataloader = dict(
    in_sets(_base_.train_dataloader), dataset=dict(pipeline=[*pipeline[:2], _base_.negatives_in_sets, *pipeline[3:]]))
