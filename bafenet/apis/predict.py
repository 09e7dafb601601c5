"""Predict the frames of files, folders, patterns and videos, as ``tools/predict.py`` does, into a folder of results."""
import hashlib
import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from mmdet.utils import get_test_pipeline_cfg
from tqdm import tqdm

from .._version import __version__
from ..devkit.frame_files import find_frame_files, natural
from ..devkit.frames import IMAGE, Frame, count_frames, kind_of, read_frames
from ..errors import InputError, printable
from ..fileio import owned, require_writable_folder
from ..visualization.overlay import MIN_SCORE
from .detector import Detector, load
from .forward import own_score
from .pictures import Pictures, common_folder
from .records import LIKELY, RESULTS, Records, Stamp, stamp_of, write_results
from .settings import TILE, Settings


class Place(NamedTuple):
    """Where a frame is from."""

    file: str
    number: int
    kind: str
    stamp: Stamp


class Summary(NamedTuple):
    """What a call has done.

    Attributes:
        frames: Frames in the results.
        predicted: Those that went through the network now; the others were there.
        detections: Boxes in the results.
        likely: Those that are likely targets, by class.
        lowest: The lowest score of a likely target: 0.3, or what a calibrated network's config says.
        chosen: The lowest score of a box where the config chose it and nobody else; None where all boxes above its
            threshold are kept, or those of a score that was asked for.
        skipped: ``file_name`` and ``reason`` of each file that could not be read.
        median_ms: From the frame in memory to its result, of those predicted now; NaN where there are none.
        p95_ms: Likewise.
        seconds: That the whole call took, but for loading the network.
    """

    frames: int
    predicted: int
    detections: int
    likely: dict[str, int]
    lowest: float
    chosen: float | None
    skipped: list[dict[str, str]]
    median_ms: float
    p95_ms: float
    seconds: float


def predict(inputs: Sequence[str],
            out: str = 'predictions',
            weights: str = 'bafenet_hr_tiny',
            device: str = 'cpu',
            config: str | None = None,
            batch: int | None = None,
            precision: str = 'float32',
            pictures: bool = False,
            sky_maps: bool = False,
            masks: bool = False,
            shard: tuple[int, int] | None = None,
            tile: int | None = None,
            lines: Iterable[str] = (),
            **settings: Any) -> Summary:
    """Predict frames into a folder; where it holds results of a call that was stopped, go on from there.

    Without a ``score`` a network with calibrated scores gives likely targets alone (:func:`choose_score`).

    Args:
        inputs: Files, folders, patterns, or ``-`` for ``lines``.
        out: The folder.
        weights: Shipped name, checkpoint or work dir.
        device: Where the network runs.
        config: See :func:`bafenet.load`.
        batch: See :class:`~bafenet.apis.Detector`.
        precision: See :func:`bafenet.load`.
        pictures: Write overlays.
        sky_maps: Write sky maps.
        masks: Write target masks.
        shard: Number, from 1, and count of the processes that share the frames; each has a folder of its own below
            ``out``, and the last one to end puts their results together.
        tile: Longest side in pixels of what goes through the network at once; None for 1024, and for whole frames
            where the network cannot take tiles; 0 for whole frames.
        lines: The list of files that ``-`` stands for.
        **settings: Others of :class:`~bafenet.apis.Settings`.

    Raises:
        InputError: If there is no frame, the network cannot take the tiles that are asked for, or the folder cannot
            be written or was made with other settings.
    """
    Settings(tile=tile or None, **settings)  # before the network is loaded
    require_writable_folder(out, '--out')
    files, ignored = find_frame_files(inputs, lines, apart_from=out)
    if ignored:
        _say(f'left out of the folders: {len(ignored)} that are no image, NumPy file or video, as '
             f'{printable(ignored[0])}')
    detector = load(weights, device, config, precision=precision)
    if sky_maps and not detector.segments_sky:
        raise InputError('--sky-maps: this network segments no sky; leave it out')
    if masks and not detector.marks_targets:
        raise InputError('--masks: this network gives no masks of targets; take one of bbox_head.with_mask=True, as '
                         'configs/bafenet/bafenet_hr_tiny_masks.py trains it, or of configs/segmentation, or leave it '
                         'out')
    chosen = choose_score(detector) if settings.get('score') is None else None
    if chosen is not None:
        settings['score'] = chosen
    lowest = LIKELY if detector.likely is None else detector.likely
    wanted = Settings(tile=choose_tile(tile, detector, weights), **settings)
    folder = Path(out) if shard is None else Path(out, f'shard-{shard[0]}-of-{shard[1]}')
    about = _about(weights, detector, wanted, dict(pictures=pictures, sky_maps=sky_maps, masks=masks), shard,
                   common_folder(files))
    with ExitStack() as stack:
        silence_opencv()
        stack.enter_context(owned(folder))
        records = stack.enter_context(Records(folder, about))
        writer = stack.enter_context(Pictures(folder, files, records.owners(), pictures, sky_maps, masks,
                                              videos=shard is None,
                                              min_score=MIN_SCORE if wanted.score is None else wanted.score))
        run = Run(files, detector, wanted, records, writer, shard)
        start = time.perf_counter()
        run.predict(batch)
        writer.finish()
        detections, likely = write_results(folder, run.names, records.get, detector.classes, run.skipped, about,
                                           lowest)
        seconds = time.perf_counter() - start
    if shard is not None:
        _merge_shards(Path(out), shard[1], detector.classes, about)
    median, p95 = np.percentile(run.milliseconds, [50, 95]).tolist() if run.milliseconds else (np.nan, np.nan)
    return Summary(len(run.names), len(run.milliseconds), detections, likely, lowest, chosen, run.skipped, median, p95,
                   seconds)


