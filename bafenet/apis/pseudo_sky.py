"""Pseudo sky maps: sky maps of a devkit's frames from a trained network, ignored where it is unsure.

For frames that nobody has drawn the sky of. Self-training by confidence as in Lee 2013, "Pseudo-Label".
"""
import io
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from ..arguments import is_number, shown
from ..devkit.frames import Frame, read_frame
from ..devkit.image_files import image_files
from ..devkit.layout import IGNORED, IMAGES, OTHER, SKY, SKY_BINARY, SKY_PALETTE, devkit_layout, file_below, image_names
from ..devkit.read import read_split
from ..devkit.write import voc_palette
from ..engine.checkpoints import checkpoint_sha256, find_checkpoint
from ..errors import InputError, printable
from ..fileio import owned, remove_leftovers, require_writable_folder, write_bytes
from .detector import Detector, load
from .predict import choose_tile, silence_opencv
from .pseudo_sky_manifest import MANIFEST, Manifest, PseudoMap, digest
from .result import Result
from .settings import Settings

BOUNDS = (0.1, 0.9)
WEIGHTS = 'bafenet_hr_tiny'
_FLUSH_SECONDS, _FLUSH_MAPS = 10.0, 256  # what a killed call loses at most


@dataclass(frozen=True)
class NetworkOptions:
    """The network, and how it reads frames; see :func:`bafenet.apis.predict.predict`.

    Attributes:
        weights: Shipped name, checkpoint file, address or work dir.
        config: Config file instead of the one in the checkpoint.
        device: Where the network runs.
        batch: How many frames of one size go through the network at once; None for its default.
        tile: Longest side in pixels of what goes through at once; None for the default of ``predict``, 0 for whole
            frames.
        percentiles: Of deep frames, that become 0 and 255.
        value_range: Of deep frames, that becomes 0 and 255 instead.
    """

    weights: str = WEIGHTS
    config: str | None = None
    device: str = 'cpu'
    batch: int | None = None
    tile: int | None = None
    percentiles: Sequence[float] | None = None
    value_range: Sequence[float] | None = None

    def settings(self, tile: int | None) -> Settings:
        """Those of the prediction."""
        return Settings(tile=tile, percentiles=self.percentiles, value_range=self.value_range)


class Summary(NamedTuple):
    """What a call has done.

    Attributes:
        frames: Frames that were asked for.
        written: Maps written now.
        earlier: Pseudo maps of an earlier call.
        kept: Maps that were there and are none of ours.
        binary: Frames with a map in ``SkySeg/BinaryMask`` alone, which were left as they are.
        skipped: A line for each frame that cannot be read.
        decided: Share of the pixels of all pseudo maps that were decided, in [0, 1]; 0 without any.
        sky: Share of these that is sky.
        undecided: Pseudo maps in which nothing was decided.
    """

    frames: int
    written: int
    earlier: int
    kept: int
    binary: int
    skipped: list[str]
    decided: float
    sky: float
    undecided: int


def decide(probability: np.ndarray, bounds: Sequence[float]) -> np.ndarray:
    """The sky map of a probability of sky.

    Args:
        probability: float (H, W), in [0, 1].
        bounds: Highest probability of what is not sky, and lowest one of sky.

    Returns:
        uint8 (H, W): 0 other, 1 sky, 255 (ignored) between the bounds. A probability on both bounds is sky.
    """
    low, high = bounds
    return np.select([probability >= high, probability <= low], [SKY, OTHER], IGNORED).astype(np.uint8)


def require_bounds(bounds: Sequence[float], option: str = '--bounds') -> tuple[float, float]:
    """The bounds as two numbers.

    Raises:
        InputError: If they are not two numbers from 0 to 1, the lower one first.
    """
    if len(bounds) != 2 or not all(map(is_number, bounds)) or not 0 <= bounds[0] <= bounds[1] <= 1:
        raise InputError(f'{option} {shown(bounds)}: give two numbers from 0 to 1, the lower one first, as 0.1 0.9')
    return float(bounds[0]), float(bounds[1])


