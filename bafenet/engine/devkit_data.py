"""A devkit of one's own (``--data``): its splits, classes and sky maps found, and a config made to read them."""
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.config import Config

from bafenet.datasets.parts import loader_parts
from bafenet.devkit import read_annotation, read_split
from bafenet.devkit.devkit_files import DevkitFiles
from bafenet.devkit.image_files import IMAGE_SUFFIXES, image_files
from bafenet.devkit.layout import (
    BOXES,
    CLASSES,
    IMAGES,
    PACKAGED_SPLITS,
    SKY_PALETTE,
    TARGET_PALETTE,
    devkit_layout,
    file_below,
    image_names,
    require_densesirst,
    split_file,
)
from bafenet.errors import InputError, printable

from .config_paths import setting
from .registered import find_type, parameters
from .splits import DEFAULT, PLACEHOLDER, WORK_DIR

TRAIN, VAL, TEST = PARTS = ('train', 'val', 'test')
_LOADER = '{}_dataloader'
# What follows the names of maps, whose arguments of the dataset class say it; images are found by themselves.
_ENDINGS = {SKY_PALETTE: 'seg_map_suffix', TARGET_PALETTE: 'target_mask_suffix'}


@dataclass
class Part:
    """The frames of one split.

    Attributes:
        file: ``ann_file`` of its dataset; empty for all images.
        names: The frames; None where the list is still to be drawn.
        from_part: The split whose frames it has for want of its own.
    """

    file: str
    names: list[str] | None
    from_part: str | None = None


@dataclass
class DevkitData:
    """What a devkit has of what a config reads.

    Attributes:
        root: Its folder.
        splits: What stands behind ``train_`` in the names of its lists; None where it has none.
        parts: The splits, by ``train``, ``val`` and ``test``; without ``val`` none is validated on.
        targets: Targets by class of each frame in use.
        sky: Which of these frames have a sky map.
        drawn_from: The frames of which a tenth is to be drawn to validate on; None where nothing is drawn.
        drawn_from_file: ``ann_file`` of these frames; empty for all images.
        classes: Names of the classes, in the order of their labels.
        endings: What follows the names of sky maps and target masks, by argument of the dataset class.
        notes: What a user should know.
    """

    root: str
    splits: str | None
    parts: dict[str, Part]
    targets: dict[str, Counter[str]]
    sky: set[str]
    drawn_from: list[str] | None = None
    drawn_from_file: str = ''
    classes: tuple[str, ...] = CLASSES
    endings: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def count(self, names: Iterable[str]) -> int:
        """Targets in some frames."""
        return sum(self.targets[name].total() for name in names)

    def sky_setting(self, part: Part) -> str:
        """``sky`` of a part's dataset; where its frames are still to be drawn, by all in use."""
        names = set(self.targets if part.names is None else part.names)
        found = names & self.sky
        return 'none' if not found else 'required' if found == names else 'optional'


# --- What there is ----------------------------------------------------------------------------------------------------


def find_data(root: str, splits: str | None, to_train: bool = True, validates: bool = True) -> DevkitData:
    """Find what a devkit has; only lists, box XMLs and names of files are read.

    Of several families of lists ``v2`` is taken, else the only one there is. Where there are no lists, all frames
    are meant.

    Args:
        root: Its folder.
        splits: What stands behind ``train_``; None to look for it.
        to_train: Find what to train on too; else what to test on alone.
        validates: Whether a training validates; else it takes the frames of ``val`` too (``--trainval``).

    Raises:
        InputError: If it is no devkit, the splits that are meant cannot be told or name no frames of it, or a file is
            bad.
    """
    if not os.path.isdir(root):
        raise InputError(f'--data {printable(root)}: no such folder; give that of a devkit, which holds {IMAGES} and '
                         'SIRST')
    images = image_names(Path(root))
    there = set(devkit_layout(root).split_names())
    suffix = _suffix(root, there, splits, (TRAIN, 'trainval', VAL, TEST) if to_train else (TEST, VAL))
    lists = {part: None if suffix is None else _read_list(root, there, part + suffix, splits)
             for part in (*PARTS, 'trainval')}
    data = DevkitData(root, suffix and suffix.removeprefix('_'), {}, {}, set())
    if to_train:
        _find_training(data, lists, images, validates, splits is not None)
    else:
        _find_test(data, lists, images)
    _read_targets(data, set(images))
    return data


