"""Testing on a devkit of one's own (``--data`` of test.py): which frames, and the classes that the weights know."""
from pathlib import Path

from bafenet.devkit import read_split
from bafenet.devkit.image_files import image_files
from bafenet.devkit.layout import IMAGES
from bafenet.errors import InputError, printable

from ..models.onnx_file import is_onnx
from .checkpoints import load_from_local
from .class_layer import class_layers, classes_of
from .devkit_data import TEST, VAL, DevkitData, Part, find_data


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
