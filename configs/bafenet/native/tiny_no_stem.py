# The image halved by the first convolution.
_base_ = '../bafenet_hr_tiny_densesirst.py'

model = dict(backbone=dict(stem_channels=None, stem_kernel=5))
