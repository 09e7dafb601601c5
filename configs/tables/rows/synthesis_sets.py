# The same with noise and negatives in sets, and the loss of sets: batches of 15, in as many steps.
_base_ = './synthesis_none.py'

model = dict(loss_mask=dict(_delete_=True, type='NegativeSetLoss'))
pipeline = _base_.train_dataloader.dataset.pipeline
train_dataloader = dict(
    batch_size=15,
    sampler=dict(type='NegativeSetSampler', repeats=15 / 16),
    dataset=dict(pipeline=[*pipeline[:2], _base_.in_sets, *pipeline[2:]]))
