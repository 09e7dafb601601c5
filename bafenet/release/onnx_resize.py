"""OpenCV's bilinear resize of 8-bit images, bit by bit, as a PyTorch module that can be exported."""
from typing import Any

import torch
from torch import Tensor, nn

from bafenet.arguments import require_wholes, shown
from bafenet.errors import InputError

# Weights are multiples of 1 / 2048; OpenCV drops 4 bits after the rows, 16 after the columns and rounds the last 2.
_ONE = 2048
_MAX_SIDE = 2**14


class FixedPointResize(nn.Module):
    """What ``cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)`` does to uint8 images, for any number at once.

    Networks that resize were trained on its roundings; bilinear interpolation of real numbers differs in every eighth
    pixel by a grey level.

    Args:
        size: Width and height to resize to.

    Raises:
        InputError: If the size is none.
    """

    def __init__(self, size: Any) -> None:
        super().__init__()
        require_wholes('Resize', scale=size)
        if len(size) != 2 or max(size) > _MAX_SIDE:
            raise InputError(f'Resize: scale={shown(size)} must be a width and a height of at most {_MAX_SIDE}')
        self.size: tuple[int, int] = tuple(size)
        self.width, self.height = self.size

    def forward(self, frames: Tensor) -> Tensor:
        """Resize frames.

        Args:
            frames: uint8 (N, H, W, C).

        Returns:
            int32 (N, height, width, C), 0 to 255.
        """
        left, right, near, far = _weights(frames.shape[2], self.width)
        # Beyond the first and last column only one counts; rows there keep both weights, which rounds otherwise.
        inside = (left >= 0) & (right < _tensor(frames.shape[2]))
        near, far = torch.where(inside, near, _ONE), torch.where(inside, far, 0)
        left, right = _clip(left, frames.shape[2]), _clip(right, frames.shape[2])
        top, bottom, high, low = _weights(frames.shape[1], self.height)
        top, bottom = _clip(top, frames.shape[1]), _clip(bottom, frames.shape[1])
        # Columns of 8 bits are taken before they are widened.
        rows = (frames.index_select(2, left).int() * near[:, None] + frames.index_select(2, right).int() * far[:, None])
        rows = _shift(rows, 4)
        upper = _shift(rows.index_select(1, top) * high[:, None, None], 16)
        lower = _shift(rows.index_select(1, bottom) * low[:, None, None], 16)
        return _shift(upper + lower + 2, 2)


def _weights(old: Any, new: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Both neighbours of each new pixel along an axis, int64, perhaps outside, and their weights, int32."""
    scale = _tensor(old).double() / float(new)
    place = ((torch.arange(new).double() + 0.5) * scale - 0.5).float()
    first = place.floor()
    share = place - first
    index = first.long()
    return index, index + 1, ((1 - share) * _ONE).round().int(), (share * _ONE).round().int()


def _clip(index: Tensor, count: Any) -> Tensor:
    return torch.minimum(index.clamp(min=0), _tensor(count) - 1)


def _shift(values: Tensor, bits: int) -> Tensor:
    """Whole numbers from 0 on without their last bits."""
    return torch.div(values, 2**bits, rounding_mode='trunc')


def _tensor(value: Any) -> Tensor:
    """A side, a constant in PyTorch and a tensor in a trace."""
    return value if isinstance(value, Tensor) else torch.tensor(value)
