# The same with noise mixed into every other visit.
_base_ = './synthesis_none.py'

pipeline = _base_.train_dataloader.dataset.pipeline
train_dataloader = dict(dataset=dict(pipeline=[*pipeline[:2], _base_.synthesis, *pipeline[2:]]))
