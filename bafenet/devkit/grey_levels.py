"""Bring frames of 16 bits or floating point to 8 bits by percentiles or a fixed range; frames in memory checked."""
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arguments import require_range
from ..errors import InputError
from .images import MAX_PIXELS

PERCENTILES = (0.1, 99.9)
_LARGEST = 1e300  # beyond it differences overflow


@dataclass(frozen=True)
class GreyLevels:
    """Which values of a deep frame become 0 and 255; frames of 8 bits stay as they are.

    Args:
        percentiles: Percentiles of the finite pixels of each frame, all channels together, that become 0 and 255;
            values beyond them are clipped. Where both fall together, the smallest and the largest value do.
        value_range: Two values that become 0 and 255 in every frame, instead of percentiles: levels of a sequence can
            then be compared.

    Raises:
        InputError: If one is no such pair.
    """

    percentiles: Sequence[float] = PERCENTILES
    value_range: Sequence[float] | None = None

    def __post_init__(self) -> None:
        require_range('percentiles', self.percentiles, 0, 100)
        if self.percentiles[0] == self.percentiles[1]:
            raise InputError(f'percentiles is {self.percentiles[0]} twice; give two, as 0.1 and 99.9')
        if self.value_range is not None:
            require_range('value_range', self.value_range, -_LARGEST, _LARGEST)
            low, high = self.value_range
            if not low < high:
                raise InputError(f'value_range is {low:g} twice; the second value must be larger')

    def apply(self, image: np.ndarray) -> tuple[np.ndarray, tuple[float, float] | None]:
        """Bring a frame to 8 bits.

        NaN becomes 0, and infinities 0 and 255. A frame of one value becomes 0 everywhere.

        Args:
            image: (H, W) or (H, W, C), of integers or floating point.

        Returns:
            uint8, the same shape, and the two values that became 0 and 255; the image itself and None where it is
            uint8.
        """
        if image.dtype == np.uint8:
            return image, None
        if image.dtype.kind == 'f' and image.dtype.itemsize < 4:
            image = image.astype(np.float32)
        low, high = self.value_range if self.value_range is not None else _limits(image, self.percentiles)
        low, high = float(low), float(high)
        if image.dtype == np.uint16:
            # All values there are, instead of all pixels.
            return _scale(np.arange(2**16, dtype=np.float64), low, high)[image], (low, high)
        return _scale(image, low, high), (low, high)

    def describe(self) -> str:
        """What is done, in words: ``by percentiles 0.1 and 99.9 of each frame``."""
        if self.value_range is not None:
            return f'from the range {self.value_range[0]:g} to {self.value_range[1]:g}'
        return f'by percentiles {self.percentiles[0]:g} and {self.percentiles[1]:g} of each frame'


def _limits(image: np.ndarray, percentiles: Sequence[float]) -> tuple[float, float]:
    """The values at two percentiles of the finite pixels; the extremes where these fall together."""
    values = image.ravel()
    if image.dtype.kind == 'f':
        values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 0.0
    with np.errstate(over='ignore', invalid='ignore'):
        low, high = np.percentile(values, list(percentiles), method='nearest')
    if low == high:
        low, high = values.min(), values.max()
    return float(low), float(high)


def _scale(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """``low`` to ``high`` as 0 to 255, rounded and clipped."""
    kind = np.float32 if values.dtype == np.float32 and abs(low) < 1e30 and abs(high) < 1e30 else np.float64
    if not low < high:
        return np.zeros(values.shape, np.uint8)
    with np.errstate(over='ignore', invalid='ignore'):
        scaled = np.clip(values.astype(kind), low, high)
        scaled = scaled / 4 - low / 4 if kind is np.float64 else scaled - kind(low)
        scaled *= 255 / (high / 4 - low / 4) if kind is np.float64 else kind(255 / (high - low))
        return np.nan_to_num(np.rint(scaled), nan=0).clip(0, 255).astype(np.uint8)


def as_frame(image: Any) -> np.ndarray:
    """A frame in memory, checked; of any depth.

    Args:
        image: Integers or floating point, (H, W) or (H, W, 1), grey, or (H, W, 3), BGR.

    Returns:
        (H, W) or (H, W, 3) of the same dtype in the machine's byte order, a view where that can be.

    Raises:
        InputError: If it is of another type or shape, or larger than a file may be.
    """
    if not isinstance(image, np.ndarray):
        raise InputError(f'the image is a {type(image).__name__}: give a file, or an array of NumPy')
    what = f'the image array is {image.dtype} {"x".join(map(str, image.shape))}'
    if image.dtype.kind not in 'uif' or image.dtype.itemsize > 8:
        raise InputError(f'{what}: give grey levels, as uint8, uint16 or float32')
    if image.ndim not in (2, 3) or image.shape[2:] not in ((), (1, ), (3, )) or not image.size:
        raise InputError(f'{what}: give (height, width) or (height, width, 1) grey, or (height, width, 3) BGR')
    if image.shape[0] * image.shape[1] > MAX_PIXELS:
        raise InputError(f'{what}, more than {MAX_PIXELS:,} pixels; cut it into smaller images')
    image = image[..., 0] if image.shape[2:] == (1, ) else image
    return image if image.dtype.isnative else image.astype(image.dtype.newbyteorder('='))
