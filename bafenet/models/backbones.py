"""Backbones that keep what a target of three pixels needs."""
from mmdet.models.backbones import ResNet
from mmdet.registry import MODELS
from torch import nn


@MODELS.register_module()
class UnpooledResNet(ResNet):
    """ResNet without the max pooling of its stem, so that the stages have strides 2, 4, 8, 16.

    FCOS learns a target only from points inside its box, and a box of 3x3 pixels always holds one of stride 2.

    Takes the arguments of mmdet's ``ResNet``.
    """

    def _make_stem_layer(self, in_channels: int, stem_channels: int) -> None:
        super()._make_stem_layer(in_channels, stem_channels)
        self.maxpool = nn.Identity()
