# The network of SIRST-5K under its release's protocol, with noise mixed into every other frame.
_base_ = [
    '../../_base_/models/nested_unet.py', '../../_base_/protocols/nudt_release.py',
    '../../_base_/datasets/sirst5k_synthesis.py'
]

pipeline = _base_.train_dataloader.dataset.pipeline
train_dataloader = dict(dataset=dict(pipeline=[*pipeline[:2], _base_.synthesis, *pipeline[2:]]))
