"""Convert VOC, COCO, YOLO, mask images and SIRST data sets to a SIRSTdevkit; ``tools/dataset/convert.py``."""
import zlib
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ...arguments import MAX_SEED, require_number, require_range
from ...errors import InputError, printable
from ...fileio import owned, require_writable_folder, write_json, write_text
from ...parallel import map_with_progress
from ..frame_files import natural
from ..layout import BOXES, IMAGES, SPLITS, split_file
from .coco import read_coco
from .files import FileIndex, is_frame, list_files, shown_path
from .frame import FrameOptions, Record, Task, convert_frame
from .masks import read_masks
from .names import safe_names
from .records import RECORDS_FILE, SETTINGS_FILE, WHAT, agree, lines_of, read_records, require_apart, require_own
from .sirst import read_sirst
from .source import TEST, TRAIN, TRAINVAL, VAL, Note, Source, class_name
from .splits import draw_splits
from .summary import Summary, summarize
from .voc import read_voc
from .yolo import read_yolo

SHARES = (0.7, 0.1, 0.2)
# What stands behind train_, val_ and test_: what the configs name by default.
SPLITS_NAME = 'v2'
_SKY_ENDINGS = ('_pixels0', '_sky')


@dataclass(frozen=True)
class ConvertOptions:
    """Options of a conversion; each is one of ``tools/dataset/convert.py``.

    Attributes:
        images: Folder of the images, in the source or anywhere; None finds them.
        labels: Folder of the XML, JSON or text files, or the JSON file.
        masks: Folder of the target masks.
        sky: Folder of sky maps, of 0 and 1 (255 is ignored), or 0 and 255; None takes those of a SIRSTdevkit.
        box_origin: What VOC files call the first pixel, 0 or 1; None finds it out.
        box_ends: ``'inclusive'`` or ``'exclusive'``; None finds it out.
        threshold: Least share of the range of a target pixel of a mask, in (0, 1]; None: see ``read_target_mask``.
        one_class: The class of all targets; None keeps their own.
        target_masks: Write target masks where they are known.
        value_range: What becomes 0 and 65535 in frames that do not fit 16 bits; None spreads each.
        splits: Folder of lists, or ``'draw'``; None takes the source's own, or draws.
        shares: Of train, val and test, where splits are drawn.
        val: Share of the training frames to draw a validation split from, where the source has none.
        seed: Of what is drawn.
        link: Link PNG images instead of copying them.
    """

    images: str | None = None
    labels: str | None = None
    masks: str | None = None
    sky: str | None = None
    box_origin: int | None = None
    box_ends: str | None = None
    threshold: float | None = None
    one_class: str | None = None
    target_masks: bool = True
    value_range: Sequence[float] | None = None
    splits: str | None = None
    shares: Sequence[float] = SHARES
    val: float = 0.0
    seed: int = 0
    link: bool = False

    def __post_init__(self) -> None:
        require_number('--seed', self.seed, 0, MAX_SEED, whole=True)
        require_number('--val', self.val, 0, 0.9)
        for share in self.shares:
            require_number('--shares', share, 0, 1e6)
        if len(self.shares) != 3 or not sum(self.shares) > 0:
            raise InputError('--shares: give three numbers, of train, val and test, not all 0')
        if self.threshold is not None:
            require_number('--threshold', self.threshold, 0, 1, above=True)
        if self.value_range is not None:
            require_range('--range', self.value_range, -1e300, 1e300)


# Each is given what holds no frames, too.
_READERS: dict[str, Callable[[Path, ConvertOptions, Collection[Path]], Source]] = {
    'voc': lambda root, o, apart: read_voc(root, o.images, o.labels, o.masks, o.threshold, o.splits, o.box_origin,
                                           o.box_ends, apart),
    'coco': lambda root, o, apart: read_coco(root, o.images, o.labels, o.splits, o.target_masks, apart),
    'yolo': lambda root, o, apart: read_yolo(root, o.images, o.labels, o.masks, o.threshold, o.splits, apart),
    'masks': lambda root, o, apart: read_masks(root, o.images, o.masks, o.threshold, o.splits, apart),
    'sirst': lambda root, o, _: read_sirst(root, o.threshold, o.splits, o.box_origin, o.box_ends),
}
# Options that say something of one format alone, and the formats that they are for.
_OPTIONS_OF = {
    'images': ('voc', 'coco', 'yolo', 'masks'), 'labels': ('voc', 'coco', 'yolo'), 'masks': ('voc', 'yolo', 'masks'),
    'box_origin': ('voc', 'sirst'), 'box_ends': ('voc', 'sirst'), 'threshold': ('voc', 'yolo', 'masks', 'sirst'),
}