def _suffix(root: str, there: set[str], splits: str | None, parts: Sequence[str]) -> str | None:
    """What follows ``train`` in the names of the lists that are meant, ``'_v2'`` for one; None where there is none."""
    if splits is not None:
        return f'_{splits}'
    for part in parts:
        found = sorted(name.removeprefix(part) for name in there if re.fullmatch(rf'{part}(_.+)?', name))
        if f'_{DEFAULT}' in found:
            return f'_{DEFAULT}'
        if len(found) > 1:
            there_are = printable(', '.join(part + end for end in found))
            raise InputError(f'--data {printable(root)}: there are {there_are}; choose one by '
                             f'--splits NAME, which stands for {part}_NAME')
        if found:
            return found[0]
    return None


def _read_list(root: str, there: set[str], name: str, splits: str | None) -> Part | None:
    """A list of a devkit, or of the package where it was asked for by name and the devkit has none of that name."""
    packaged = PACKAGED_SPLITS / f'{name}.txt'
    if name in there:
        return Part(split_file(name), read_split(devkit_layout(root).split_path(name)))
    if splits is None or any(own.endswith(f'_{splits}') for own in there) or not packaged.is_file():
        return None
    names = read_split(packaged)
    require_densesirst(str(packaged), root, names, sorted(set(names) - set(image_files(Path(root, IMAGES)))))
    return Part(split_file(name), names)


def _find_training(data: DevkitData, lists: dict[str, Part | None], images: list[str], validates: bool,
                   asked: bool) -> None:
    """Fill the parts of a training; a list that is no file of the devkit is to be written to the work dir."""
    train, val, test, both = (lists[part] for part in (*PARTS, 'trainval'))
    held = {name for part in (val, test) if part for name in part.names or ()}
    if asked and train is None and both is None:
        raise _no_list(data, TRAIN)
    if not validates and both is None and val is not None and train is not None:
        both = Part(_written(TRAIN), sorted({*(train.names or ()), *(val.names or ())}))
    train = (both or train) if not validates else (train or both)
    if train is None:
        train = Part(_written(TRAIN) if held else '', [name for name in images if name not in held])
        data.notes.append(f'no list of frames to train on in Splits: all{" but those of val and test" if held else ""}')
    elif train is both and validates and val is not None:
        train = Part(_written(TRAIN), [name for name in train.names or () if name not in set(val.names or ())])
    if validates and val is None:
        data.drawn_from = train.names
        data.drawn_from_file = '' if train.file.startswith(WORK_DIR) else train.file
        train, val = Part(_written(TRAIN), None), Part(_written(VAL), None)
    data.parts = {TRAIN: train, **({VAL: val} if validates and val else {})}
    fallback = VAL if VAL in data.parts else TRAIN
    stand_in = data.parts[fallback]
    data.parts[TEST] = test or Part(stand_in.file, stand_in.names, fallback)


def _find_test(data: DevkitData, lists: dict[str, Part | None], images: list[str]) -> None:
    found = next(((part, lists[part]) for part in (TEST, VAL) if lists[part] is not None), None)
    if found is not None:
        part, chosen = found
        assert chosen is not None
        data.parts[TEST] = Part(chosen.file, chosen.names, None if part == TEST else part)
    elif data.splits is not None:
        raise _no_list(data, TEST)
    else:
        data.parts[TEST] = Part('', images)
        data.notes.append('no list of frames to test on in Splits: all frames')


def _no_list(data: DevkitData, part: str) -> InputError:
    there = ', '.join(devkit_layout(data.root).split_names()) or 'none'
    return InputError(f'--splits {printable(data.splits)}: {printable(data.root)} has no '
                      f'{printable(split_file(f"{part}_{data.splits}"))}; there are: {printable(there)}')


def _written(part: str) -> str:
    return f'{WORK_DIR}/splits/{part}.txt'


