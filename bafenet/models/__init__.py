"""The networks: detector, head, backbones, neck, losses, the exchange between its two tasks; target segmentation."""
from .assignment import (
    AnchorReceptiveFieldAssigner,
    InsideAssigner,
    NearestAssigner,
    ReceptiveFieldAssigner,
)
from .backbones import CompactResNet, UnpooledResNet
from .bafe_head import BAFEHead
from .bafe_net import BAFENet
from .box_similarity import NormalisedWassersteinSimilarity
from .exchange import ChannelExchange, DynamicChannelExchange, MLPAdapter, SequentialExchange, SpatialExchange
from .losses import NormalisedWassersteinLoss
from .necks import FinestFPN
from .onnx_network import OnnxNetwork
from .segmentation import (
    AdditiveUNet,
    NegativeSetLoss,
    NestedUNet,
    SegmentationPreprocessor,
    SoftIoULoss,
    TargetSegmentor,
)
from .selective_kernel import SelectiveKernel
from .separable import SeparableConv2d

__all__ = [
    'AdditiveUNet', 'AnchorReceptiveFieldAssigner', 'BAFEHead', 'BAFENet', 'ChannelExchange', 'CompactResNet',
    'DynamicChannelExchange', 'FinestFPN', 'InsideAssigner', 'MLPAdapter', 'NearestAssigner', 'NegativeSetLoss',
    'NestedUNet', 'NormalisedWassersteinLoss', 'NormalisedWassersteinSimilarity', 'OnnxNetwork',
    'ReceptiveFieldAssigner', 'SegmentationPreprocessor', 'SelectiveKernel', 'SeparableConv2d',
    'SequentialExchange', 'SoftIoULoss', 'SpatialExchange', 'TargetSegmentor', 'UnpooledResNet'
]
