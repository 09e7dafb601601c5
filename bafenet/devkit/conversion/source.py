"""What a data set of another format says before it becomes a devkit: frames, labels, splits, and what is wrong."""
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...arguments import shown_text
from ..layout import CLASSES

TRAIN, VAL, TEST, TRAINVAL = 'train', 'val', 'test', 'trainval'
_WORDS = {'train': TRAIN, 'training': TRAIN, 'val': VAL, 'valid': VAL, 'validation': VAL, 'dev': VAL, 'test': TEST,
          'testing': TEST, 'trainval': TRAINVAL}
_LONGEST_CLASS = 100


class Note(NamedTuple):
    """Something that is not converted as it stands.

    Attributes:
        file: The file, as a message names it.
        kind: Heading under which it is counted.
        message: What is the matter, and what was done.
    """

    file: str
    kind: str
    message: str


@dataclass
class Labels:
    """The targets of one frame.

    Attributes:
        names: Class of each, n of them.
        boxes: (n, 4) float64 ``[x1, y1, x2, y2]`` in pixels, 0-based with exclusive ends, unchecked.
        mask: (H, W) bool, the pixels of all targets; None where these are not known.
        notes: ``kind`` and ``message`` of what was left out or changed.
    """

    names: list[str]
    boxes: np.ndarray
    mask: np.ndarray | None = None
    notes: list[tuple[str, str]] = field(default_factory=list)


Size = tuple[int, int]
ReadLabels = Callable[[Size], Labels]


def no_labels(size: Size, masks: bool = False) -> Labels:
    """The labels of a frame without targets; its mask is empty where the others have masks."""
    return Labels([], np.zeros((0, 4)), np.zeros(size[::-1], bool) if masks else None)


@dataclass(frozen=True)
class SourceFrame:
    """A frame of a source.

    Attributes:
        image: Its file.
        key: Its path below the source without suffix, by which it is called.
        read: Reads its labels, given the width and height of the image; an InputError drops the frame.
        files: The files that its labels come from: where one changes, the frame is converted again.
    """

    image: Path
    key: str
    read: ReadLabels
    files: tuple[Path, ...] = ()


@dataclass
class Source:
    """All that a source says.

    Attributes:
        frames: Its frames, in order.
        splits: Keys of frames by ``train``, ``val``, ``test``, ``trainval``, as far as it gives splits.
        facts: Sentences for the summary: how the source was read.
        notes: What is wrong with it.
        sky: Folder of its sky maps; None where it has none.
        classes: The classes that it names beside its targets, as a list of categories does; some may have no target.
    """

    frames: list[SourceFrame]
    splits: dict[str, list[str]]
    facts: list[str] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    sky: str | None = None
    classes: list[str] = field(default_factory=list)


def role_of(text: str) -> str | None:
    """The split that a name is of: ``train`` of ``instances_train2017``; None where it names none, or several."""
    roles = {_WORDS[word] for word in re.split('[^a-z]+', text.lower()) if word in _WORDS}
    return next(iter(roles)) if len(roles) == 1 else None


def role_of_folders(path: Path) -> str | None:
    """The split that a file is in, by the innermost of its folders that is called so and no more."""
    return next((_WORDS[part.lower()] for part in reversed(path.parts[:-1]) if part.lower() in _WORDS), None)


def class_name(text: str | None) -> str:
    """A class name that an XML can hold: printable, on one line, of bounded length; ``Target`` where there is none."""
    return shown_text(' '.join((text or '').split()), _LONGEST_CLASS) or CLASSES[0]