def _read_targets(data: DevkitData, images: set[str]) -> None:
    """Read classes and targets of the frames in use, and count sky maps."""
    in_use = dict.fromkeys(data.drawn_from or (), 'one of its lists')
    in_use |= {name: part.file for part in data.parts.values() for name in part.names or ()}
    absent = [name for name in in_use if name not in images]
    if absent:
        raise InputError(f'--data {printable(data.root)}: {printable(in_use[absent[0]])} names {printable(absent[0])}, '
                         f'of which there is no image in {IMAGES} ({len(absent)} such in all); correct the list')
    for name in in_use:
        objects = read_annotation(Path(data.root, file_below(BOXES, name))).objects
        data.targets[name] = Counter(item.name for item in objects if item.name is not None)
    files = DevkitFiles(data.root)
    for folder, argument in _ENDINGS.items():
        endings = {name: file[len(name):] for name, file in files.table(folder).items() if name in in_use}
        # The dataset class finds any suffix by itself.
        if not all(ending.lower() in IMAGE_SUFFIXES for ending in endings.values()):
            data.endings[argument], _ = Counter(endings.values()).most_common(1)[0]
        if folder == SKY_PALETTE:
            ending = data.endings.get(argument)
            data.sky = {name for name, found in endings.items() if ending in (None, found)}
    found = Counter[str]()
    for counts in data.targets.values():
        found.update(counts)
    data.classes = tuple(sorted(found)) or CLASSES
    trained = data.drawn_from
    if trained is None:
        trained = data.parts[TRAIN].names if TRAIN in data.parts else None
    if trained is None:
        return
    if not trained:
        raise InputError(f'--data {printable(data.root)}: no frame is left to train on: its lists (Splits) name all '
                         f'{len(images)} frames to validate or to test on; take some of them into '
                         f'{printable(split_file(f"train_{data.splits}" if data.splits else TRAIN))}')
    if not data.count(trained):
        raise InputError(f'--data {printable(data.root)}: none of the {len(trained)} frames to train on has a target; '
                         'label some (SIRST/BBox/NAME.xml)')
    untrained = [name for name in data.classes if not any(data.targets[frame][name] for frame in trained)]
    if untrained:
        data.notes.append(f'of {printable(", ".join(untrained))} there is no target to train on')


# --- What becomes of it -----------------------------------------------------------------------------------------------


def data_settings(cfg: Config, data: DevkitData) -> dict[str, Any]:
    """What of a config changes so that its datasets read the devkit.

    Args:
        cfg: The config.
        data: What was found.

    Raises:
        InputError: If a dataset of the config is not one that has an ``ann_file``.
    """
    settings: dict[str, Any] = {}
    splits = data.splits if data.splits and re.fullmatch(r'\w[\w.-]*', data.splits) else None
    for part, chosen in data.parts.items():
        if not cfg.get(_LOADER.format(part)):
            continue
        path, dataset = find_dataset(cfg, part)
        file = chosen.file
        if splits and file.endswith(f'_{splits}.txt'):
            file = f'{file.removesuffix(f"{splits}.txt")}{PLACEHOLDER}.txt'
            settings['splits'] = splits
        settings |= {f'{path}.data_root': data.root, f'{path}.ann_file': file}
        if data.classes != dataset_classes(dataset) or 'metainfo' in dataset:
            settings[f'{path}.metainfo'] = {'_delete_': True, 'classes': list(data.classes)}
        known = parameters(find_type(dataset['type']))
        if 'sky' in known:
            settings[f'{path}.sky'] = data.sky_setting(chosen)
        settings |= {f'{path}.{key}': data.endings.get(key) for key in _ENDINGS.values()
                     if key in known and data.endings.get(key) != dataset.get(key)}
    if setting(cfg, 'model', 'bbox_head', 'num_classes') is not None:
        settings['model.bbox_head.num_classes'] = len(data.classes)
    return settings


def dataset_classes(dataset: dict) -> tuple[str, ...]:
    """The classes of a dataset's settings, or of its type; none where neither says."""
    metainfo = dataset.get('metainfo')
    own = metainfo.get('classes') if isinstance(metainfo, dict) else None
    return tuple(own or getattr(find_type(dataset.get('type')), 'METAINFO', {}).get('classes') or ())


def find_dataset(cfg: Config, loader: str) -> tuple[str, dict]:
    """Path and settings of the dataset that reads files, below what repeats or samples it.

    Args:
        cfg: The config.
        loader: ``train``, ``val`` or ``test``.

    Raises:
        InputError: If there are several, or that is none with an ``ann_file``.
    """
    parts = loader_parts(cfg, loader)
    if len(parts) != 1 or 'ann_file' not in parts[0].settings:
        what = f'{len(parts)} datasets' if len(parts) > 1 else 'a dataset without an ann_file'
        raise InputError(f'--data: {loader}_dataloader of this config has {what}; write its data into a config of your '
                         'own')
    return parts[0].key, parts[0].settings
