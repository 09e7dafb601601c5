"""Testing on data of one's own (``--data`` of test.py): which frames, and the classes that the weights know."""
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from bafenet.devkit import read_split
from bafenet.devkit.image_files import image_files
from bafenet.devkit.layout import IMAGES
from bafenet.errors import InputError, printable

from ..models.onnx_file import is_onnx
from .checkpoints import load_from_local
from .class_layer import class_layers, classes_of
from .devkit_data import TEST, VAL, DevkitData, Part, data_settings, find_data
from .devkit_lists import data_lines, write_lists
from .mask_data import MaskData, find_masks, reads_masks


@dataclass
class OwnTest:
    """What ``--data`` asks for.

    Attributes:
        root: Folder of a devkit, or of frames with target masks where the config reads these.
        splits: What stands behind ``test_``; None to look for it.
        checkpoint: The file that is tested, or the name of weights that come with the package.
        data: What was found, once a config has said what it reads.
    """

    root: str
    splits: str | None
    checkpoint: str
    data: DevkitData | MaskData | None = None

    def settings(self, cfg: Config) -> dict[str, Any]:
        """What of a config changes so that it tests on the data; see :func:`test_data` and :func:`find_masks`."""
        if reads_masks(cfg, TEST):
            self.data = find_masks(cfg, self.root, self.splits, to_train=False)
            return self.data.settings(cfg)
        self.data = test_data(self.root, self.splits, self.checkpoint)
        return data_settings(cfg, self.data)

    def prepare(self, cfg: Config) -> list[str]:
        """Write the lists that a devkit lacks into the work dir; lines to print."""
        if not isinstance(self.data, DevkitData):
            return [] if self.data is None else self.data.lines()
        write_lists(self.data, cfg.work_dir, 0, keep=True)
        return data_lines(self.data)


def test_data(root: str, splits: str | None, checkpoint: str) -> DevkitData:
    """Find what a devkit has to test a checkpoint on.

    Its test split, else its validation split, else what the run of the checkpoint has kept back to validate on, else
    all frames. The classes are the checkpoint's where it knows all of the devkit's; one class may have another name.

    Args:
        root: Folder of the devkit.
        splits: What stands behind ``test_``; None to look for it.
        checkpoint: Its file, or the name of weights that come with the package.

    Raises:
        InputError: As :func:`find_data`; or if the devkit has classes that the checkpoint does not know.
    """
    data = find_data(root, splits, to_train=False)
    kept_back = Path(checkpoint).parent / 'splits' / f'{VAL}.txt'
    if data.splits is None and kept_back.is_file():
        names = read_split(kept_back)
        if set(names) <= image_files(Path(root, IMAGES)).keys():
            data.parts[TEST] = Part(str(kept_back.absolute()), names)
            data.targets, data.sky = {name: data.targets[name] for name in names}, data.sky & set(names)
            data.notes = ['no list of frames to test on: those that '
                          f'{printable(kept_back.parent.parent)} has kept back, and has picked its epoch on']
    _name_classes(data, checkpoint)
    return data


def _name_classes(data: DevkitData, checkpoint: str) -> None:
    """Set the names of the labels that the checkpoint's network gives."""
    if is_onnx(checkpoint):
        return
    content = load_from_local(checkpoint, map_location='cpu')
    weights = content.get('state_dict', content)
    known = classes_of(content, weights, class_layers(weights))
    found = {name for counts in data.targets.values() for name in counts}
    if not known:
        return
    if found <= set(known):
        data.classes = tuple(known)
    elif len(found) == len(known) == 1:
        data.notes.append(f'{printable(data.classes[0])} is tested as the only class of the weights, '
                          f'{printable(known[0])}')
    else:
        raise InputError(f'--data {printable(data.root)} has the classes {printable(", ".join(sorted(found)))}, and '
                         f'{printable(checkpoint)} knows {printable(", ".join(known))}: fine-tune it on this data by '
                         'train … --from, or test on data of its classes')
