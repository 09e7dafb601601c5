# The same with another gain and offset in half of the visits each: most of what mixing noise in does.
_base_ = './synthesis_none.py'

contrast = dict(type='IntensityJitter', gamma_prob=0.0, noise_prob=0.0, blur_prob=0.0)
pipeline = _base_.train_dataloader.dataset.pipeline
train_dataloader = dict(dataset=dict(pipeline=[*pipeline[:2], contrast, *pipeline[2:]]))