def choose_score(detector: Detector) -> float | None:
    """The lowest score of the boxes that are given where none is asked for: that of a likely target.

    Returns:
        None for all boxes above the config's threshold: of a network whose scores are not calibrated, and of a file
        with NMS inside whose threshold might have dropped some of those.
    """
    likely = detector.likely
    if likely is None or detector.takes_tiles:
        return likely
    cfg = detector.model.bbox_head.test_cfg
    return None if own_score(likely, cfg) < cfg.get('score_thr', 0) else likely


def choose_tile(asked: int | None, detector: Detector, weights: str) -> int | None:
    """The tile to predict with; None for whole frames.

    Raises:
        InputError: If one is asked for that the network cannot take.
    """
    if asked is None:
        return TILE if detector.takes_tiles else None
    if asked and not detector.takes_tiles:
        raise InputError(f'--tile {asked}: {printable(weights)} has NMS inside, so its frames are taken whole; leave '
                         '--tile out, or export it without --nms')
    return asked or None


class Run:
    """One pass over files.

    Attributes:
        names: Frames in the results, in order.
        skipped: ``file_name`` and ``reason`` of the files that could not be read.
        milliseconds: Of each frame that was predicted.
        deep: How many frames of more than 8 bits were predicted.
    """

    def __init__(self, files: list[str], detector: Detector, settings: Settings, records: Records, pictures: Pictures,
                 shard: tuple[int, int] | None) -> None:
        self.files, self.detector, self.settings = files, detector, settings
        self.records, self.pictures, self.shard = records, pictures, shard
        self.names: list[str] = []
        self.skipped: list[dict[str, str]] = []
        self.milliseconds: list[float] = []
        self.deep = 0
        self._places: dict[str, Place] = {}
        self._too_large = False

    def predict(self, batch: int | None) -> None:
        """Predict what is not yet there, and write it frame by frame."""
        with tqdm(total=_total(self.files), unit='frame', desc='predict', disable=None) as bar:
            self._bar = bar
            for result in self.detector(self._frames(), batch=batch, **asdict(self.settings)):
                place = self._places.pop(result.name)
                written = self.pictures.write(result, place.file, place.number, place.kind)
                self.records.add({**result.to_dict(), **written}, place.stamp)
                self.milliseconds.append(result.milliseconds)
                self.deep += result.levels is not None
                self._too_large |= max(result.size) > (self.settings.tile or TILE)
                bar.update()
        if self.deep:
            levels = self.detector.levels(self.settings)
            _say(f'frames of more than 8 bits: {self.deep} were brought to 8 {levels.describe()} (--percentiles, '
                 '--range)')
        if self._too_large and self.detector.resizes and self.settings.tile is not None:
            _say('this network resizes its frames: they were taken whole, and --tile was not used')
        elif self._too_large and not self.detector.takes_tiles:
            _say(f'this network has NMS inside: frames larger than {TILE} pixels were taken whole, not in tiles')

    def _frames(self) -> Iterator[Frame]:
        """The frames that are to be predicted; files that cannot be read are reported and left out."""
        for index, file in enumerate(self.files):
            try:
                yield from self._frames_of(index, file)
            except InputError as error:
                self.skipped.append(dict(file_name=file, reason=str(error)))
                tqdm.write(f'skipped: {printable(error)}', file=sys.stderr)

    def _frames_of(self, index: int, file: str) -> Iterator[Frame]:
        stamp, kind = stamp_of(file), kind_of(file)
        is_one = kind == IMAGE and count_frames(file) == 1
        if is_one and not self._is_mine(index):
            return
        if is_one and self.records.has(file, stamp):
            self._there(file)
            return
        film = self.pictures.film_of(file, kind)
        # A video's picture is made in one go.
        again = film is not None and not film.exists()
        for frame in read_frames(file, self.detector.levels(self.settings)):
            if not self._is_mine(index + frame.number):
                continue
            if not again and self.records.has(frame.name, stamp):
                self._there(frame.name)
                continue
            self._places[frame.name] = Place(file, frame.number, kind, stamp)
            self.names.append(frame.name)
            yield frame

    def _is_mine(self, number: int) -> bool:
        return self.shard is None or number % self.shard[1] == self.shard[0] - 1

    def _there(self, name: str) -> None:
        self.names.append(name)
        self._bar.update()


