"""The network: detector, head, backbones, and what crosses between its two tasks."""
from .backbones import UnpooledResNet
from .bafe_head import BAFEHead
from .bafe_net import BAFENet
from .exchange import ChannelExchange, MLPAdapter
from .necks import FinestFPN

__all__ = ['BAFEHead', 'BAFENet', 'ChannelExchange', 'FinestFPN', 'MLPAdapter', 'UnpooledResNet']
