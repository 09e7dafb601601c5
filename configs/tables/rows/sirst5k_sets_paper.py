# With negatives in sets and the loss of sets, the whole of SIRST-5K: batches of 15 instead of 16, in as many steps.
_base_ = './sirst5k_paper.py'

model = dict(loss_mask=dict(_delete_=True, type='NegativeSetLoss'))
pipeline = _base_.train_dataloader.dataset.pipeline
batch_size = _base_.train_dataloader.batch_size // _base_.set_size * _base_.set_size
repeats = _base_.train_dataloader.sampler.get('repeats', 1) * batch_size / _base_.train_dataloader.batch_size
train_dataloader = dict(
    batch_size=batch_size,
    sampler=dict(type='NegativeSetSampler', repeats=repeats),
    dataset=dict(pipeline=[*pipeline[:2], _base_.in_sets, *pipeline[3:]]))
