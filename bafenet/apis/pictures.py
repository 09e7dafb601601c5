"""Files of pixels that a prediction writes: overlays as PNG or, of a video, as MP4, sky maps and target masks."""
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from fractions import Fraction
from io import BytesIO
from itertools import count
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from PIL import Image

from ..devkit.frames import VIDEO
from ..devkit.sequences import frame_rate
from ..errors import InputError
from ..fileio import atomic_path, write_bytes
from ..visualization.drawing import write_image
from ..visualization.overlay import MIN_SCORE
from .result import Result

PICTURES, SKY_MAPS, MASKS = 'pictures', 'sky', 'masks'
FILM_INSETS = 6  # there is room for all of them in each frame
_ENCODERS = ('libx264', 'libopenh264', 'h264')
_SKY_PALETTE, _MASK_PALETTE = [0, 0, 0, 64, 160, 255], [0, 0, 0, 255, 64, 64]


def common_folder(files: Sequence[str]) -> str:
    """The folder below which all files are; their places below it are those of their pictures."""
    return os.path.commonpath([os.path.dirname(os.path.abspath(file)) for file in files])


def places_of(files: Sequence[str], base: str, suffix: str, owners: Mapping[str, str]) -> dict[str, str]:
    """Where each file's picture goes, no two to one place: ``x.png`` for ``x.png``, and then ``x-2.png`` for ``x``.

    Args:
        files: The files of a call.
        base: See :func:`common_folder`.
        suffix: Of the pictures: a name that has it already is kept.
        owners: Frames of earlier calls by the places of their pictures.
    """
    names = {file: os.path.relpath(os.path.abspath(file), base) for file in files}
    taken = {*names.values(), *(str(folder) for name in names.values() for folder in PurePath(name).parents)}
    places = {}
    for file, name in names.items():
        stem = name.removesuffix(suffix)
        for number in count(1):
            place = f'{stem}{suffix}' if number == 1 else f'{stem}-{number}{suffix}'
            owner = owners.get(place, file)
            if (place == name or place not in taken) and (owner == file or owner.startswith(f'{file}#')):
                break
        taken.add(place)
        places[file] = place
    return places


class Pictures:
    """Writes the pictures, sky maps and target masks of results; a context, in whose end a video that is whole is kept.

    Args:
        folder: The folder of the prediction.
        files: The files of the call.
        owners: Frames of earlier calls by the places of their pictures, below ``pictures``, ``sky`` or ``masks``.
        overlays: Write overlays.
        sky_maps: Write sky maps.
        masks: Write target masks.
        videos: Write the overlays of a video as an MP4; else frame by frame.
        min_score: Boxes below it are not drawn.
    """

    def __init__(self, folder: Path, files: Sequence[str], owners: Mapping[str, str], overlays: bool, sky_maps: bool,
                 masks: bool = False, videos: bool = True, min_score: float = MIN_SCORE) -> None:
        self.folder, self.base = folder, common_folder(files)
        self.any = overlays or sky_maps or masks
        wanted = files if self.any else []
        self._places = places_of(wanted, self.base, '.png', owners)
        self._films = places_of(wanted, self.base, '.mp4', owners)
        self.overlays, self.sky_maps, self.masks, self.videos = overlays, sky_maps, masks, videos
        self.min_score = min_score
        self._film: _Film | None = None

    def __enter__(self) -> 'Pictures':
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        self.finish(whole=kind is None)

    def film_of(self, file: str, kind: str) -> Path | None:
        """The MP4 of a file; None if it gets none."""
        if not (self.overlays and self.videos and kind == VIDEO):
            return None
        return self.folder / PICTURES / self._films[file]

    def write(self, result: Result, file: str, number: int, kind: str) -> dict[str, str]:
        """Write what is wanted of a frame.

        Args:
            result: Its result.
            file: The file that it is of.
            number: Its number in it.
            kind: Of the file; see :func:`~bafenet.devkit.frames.kind_of`.

        Returns:
            ``picture``, ``sky_map`` and ``target_mask``, as far as they were written: paths below the folder.

        Raises:
            OSError: If they cannot be written.
        """
        written: dict[str, str] = {}
        if not self.any:
            return written
        place = self._places[file]
        if result.name.endswith(f'#{number}') and result.name != file:
            name = os.path.relpath(os.path.abspath(file), self.base)
            # Pictures end in .png, so that a folder of another name is nobody else's.
            place = f'{place if name.endswith(".png") else name}/{number:06d}.png'
        film = self.film_of(file, kind)
        if film is not None:
            if self._film is None or self._film.path != film:
                self.finish()
                self._film = _Film(film, frame_rate(file))
            self._film.add(result.plot(self.min_score, insets=FILM_INSETS, fixed_size=True))
            written['picture'] = str(film.relative_to(self.folder))
        elif self.overlays:
            written['picture'] = f'{PICTURES}/{place}'
            write_image(self.folder / PICTURES / place, result.plot(self.min_score))
        for key, below, values, palette in (
                ('sky_map', SKY_MAPS, result.sky if self.sky_maps else None, _SKY_PALETTE),
                ('target_mask', MASKS, result.target_mask if self.masks else None, _MASK_PALETTE)):
            if values is not None:
                written[key] = f'{below}/{place}'
                write_map(self.folder / below / place, values, palette)
        return written

    def finish(self, whole: bool = True) -> None:
        """End the video that is being written; without ``whole`` it is dropped."""
        film, self._film = self._film, None
        if film is not None:
            film.close(whole)


class _Film:
    """An H.264 video that browsers play, under its name once it is whole."""

    def __init__(self, path: Path, rate: float) -> None:
        import av
        self.path = path
        self._open = atomic_path(path)
        self._container: Any = av.open(str(self._open.__enter__()), 'w', format='mp4',
                                       options={'movflags': '+faststart'})
        encoder = next((name for name in _ENCODERS if name in av.codecs_available), None)
        if encoder is None:
            raise InputError('this PyAV has no encoder of H.264; leave out --pictures, or install av from PyPI')
        stream: Any = self._container.add_stream(encoder, rate=Fraction(rate).limit_denominator(1001),
                                                 options={'crf': '18', 'preset': 'veryfast'})
        self._stream = stream
        self._stream.pix_fmt = 'yuv420p'
        self._begun = False

    def add(self, picture: np.ndarray) -> None:
        """Append a picture, uint8 (H, W, 3) RGB of even sides, which are those of all others."""
        import av
        if not self._begun:
            # PyAV gives a stream 640×480 from the start, and would bring each picture to that.
            self._stream.height, self._stream.width = picture.shape[:2]
            self._begun = True
        for packet in self._stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format='rgb24')):
            self._container.mux(packet)

    def close(self, whole: bool) -> None:
        if whole:
            for packet in self._stream.encode():
                self._container.mux(packet)
        self._container.close()
        error = None if whole else InterruptedError('not whole')
        with suppress(InterruptedError):
            self._open.__exit__(type(error) if error else None, error, None)


def write_map(path: Path, values: np.ndarray, palette: list[int] = _SKY_PALETTE) -> None:
    """Write a map, uint8 (H, W) of 0 and 1 (sky, or target), as a palette PNG, as a SIRSTdevkit has them."""
    image = Image.fromarray(values, mode='P')
    image.putpalette(palette)
    data = BytesIO()
    image.save(data, 'PNG')
    write_bytes(path, data.getvalue())
