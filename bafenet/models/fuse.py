"""Fuse a network for prediction: convolutions with the batch norms after them, channels in the exchange's order."""
from collections.abc import Iterator
from typing import Any

import torch
from mmcv.cnn import ConvModule
from mmdet.models.backbones import ResNet
from mmdet.models.backbones.resnet import BasicBlock, Bottleneck
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .bafe_head import BAFEHead
from .exchange import ChannelExchange

# Modules known to run a convolution and a batch normalisation that stand next to each other one after the other, and
# the convolution for nothing else. The parts of any other module may be called in another order.
_SEQUENCES = (nn.Sequential, ConvModule, BasicBlock, Bottleneck, ResNet)


def fuse_batch_norms(network: nn.Module) -> int:
    """Multiply batch normalisations with fixed statistics into the convolutions before them.

    In place. Only what is sure to be computed one after the other is fused: in ``Sequential``, mmcv's ``ConvModule``
    and mmdet's ResNets; another network keeps the rest as it is. Results differ by rounding, and the layout in memory
    of the weights stays.

    Args:
        network: A network in eval mode, which can no longer be trained afterwards.

    Returns:
        How many were fused.
    """
    count = 0
    shared = _parts_used_twice(network)
    for parent, conv_name, norm_name in list(_pairs(network)):
        conv: Any = parent._modules[conv_name]
        norm: Any = parent._modules[norm_name]
        if not shared & {id(conv), id(norm)}:
            fused = fuse_conv_bn_eval(conv, norm)
            # It computes in the default layout.
            fused.weight.data = fused.weight.data.to(memory_format=_layout(conv))
            parent._modules[conv_name], parent._modules[norm_name] = fused.requires_grad_(False), nn.Identity()
            count += 1
    return count


def _pairs(network: nn.Module) -> Iterator[tuple[nn.Module, str, str]]:
    """Parent, name of a convolution and name of the batch normalisation that follows it."""
    for parent in network.modules():
        # A ConvModule may normalise first.
        order = tuple(getattr(parent, 'order', ('conv', 'norm')))
        if not isinstance(parent, _SEQUENCES) or order[:2] != ('conv', 'norm'):
            continue
        children = list(parent._modules.items())
        for (conv_name, conv), (norm_name, norm) in zip(children, children[1:], strict=False):
            if type(conv) is nn.Conv2d and isinstance(norm, _BatchNorm) and _fixed(norm) \
                    and conv.out_channels == norm.num_features and not _hooked(conv) and not _hooked(norm):
                yield parent, conv_name, norm_name


def _fixed(norm: _BatchNorm) -> bool:
    """Whether it normalises with what it has learnt, and not with the statistics of a batch."""
    return not norm.training and norm.running_mean is not None and norm.affine


def _hooked(module: nn.Module) -> bool:
    """Whether somebody looks at what goes in or comes out."""
    return bool(module._forward_hooks or module._forward_pre_hooks)


def _parts_used_twice(network: nn.Module) -> set[int]:
    """Modules that stand at several places: what is right at one is wrong at another."""
    seen: set[int] = set()
    twice: set[int] = set()
    for _, module in network.named_modules(remove_duplicate=False):
        (twice if id(module) in seen else seen).add(id(module))
    return twice


def _layout(conv: nn.Conv2d) -> Any:
    channels_last = conv.weight.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if channels_last and not conv.weight.is_contiguous() else torch.contiguous_format


class GroupedExchange(nn.Module):
    """:class:`~bafenet.models.exchange.ChannelExchange` of features whose exchanged channels come first.

    Args:
        adapters: Its adapters.
        count: How many channels are exchanged.
    """

    def __init__(self, adapters: nn.ModuleList, count: int) -> None:
        super().__init__()
        self.adapters, self.count = adapters, count

    def forward(self, x1: Tensor, x2: Tensor) -> tuple[Tensor, Tensor]:
        """Exchange features, float (N, C, H, W) each; the results have their shapes."""
        count = self.count
        return (torch.cat((self.adapters[0](x2[:, :count]), x1[:, count:]), dim=1),
                torch.cat((self.adapters[-1](x1[:, :count]), x2[:, count:]), dim=1))


def group_exchanged_channels(network: nn.Module) -> bool:
    """Let the convolutions before a channel exchange give what is exchanged first, and those after it expect it so.

    In place, of a fused network in eval mode. Every second channel is taken out of features and put back in several
    passes; the first half in one.

    Returns:
        Whether there was an exchange between convolutions that could be rearranged.
    """
    head: Any = getattr(network, 'bbox_head', None)
    exchange: Any = getattr(head, 'exchange', None)
    if not _is_bafe_head(head) or type(exchange) is not ChannelExchange or not head.with_bottleneck:
        return False
    before: list[Any] = [list(bottleneck)[3:] for bottleneck in (head.cls_bottleneck, head.seg_bottleneck)]
    if not all([type(layer) for layer in layers] == [nn.Conv2d, nn.Identity, nn.ReLU] for layers in before):
        return False
    channels = torch.arange(head.feat_channels)
    exchanged = channels[exchange.exchanged[1]]
    order = torch.cat((exchanged, channels[~torch.isin(channels, exchanged)]))
    for conv, _, _ in before:
        conv.weight.data = conv.weight.data[order].contiguous(memory_format=_layout(conv))
        conv.bias.data = conv.bias.data[order]
    for conv in (head.conv_cls, head.conv_seg, *([] if head.centerness_on_reg else [head.conv_centerness]),
                 *([head.conv_mask] if head.with_mask else [])):
        conv.weight.data = conv.weight.data[:, order].contiguous(memory_format=_layout(conv))
    head.exchange = GroupedExchange(exchange.adapters, len(exchanged))
    return True


def _is_bafe_head(head: Any) -> bool:
    return isinstance(head, BAFEHead)


def fuse_for_prediction(network: nn.Module) -> None:
    """Fuse what prediction need not compute apart, in place; see :func:`fuse_batch_norms`.

    The network's numbers change by rounding alone. Afterwards it can neither be trained nor loaded from a checkpoint.
    """
    fuse_batch_norms(network)
    group_exchanged_channels(network)
