"""Frames of a results file with their true sky, and the sky that the run's network predicts, where they are here."""
import hashlib
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bafenet.apis import Detector, load
from bafenet.compat.checkpoint_loading import local_file
from bafenet.devkit.frames import read_grey_frame
from bafenet.devkit.images import read_sky
from bafenet.devkit.layout import IMAGES, SKY_PALETTE, file_below
from bafenet.errors import InputError

from .collect import Run


class Source(NamedTuple):
    """A frame and its skies.

    Attributes:
        path: Its file.
        image: uint8 (H, W).
        true_sky: uint8 (H, W), 0 other, 1 sky, 255 ignored; None where there is no map.
        sky: uint8 (H, W), 0 other, 1 sky, as predicted; None where it cannot be had.
    """

    path: Path
    image: np.ndarray
    true_sky: np.ndarray | None
    sky: np.ndarray | None


class Sources:
    """Finds and reads the frames of a run.

    Args:
        run: The run.
        folder: Where frames are looked for that are not where the results say.
        predict_sky: Whether the checkpoint of the results predicts the sky of each frame that is read: a results file
            holds none. One that is not here any more, or another by its sum, does not.

    Attributes:
        note: Why no sky is predicted; empty where it is, or is not asked for.
    """

    def __init__(self, run: Run, folder: str | None = None, predict_sky: bool = True) -> None:
        self._run, self._folder = run, folder
        self._detector: Detector | None = None
        self.note = ''
        has_sky = any('sky_overlap' in image for image in run.images)
        if predict_sky and has_sky:
            self._load()

    def _load(self) -> None:
        name = str(self._run.results.get('checkpoint') or '')
        try:
            # A file that is here, and no address: a report fetches nothing.
            file = local_file(name)
            if hashlib.sha256(file.read_bytes()).hexdigest() != self._run.results.get('checkpoint_sha256'):
                raise InputError(f'checkpoint {name} is not the one that was tested')
            self._detector = load(name)
        except (InputError, OSError) as error:
            self.note = f'The predicted sky is not drawn: {error}.'

    def find(self, image: dict) -> Path | None:
        """The file of a frame, or None where it is not here."""
        named = Path(image.get('img_path') or f'{image.get("img_id", "")}.png')
        places = [named] if 'img_path' in image else []
        if self._folder:
            places.append(Path(self._folder, named.name))
        return next((place for place in places if os.path.isfile(place)), None)

    def read(self, image: dict) -> Source:
        """Read a frame of the results.

        Raises:
            InputError: If it is not here, does not decode, or is of another size than the one that was tested.
        """
        path = self.find(image)
        if path is None:
            raise InputError('the frame is not here')
        grey = read_grey_frame(path)
        size = tuple(image.get('shape', grey.shape))
        if grey.shape != size:
            raise InputError(f'the frame here has {grey.shape[1]}×{grey.shape[0]} pixels, the tested one '
                             f'{size[1]}×{size[0]}')
        sky = None if self._detector is None else self._detector(path).sky
        return Source(path, grey, self._true_sky(path, grey.shape), sky)

    def _true_sky(self, path: Path, size: tuple[int, int]) -> np.ndarray | None:
        """The map of a frame that lies in a devkit."""
        file = path.parent.parent / file_below(SKY_PALETTE, path.stem)
        return read_sky(file, size, palette=True) if path.parent.name == IMAGES and file.is_file() else None
