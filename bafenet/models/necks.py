"""Necks: an FPN whose finest level alone is used, for targets that are all of one size."""

import torch.nn.functional as F
from mmdet.models.necks import FPN
from mmdet.registry import MODELS
from torch import Tensor

from bafenet.arguments import require_whole, require_wholes
from bafenet.errors import InputError

LEVEL_ARGUMENTS = {'num_outs', 'start_level', 'end_level', 'add_extra_convs', 'relu_before_extra_convs'}


@MODELS.register_module()
class FinestFPN(FPN):
    """FPN that gives its finest level alone.

    Targets of 3 to 5 pixels all belong to that level; the others would only cost their share of the head, and share its
    weights and statistics with features of another scale.

    Args:
        in_channels: Channels of each level of the backbone, finest first.
        out_channels: Channels of the result.
        **kwargs: Further arguments of mmdet's ``FPN``, but for those that choose levels.

    Raises:
        InputError: If a number of channels is not one, or an argument chooses levels.
    """

    def __init__(self, in_channels: list, out_channels: int, **kwargs) -> None:
        require_wholes('FinestFPN', in_channels=in_channels)
        require_whole('FinestFPN', out_channels=out_channels)
        chosen = sorted(LEVEL_ARGUMENTS & kwargs.keys())
        if chosen:
            raise InputError(f'FinestFPN: {", ".join(chosen)} chooses levels, and it gives its finest alone; remove it')
        super().__init__(in_channels, out_channels, num_outs=len(in_channels), **kwargs)
        # The convolutions of levels that nobody sees.
        del self.fpn_convs[1:]

    def forward(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
        """Merge the backbone's features (N, C_l, H_l, W_l) top-down into one of (N, out_channels, H_0, W_0)."""
        merged = self.lateral_convs[-1](inputs[-1])
        for lateral, features in zip(self.lateral_convs[-2::-1], inputs[-2::-1], strict=True):
            finer = lateral(features)
            merged = finer + F.interpolate(merged, size=finer.shape[-2:], **self.upsample_cfg)
        return (self.fpn_convs[0](merged), )
