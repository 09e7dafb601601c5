# With negatives too, each for itself.
_base_ = './sirst5k_release.py'

pipeline = _base_.train_dataloader.dataset.pipeline
train_dataloader = dict(dataset=dict(pipeline=[*pipeline[:2], _base_.with_negatives, *pipeline[3:]]))
