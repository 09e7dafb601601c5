# The small U-Net on grey frames, with noise and negatives.
_base_ = './sirst5k_negatives_release.py'

model = dict(
    data_preprocessor=_base_.grey_model.data_preprocessor,
    backbone=dict(_delete_=True, type='AdditiveUNet', in_channels=1))