def frame_files(root: Path, splits: Sequence[str] | None = None) -> dict[str, Path]:
    """The image files of a devkit by image name.

    Args:
        root: The devkit.
        splits: Names of lists, ``'train_v2'``, or what follows ``train_``, ``val_`` and ``test_``; None for all images.

    Raises:
        InputError: If there is no such list, or an image that it names is not there.
    """
    image_names(root)  # refuses what is no devkit
    files = {name: root / IMAGES / file for name, file in image_files(root / IMAGES).items()}
    if splits is None:
        return files
    layout, chosen = devkit_layout(root), []
    for split in splits:
        there = layout.split_names()
        lists = [split] if split in there else [name for role in ('train', 'val', 'test')
                                                if (name := f'{role}_{split}') in there]
        if not lists:
            raise InputError(f'--splits {printable(split)}: no such list in {printable(root)}; there are: '
                             f'{printable(", ".join(there)) or "none"}')
        for name in lists:
            names = read_split(layout.split(name))
            absent = next((image for image in names if image not in files), None)
            if absent is not None:
                raise InputError(f'{printable(layout.split(name))}: names {printable(absent)}, and there is no such '
                                 f'image in {printable(root / IMAGES)}; correct the list')
            chosen += names
    return {name: files[name] for name in dict.fromkeys(chosen)}


def load_network(options: NetworkOptions) -> tuple[Detector, Settings]:
    """Load a network that segments the sky, and the settings of its prediction.

    Raises:
        InputError: If it cannot be loaded, or segments no sky.
    """
    options.settings(options.tile or None)  # before the network is loaded
    detector = load(options.weights, options.device, options.config)
    if not detector.segments_sky:
        raise InputError(f'--weights {printable(options.weights)}: this network segments no sky; take another, as '
                         f'{WEIGHTS}')
    silence_opencv()
    return detector, options.settings(choose_tile(options.tile, detector, options.weights))


def predict_sky(detector: Detector, settings: Settings, files: dict[str, Path], batch: int | None,
                skipped: list[str]) -> Iterator[tuple[str, Result]]:
    """Image names and results of frames, in their order, with a progress bar.

    Args:
        detector: A network that segments the sky.
        settings: See :func:`load_network`.
        files: Image files by name.
        batch: See :class:`NetworkOptions`.
        skipped: Takes a line for each frame that cannot be read; these are left out.
    """
    waiting: list[str] = []
    levels = detector.levels(settings)

    def frames() -> Iterator[Frame]:
        for name, file in files.items():
            try:
                frame = read_frame(file, levels)
            except InputError as error:
                skipped.append(str(error))
                tqdm.write(f'skipped: {printable(error)}', file=sys.stderr)
                bar.update()
                continue
            waiting.append(name)
            yield frame

    with tqdm(total=len(files), unit='frame', desc='sky', disable=None) as bar:
        for result in detector(frames(), batch=batch, score=1.0, **_reading(settings)):
            yield waiting.pop(0), result
            bar.update()


def _reading(settings: Settings) -> dict:
    return dict(tile=settings.tile, percentiles=settings.percentiles, value_range=settings.value_range)


def write_pseudo_sky(devkit: str | Path, options: NetworkOptions | None = None, bounds: Sequence[float] = BOUNDS,
                     splits: Sequence[str] | None = None, replace: bool = False) -> Summary:
    """Write a sky map for each frame of a devkit that has none; a call that was stopped goes on.

    A map that is there is never touched, unless ``replace`` is given and it is one that this function wrote and nobody
    changed; :data:`~bafenet.apis.pseudo_sky_manifest.MANIFEST` lists these.

    Args:
        devkit: The devkit.
        options: The network.
        bounds: See :func:`decide`.
        splits: See :func:`frame_files`.
        replace: Make all pseudo maps of the devkit anew.

    Raises:
        InputError: If the devkit cannot be read or written, or it has pseudo maps of other settings and ``replace`` is
            not given.
    """
    options, root, bounds = options or NetworkOptions(), Path(devkit), require_bounds(bounds)
    files = frame_files(root, splits)
    require_writable_folder(root / SKY_PALETTE, 'DEVKIT')
    Manifest.read(root)
    detector, settings = load_network(options)
    with owned(root / Path(MANIFEST).parent):
        (root / SKY_PALETTE).mkdir(exist_ok=True)
        remove_leftovers(root / SKY_PALETTE)
        manifest = Manifest.read(root)
        made_with = _made_with(options, bounds, detector, settings)
        again = _agree(manifest, made_with, replace)
        if again:
            everything = frame_files(root)
            files |= {name: everything[name] for name in again if name in everything}
        return _write_missing(manifest, files, bounds, predictor=(detector, settings, options.batch))


