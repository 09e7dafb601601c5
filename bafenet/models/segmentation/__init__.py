"""Networks that mark every target pixel of a frame (SIRST-5K and its field), the segmentor around them, its losses."""
from .additive_unet import AdditiveUNet
from .attention import ChannelAttention, SpatialAttention
from .mask_losses import NegativeSetLoss, SoftIoULoss
from .nested_unet import NestedUNet
from .preprocessor import SegmentationPreprocessor
from .segmentor import TargetSegmentor

__all__ = [
    'AdditiveUNet', 'ChannelAttention', 'NegativeSetLoss', 'NestedUNet', 'SegmentationPreprocessor', 'SoftIoULoss',
    'SpatialAttention', 'TargetSegmentor'
]