def convert(source: str | Path, out: str | Path, source_format: str, options: ConvertOptions | None = None,
            workers: int = 1) -> Summary:
    """Write a SIRSTdevkit from a data set of another format.

    Frames that are written are noted in ``convert_frames.jsonl``: a later call with the same settings goes on after
    them. The splits come last, and then ``convert.json`` with the settings, the source of each frame, and all that was
    left out or changed. The same source and options give the same bytes.

    Args:
        source: The data set, a folder or one COCO JSON file; it is only read.
        out: The folder to write.
        source_format: ``'voc'``, ``'coco'``, ``'yolo'``, ``'masks'`` or ``'sirst'``.
        options: How to read and to write it.
        workers: Processes; the result does not depend on it.

    Returns:
        What was written.

    Raises:
        InputError: If the source is not of this format, an option does not fit, or ``out`` holds something else or
            cannot be written.
    """
    options = options or ConvertOptions()
    if source_format not in _READERS:
        raise InputError(f'--from {printable(source_format)}: give one of {", ".join(_READERS)}')
    for name, formats in _OPTIONS_OF.items():
        if getattr(options, name) is not None and source_format not in formats:
            raise InputError(f'--{name.replace("_", "-")}: is for --from {", ".join(formats)}, and means nothing for '
                             f'{source_format}; leave it out')
    require_writable_folder(out, 'OUT')
    root, out = Path(source).absolute(), Path(out)
    if not root.exists():
        raise InputError(f'{printable(source)}: no such file or folder; give that of the data set')
    require_own(out, root)
    if not root.is_dir() and source_format != 'coco':
        raise InputError(f'{printable(source)}: is no folder; give that of the data set')
    for folder in filter(None, (options.labels, options.masks, options.sky, options.splits)):
        require_apart(out, next((path for path in (root / folder, Path(folder)) if path.is_dir()), None))
    maps = [] if options.sky is None else _sky_files(root, options.sky)
    # What is written may lie beside the one JSON file, and among the images.
    read = _READERS[source_format](root, options, [*maps, out.absolute()])
    tasks = _tasks(root, read, options)
    settings = dict(source=root.name, source_format=source_format, sky=sum(task.sky is not None for task in tasks),
                    one_class=options.one_class, target_masks=options.target_masks, threshold=options.threshold,
                    value_range=options.value_range, link=options.link,
                    boxes=[fact for fact in read.facts if fact.startswith('boxes')],
                    frames=f'{len(tasks)}, {zlib.crc32(repr([task.frame.key for task in tasks]).encode()):08x}')
    try:
        with owned(out):
            agree(out, settings)
            return _write(out, settings, read, tasks, options, workers)
    except OSError as error:
        raise InputError(f'{printable(error.filename or out)}: cannot be written: {error.strerror or error}; the same '
                         'call goes on from here') from error


def _tasks(root: Path, read: Source, options: ConvertOptions) -> list[Task]:
    """The frames in natural order, with their names and sky maps."""
    frames = sorted(read.frames, key=lambda frame: (natural(frame.key), frame.key))
    twice = {frame.key for frame, after in zip(frames, frames[1:], strict=False) if frame.key == after.key}
    if twice:
        raise InputError(f'{printable(min(twice))}: several images of --images are called so; give a folder in the '
                         'source')
    folder = read.sky if options.sky is None else options.sky
    sky = FileIndex([] if folder is None else _sky_files(root, folder), _SKY_ENDINGS)
    tasks, maps = [], sky.pair([frame.image for frame in frames])
    for name, frame in zip(safe_names([frame.key for frame in frames]), frames, strict=True):
        found = maps[frame.image]
        if folder is not None and len(found) != 1:
            read.notes.append(Note(shown_path(root, frame.image), 'frame without a sky map',
                                   f'{len(found)} files are called so'))
        tasks.append(Task(name, frame, found[0] if len(found) == 1 else None))
    return tasks