def _about(weights: str, detector: Detector, settings: Settings, drawn: dict[str, bool],
           shard: tuple[int, int] | None, base: str) -> dict[str, Any]:
    """What the results depend on, for ``settings.json``; ``drawn`` are the kinds of pictures."""
    levels = detector.levels(settings)
    return dict(
        weights=weights,
        weights_sha256=_digest(detector),
        config_sha256=_digest_of_config(detector),
        version=__version__,
        score=settings.score,
        max_detections=settings.max_detections,
        sky_only=settings.sky_only,
        tile=settings.tile,
        percentiles=None if levels.value_range else list(levels.percentiles),
        value_range=levels.value_range and list(levels.value_range),
        pictures=drawn['pictures'],
        sky_maps=drawn['sky_maps'],
        # Older results have no such setting, and can be gone on with.
        **(dict(masks=True) if drawn['masks'] else {}),
        shard=shard and f'{shard[0]}/{shard[1]}',
        folder_of_frames=base if any(drawn.values()) else None)


def _digest(detector: Detector) -> str:
    """SHA-256 of the names and values of the weights, wherever they are from."""
    digest = hashlib.sha256()
    for name, value in sorted(detector.model.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _digest_of_config(detector: Detector) -> str:
    """SHA-256 of what a prediction reads of the config: the network and the test pipeline."""
    cfg = detector.cfg
    text = json.dumps([cfg.model.to_dict(), get_test_pipeline_cfg(cfg)], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _total(files: Sequence[str]) -> int | None:
    """How many frames the files have; None where a video does not say."""
    total = 0
    for file in files:
        try:
            one_by_suffix = Path(file).suffix.lower() in ('.png', '.jpg', '.jpeg', '.bmp', '.pgm')
            count = 1 if one_by_suffix else count_frames(file)
        except InputError:
            continue  # said when it is its turn
        if not count:
            return None
        total += count
    return total


def _merge_shards(out: Path, count: int, classes: Sequence[str], about: dict[str, Any]) -> None:
    """Write the results of all shards as one, once they are all there."""
    folders = [out / f'shard-{number}-of-{count}' for number in range(1, count + 1)]
    with owned(out):
        if not all((folder / RESULTS).is_file() for folder in folders):
            return
        with ExitStack() as stack:
            places: dict[str, Records] = {}
            skipped: dict[str, dict[str, str]] = {}
            for number, folder in enumerate(folders, 1):
                records = stack.enter_context(Records(folder, dict(about, shard=f'{number}/{count}'), read_only=True))
                content = json.loads((folder / RESULTS).read_text(encoding='utf-8'))
                places |= {image['file_name']: records for image in content['images']}
                skipped |= {one['file_name']: one for one in content['skipped']}
            write_results(out, sorted(places, key=natural), lambda name: places[name].get(name), classes,
                          skipped.values(), dict(about, shard=None))


def silence_opencv() -> None:
    """Keep OpenCV from warnings of damaged files beside our own lines."""
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def _say(line: str) -> None:
    tqdm.write(line, file=sys.stderr)