def _made_with(options: NetworkOptions, bounds: tuple[float, float], detector: Detector, settings: Settings) -> dict:
    """What the maps depend on, as plain JSON values."""
    levels = detector.levels(settings)
    sha256 = checkpoint_sha256(find_checkpoint(options.weights))
    return dict(
        weights=Path(options.weights).name, weights_sha256=sha256, bounds=list(bounds), tile=settings.tile,
        percentiles=None if levels.value_range else list(levels.percentiles),
        value_range=levels.value_range and list(levels.value_range))


def _agree(manifest: Manifest, made_with: dict, replace: bool) -> set[str]:
    """Take settings over; with ``replace`` the pseudo maps of earlier calls go, and their names are given back.

    Raises:
        InputError: If maps of other settings are there, and may not be replaced.
    """
    ours = manifest.unchanged()
    differing = manifest.differences(made_with) if ours else []
    if differing and not replace:
        raise InputError(f'{printable(manifest.root / MANIFEST)}: the devkit has {len(ours)} pseudo maps of other '
                         f'settings ({"; ".join(differing[:3])}); --replace makes all of them anew')
    if replace:
        # First the maps: a map without an entry would count as a true one.
        for name in ours:
            manifest.map_file(name).unlink()
    manifest.settings = made_with
    manifest.maps = {} if replace else {name: manifest.maps[name] for name in ours}
    return ours if replace else set()


def _write_missing(manifest: Manifest, files: dict[str, Path], bounds: tuple[float, float],
                   predictor: tuple[Detector, Settings, int | None]) -> Summary:
    earlier = len(manifest.maps.keys() & files.keys())
    has_map = {name for name in files if os.path.lexists(manifest.map_file(name))}
    binary = {name for name in files.keys() - has_map if (manifest.root / file_below(SKY_BINARY, name)).is_file()}
    missing = {name: file for name, file in files.items() if name not in has_map | binary}
    skipped: list[str] = []
    detector, settings, batch = predictor
    writer = _Writer(manifest)
    for name, result in predict_sky(detector, settings, missing, batch, skipped):
        assert result.sky_probability is not None
        writer.add(name, decide(result.sky_probability, bounds))
    writer.flush()
    maps = list(manifest.maps.values())
    pixels, sky, other = (sum(getattr(entry, key) for entry in maps) for key in ('pixels', 'sky', 'other'))
    return Summary(len(files), writer.written, earlier, len(has_map) - earlier, len(binary), skipped,
                   (sky + other) / max(pixels, 1), sky / max(sky + other, 1),
                   sum(not entry.sky + entry.other for entry in maps))


class _Writer:
    """Writes maps in batches: first the manifest that lists them, then their files, so that each file is listed."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest, self.written = manifest, 0
        self._waiting: dict[str, bytes] = {}
        self._since = time.monotonic()

    def add(self, name: str, sky_map: np.ndarray) -> None:
        """Take a map, uint8 (H, W)."""
        data = _as_png(sky_map)
        self._waiting[name] = data
        self.manifest.maps[name] = PseudoMap(digest(data), sky_map.size, int((sky_map == SKY).sum()),
                                             int((sky_map == OTHER).sum()))
        if len(self._waiting) >= _FLUSH_MAPS or time.monotonic() - self._since > _FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what waits.

        Raises:
            InputError: If it cannot be written.
        """
        try:
            self.manifest.write()
            for name, data in self._waiting.items():
                file = self.manifest.map_file(name)
                if os.path.lexists(file):  # somebody has drawn it in the meantime
                    del self.manifest.maps[name]
                    continue
                write_bytes(file, data)
                self.written += 1
        except OSError as error:
            raise InputError(f'{printable(error.filename)}: cannot be written ({error.strerror}); make room, and call '
                             'it again to go on') from error
        self._waiting, self._since = {}, time.monotonic()


def _as_png(sky_map: np.ndarray) -> bytes:
    """A sky map as an indexed PNG with the colours of DenseSIRST's."""
    image = Image.fromarray(sky_map)
    image.putpalette(voc_palette())
    out = io.BytesIO()
    image.save(out, 'PNG')
    return out.getvalue()