def _sky_files(root: Path, folder: str) -> list[Path]:
    """The sky maps of a folder; where some have an ending of their own, these alone, for frames may lie there too."""
    files = list(filter(is_frame, list_files(root, folder)))
    return [file for file in files if file.stem.endswith(_SKY_ENDINGS)] or files


def _write(out: Path, settings: dict, read: Source, tasks: list[Task], options: ConvertOptions,
           workers: int) -> Summary:
    """Write what is missing, then the splits, then the summary."""
    for folder in (IMAGES, BOXES, SPLITS):
        (out / folder).mkdir(parents=True, exist_ok=True)
    # Without its lists it is not taken for a whole devkit.
    for role in (TRAIN, VAL, TEST, TRAINVAL):
        (out / split_file(f'{role}_{SPLITS_NAME}')).unlink(missing_ok=True)
    records = read_records(out, tasks)
    write_text(out / RECORDS_FILE, lines_of(records.values()))
    left = [task for task in tasks if task.name not in records]
    one_class = None if options.one_class is None else class_name(options.one_class)
    how = FrameOptions(out, one_class, options.target_masks, options.link, options.value_range)
    skipped: dict[str, Record] = {}
    with open(out / RECORDS_FILE, 'a', encoding='utf-8') as file, closing(
            map_with_progress(partial(convert_frame, how), left, workers, 'convert', len(records))) as results:
        for record in results:
            if 'skipped' in record:
                skipped[record['name']] = record
            else:
                records[record['name']] = record
                file.write(lines_of([record]))
                file.flush()
    written = [records[task.name] for task in tasks if task.name in records]
    if not written:
        reasons = [*(record['skipped'] for record in skipped.values()),
                   *(f'{printable(note.file)}: {printable(note.message)}' for note in read.notes)]
        raise InputError(f'no frame could be converted: {next(iter(reasons), "there are none")}')
    splits, facts = _splits(out, read, written, options, workers)
    for role, names in splits.items():
        write_text(out / split_file(f'{role}_{SPLITS_NAME}'), ''.join(f'{name}\n' for name in names))
    summary = summarize(out, [*read.facts, *facts], read.notes, written, list(skipped.values()), splits,
                        [] if one_class else read.classes)
    write_json(out / SETTINGS_FILE, dict(what=WHAT, settings=settings, **summary.as_dict(),
                                         frames={record['name']: record['key'] for record in written}))
    return summary


def _splits(out: Path, read: Source, written: list[Record], options: ConvertOptions,
            workers: int) -> tuple[dict[str, list[str]], list[str]]:
    """Names by split, the source's own or drawn, and sentences about what was drawn."""
    name_of = {record['key']: record['name'] for record in written}
    splits = {role: [name_of[key] for key in keys if key in name_of] for role, keys in read.splits.items()}
    splits, facts = {role: names for role, names in splits.items() if names}, []
    if not splits:
        shares = dict(zip((TRAIN, VAL, TEST), options.shares, strict=True))
        splits, fact = draw_splits(out, [record['name'] for record in written], shares, options.seed, workers)
        facts.append(fact + ('; --val is for a source that has lists, here --shares says it' if options.val else ''))
    elif VAL not in splits and TRAIN in splits and options.val:
        shares = {TRAIN: 1 - options.val, VAL: options.val}
        drawn, fact = draw_splits(out, splits[TRAIN], shares, options.seed, workers)
        splits.update(drawn)
        facts.append(fact.replace('splits: ', 'val, of the training frames: ', 1))
    used = {name for names in splits.values() for name in names}
    read.notes += [Note(record['name'], 'in no split', 'written, and in no list') for record in written
                   if record['name'] not in used]
    if TRAIN in splits and VAL in splits:
        splits[TRAINVAL] = splits[TRAIN] + splits[VAL]
    return {role: splits[role] for role in (TRAIN, VAL, TEST, TRAINVAL) if splits.get(role)}, facts
