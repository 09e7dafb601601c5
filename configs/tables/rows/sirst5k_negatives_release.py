# With negatives too, each for itself.
_base_ = './sirst5k_release.py'

load_image, load_mask, _, *others = _base_.train_dataloader.dataset.pipeline
train_dataloader = dict(dataset=dict(pipeline=[load_image, load_mask, _base_.with_negatives, *others]))
