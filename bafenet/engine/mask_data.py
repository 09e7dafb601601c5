"""Frames with target masks of one's own (``--data``): lists found, and a config of SIRSTSegDataset to read them."""
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.config import Config

from bafenet.datasets.parts import loader_parts
from bafenet.datasets.sirst_seg import SIRSTSegDataset
from bafenet.devkit.conversion.files import FileIndex, is_frame, list_files, shown_path
from bafenet.devkit.conversion.sirst import find_sirst_layout
from bafenet.devkit.conversion.source import TRAINVAL
from bafenet.devkit.conversion.splits import Listed, best_lists
from bafenet.errors import InputError, printable

from .devkit_data import TEST, TRAIN, VAL, find_dataset
from .registered import find_type

# Of a list without a validation part; and the largest part that a config's own number may be.
_HELD_OUT, _MOST_HELD_OUT = 0.1, 0.25


@dataclass(frozen=True)
class MaskPart:
    """The frames of one split.

    Attributes:
        file: ``ann_file`` of its dataset; empty for all frames.
        frames: How many.
        holdout: How many frames of the file are held out.
        held_out: Whether it is these, or the others.
    """

    file: str
    frames: int
    holdout: int = 0
    held_out: bool = False

    def __str__(self) -> str:
        listed = f' of {printable(self.file)}' if self.file else ''
        return f'{self.frames} frames{" held out" * self.held_out}{listed}'


@dataclass
class MaskData:
    """What a data set with target masks has of what a config reads.

    Attributes:
        root: Its folder.
        layout: What its layout is called.
        parts: The splits, by ``train``, ``val`` and ``test``; without ``val`` none is validated on.
        notes: What a user should know.
    """

    root: str
    layout: str
    parts: dict[str, MaskPart]
    notes: list[str] = field(default_factory=list)

    def settings(self, cfg: Config) -> dict[str, Any]:
        """What of a config changes so that its datasets read this data.

        Raises:
            InputError: If a loader has several datasets.
        """
        settings: dict[str, Any] = {}
        for loader, part in self.parts.items():
            if not cfg.get(f'{loader}_dataloader'):
                continue
            path, dataset = find_dataset(cfg, loader)
            own = dict(data_root=self.root, ann_file=part.file, holdout=part.holdout, held_out=part.held_out)
            if dataset.get('data_prefix') is not None:
                own['data_prefix'] = None  # of the config's own data; here the layout says it
            settings |= {f'{path}.{key}': value for key, value in own.items()}
        return settings

    def lines(self) -> list[str]:
        """What was understood, in a few lines."""
        parts = '; '.join(f'{name} {part}' for name, part in self.parts.items())
        return [f'data: {printable(self.root)} ({self.layout}): {parts}', *(f'note: {note}' for note in self.notes)]


def reads_masks(cfg: Config, loader: str) -> bool:
    """Whether all data of a loader, ``'train'`` or ``'test'``, are frames with target masks (``SIRSTSegDataset``)."""
    types = [find_type(part.settings.get('type')) for part in loader_parts(cfg, loader)]
    return bool(types) and all(isinstance(one, type) and issubclass(one, SIRSTSegDataset) for one in types)


def find_masks(cfg: Config, root: str, splits: str | None, to_train: bool = True, validates: bool = True) -> MaskData:
    """Find what a data set has; its layout and its lists are recognised as ``convert --from sirst`` does it.

    Without a list to validate on, frames to train on are held out: as many as the config holds out, but a tenth where
    that would be more than a quarter of them.

    Args:
        cfg: The config.
        root: Folder of the data set.
        splits: What stands behind ``train_`` in the names of its lists; None for those that name most frames.
        to_train: Find what to train on too; else what to test on alone.
        validates: Whether a training validates; else it takes the frames of ``val`` too (``--trainval``).

    Raises:
        InputError: If the layout is none that is known, or there are lists and none to train on.
    """
    place = Path(root)
    if not place.is_dir():
        raise InputError(f'--data {printable(root)}: no such folder; give that of the data set')
    layout, _ = find_sirst_layout(place, 'bring --data into one of them, or name its folders by data_prefix in a '
                                  'config of your own')
    images = list(filter(is_frame, list_files(place, layout.images)))
    lists = _find_lists(place, images, splits)
    data = MaskData(root, layout.name, {})
    everything = MaskPart('', len(images))
    if not lists:
        data.notes.append('no list of frames, as train.txt and test.txt: all')
    if not to_train:
        data.parts[TEST] = lists.get(TEST) or lists.get(VAL) or everything
        return data
    _find_training(data, lists, everything, _held_out_by(cfg), validates and bool(cfg.get('val_dataloader')))
    data.parts[TEST] = lists.get(TEST) or data.parts.get(VAL) or data.parts[TRAIN]
    if TEST not in lists:
        data.notes.append('no list of frames to test on: a test is of those that the '
                          + ('epoch is picked by' if VAL in data.parts else 'network is trained on'))
    return data


def _find_lists(root: Path, images: list[Path], splits: str | None) -> dict[str, MaskPart]:
    files = [file for file in list_files(root) if file.suffix == '.txt']
    if splits is not None:
        files = [file for file in files if file.stem.endswith(f'_{splits}')]
    lists = best_lists(files, FileIndex(images))
    if splits is not None and not lists:
        raise InputError(f'--splits {printable(splits)}: {printable(root)} has no list of frames called '
                         f'train_{printable(splits)}.txt or test_{printable(splits)}.txt')
    return {role: _part_of(root, listed) for role, listed in lists.items()}


def _part_of(root: Path, listed: Listed) -> MaskPart:
    file = listed.file.relative_to(os.path.abspath(root)).as_posix()
    if listed.absent:
        raise InputError(f'--data {shown_path(root, listed.file)}: {len(listed.absent)} of its frames are not in '
                         f'{printable(root)} ({printable(listed.absent[0])}); correct the list')
    return MaskPart(file, len(listed.images))


def _held_out_by(cfg: Config) -> int:
    """How many frames the config's own training set holds out."""
    return max((part.settings.get('holdout') or 0 for part in loader_parts(cfg, TRAIN)), default=0)


def _find_training(data: MaskData, lists: dict[str, MaskPart], everything: MaskPart, holdout: int,
                   validates: bool) -> None:
    """Fill the parts of a training."""
    train, val, both = (lists.get(name) for name in (TRAIN, VAL, TRAINVAL))
    if lists and train is None and both is None:
        there = printable(', '.join(part.file for part in lists.values()))
        raise InputError(f'--data {printable(data.root)}: of its lists, {there}, none is to train on; add one called '
                         'train')
    if not validates:
        if both is None and val is not None:
            raise InputError(f'--data {printable(data.root)}: without a validation the frames of train and val are '
                             'meant, and no list names both; add one called trainval')
        data.parts[TRAIN] = both or train or everything
    elif train is not None and val is not None:
        data.parts |= {TRAIN: train, VAL: val}
    else:
        whole = train or both or everything
        held = holdout if 0 < holdout <= _MOST_HELD_OUT * whole.frames else max(round(_HELD_OUT * whole.frames), 1)
        data.parts |= {TRAIN: MaskPart(whole.file, whole.frames - held, held),
                       VAL: MaskPart(whole.file, held, held, held_out=True)}
