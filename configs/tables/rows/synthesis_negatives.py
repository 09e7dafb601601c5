# The same with noise and negatives, each for itself.
_base_ = './synthesis_none.py'

pipeline = _base_.train_dataloader.dataset.pipeline
train_dataloader = dict(dataset=dict(pipeline=[*pipeline[:2], _base_.with_negatives, *pipeline[2:]]))
