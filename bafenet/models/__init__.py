"""The network: detector, head, backbones, neck, losses, and the feature exchange between its two tasks."""
from .assignment import InsideAssigner, NearestAssigner, ReceptiveFieldAssigner
from .backbones import CompactResNet, UnpooledResNet
from .bafe_head import BAFEHead
from .bafe_net import BAFENet
from .exchange import ChannelExchange, DynamicChannelExchange, MLPAdapter, SequentialExchange, SpatialExchange
from .losses import NormalisedWassersteinLoss
from .necks import FinestFPN
from .onnx_network import OnnxNetwork
from .selective_kernel import SelectiveKernel
from .separable import SeparableConv2d

__all__ = [
    'BAFEHead', 'BAFENet', 'ChannelExchange', 'CompactResNet', 'DynamicChannelExchange', 'FinestFPN', 'InsideAssigner',
    'MLPAdapter', 'NearestAssigner', 'NormalisedWassersteinLoss', 'OnnxNetwork', 'ReceptiveFieldAssigner',
    'SelectiveKernel', 'SeparableConv2d', 'SequentialExchange', 'SpatialExchange', 'UnpooledResNet'
]
