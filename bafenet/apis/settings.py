"""Settings of a prediction: lowest score, most detections, sky alone, tiles, and how deep frames are read."""
from collections.abc import Sequence
from dataclasses import dataclass

from ..arguments import require_flags, require_number
from ..devkit.grey_levels import GreyLevels
from ..errors import InputError

TILE, OVERLAP, TILE_STEP = 1024, 256, 64
MAX_DETECTIONS = 100_000


@dataclass(frozen=True)
class Settings:
    """What may be asked of a prediction. None is what the network's config says.

    Attributes:
        score: Lowest score of a box, in [0, 1]; a calibrated one where the network's scores are. The config's threshold
            holds for the class score alone, before it is multiplied by the quality and calibrated.
        max_detections: Most boxes of a frame.
        sky_only: Keep only boxes whose centre is in the predicted sky.
        tile: Longest side in pixels, a multiple of 64, of what goes through the network at once; larger frames are cut
            into tiles with an overlap of 256 px. None, and a network that resizes its input, takes whole frames.
        percentiles: Percentiles of frames of more than 8 bits that become 0 and 255.
        value_range: Values of such frames that become 0 and 255, instead.

    Raises:
        InputError: If one is out of range.
    """

    score: float | None = None
    max_detections: int | None = None
    sky_only: bool = False
    tile: int | None = None
    percentiles: Sequence[float] | None = None
    value_range: Sequence[float] | None = None

    def __post_init__(self) -> None:
        if self.score is not None:
            require_number('score', self.score, 0, 1)
        if self.max_detections is not None:
            require_number('max_detections', self.max_detections, 1, MAX_DETECTIONS, whole=True)
        require_flags('settings', sky_only=self.sky_only)
        if self.tile is not None:
            require_number('tile', self.tile, 2 * OVERLAP, 2**16, whole=True, unit='pixels')
            if self.tile % TILE_STEP:
                raise InputError(f'tile is {self.tile}; give a multiple of {TILE_STEP}, as {TILE}')
        self.levels(GreyLevels())

    def levels(self, default: GreyLevels) -> GreyLevels:
        """How deep frames are brought to 8 bits, where the network's config says ``default``."""
        if self.value_range is not None:
            return GreyLevels(default.percentiles, tuple(self.value_range))
        return default if self.percentiles is None else GreyLevels(tuple(self.percentiles))
