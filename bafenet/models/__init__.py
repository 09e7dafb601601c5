"""The network: detector, head, and what crosses between its two tasks."""
from .bafe_head import BAFEHead
from .bafe_net import BAFENet
from .exchange import ChannelExchange, MLPAdapter

__all__ = ['BAFEHead', 'BAFENet', 'ChannelExchange', 'MLPAdapter']
