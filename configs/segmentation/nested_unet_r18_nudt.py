# DNA-Net, 4.70 M parameters: the same with ResNet-18 blocks.
_base_ = './nested_unet_r34_nudt.py'

model = dict(backbone=dict(depth=18))
