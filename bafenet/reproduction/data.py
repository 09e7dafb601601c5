"""What identifies the data of a split: names and truth of its images, as a digest, for boxes and for target masks."""
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from bafenet.datasets import SIRSTSegDataset
from bafenet.devkit import find_split, read_split
from bafenet.devkit.layout import BOXES, DATASET_PAGE, require_densesirst, require_split
from bafenet.devkit.read import MAX_XML_BYTES
from bafenet.engine.pipeline_steps import step_name
from bafenet.errors import InputError
from bafenet.reading import MAX_BYTES, read_bytes
from bafenet_command import call_of

# Names of the images, and for each the bytes of what says where its targets are.
Truth = tuple[Sequence[str], Sequence[bytes]]
# What of a dataset's settings does not decide which images and truths it has.
_OTHERS = ('type', 'pipeline', 'data_root', 'ann_file', 'test_mode', 'lazy_init', 'serialize_data', 'max_refetch')


def describe_data(settings: Mapping[str, Any]) -> dict:
    """The data of a dataset, by which equal ones are known wherever they lie.

    Args:
        settings: Of a dataset below any wrappers, in a config; ``data_root`` and ``ann_file`` are paths.

    Returns:
        ``ann_file``, the name of the split; ``images``, their number; ``sha256``, of the names and the truth: XML files
        of boxes, or files of target masks.

    Raises:
        InputError: If the data cannot be read.
    """
    kind = step_name(dict(settings)) if settings.get('type') else ''
    more = {key: value for key, value in settings.items() if key not in _OTHERS} if kind in _TRUTHS else {}
    return dict(_describe(kind, settings['data_root'], settings['ann_file'],
                          json.dumps(more, sort_keys=True, default=repr)))


@cache
def _describe(kind: str, root: str, ann_file: str, more: str) -> dict:
    if not Path(root).is_dir():
        raise InputError(f'{root}: no such data folder; give it by --data, link the dataset there ({DATASET_PAGE}), or '
                         f'make the demo set by {call_of("make_demo")}')
    try:
        names, truths = _TRUTHS.get(kind, _boxes)(root, ann_file, json.loads(more))
    except InputError as error:
        raise InputError(f'{error}; check --data') from error
    digest = hashlib.sha256('\n'.join(names).encode())
    digest.update(b'\0'.join(truths))
    # The whole path of a list that lies elsewhere would reveal where the data are.
    name = Path(ann_file).name if Path(ann_file).is_absolute() else ann_file
    return dict(ann_file=name, images=len(names), sha256=digest.hexdigest())


def _boxes(root: str, ann_file: str, more: Mapping[str, Any]) -> Truth:
    """Of a devkit."""
    split = find_split(root, ann_file)
    require_split(root, split)
    names = read_split(split)
    require_densesirst(split, root, names, [
        name for name in names if not Path(root, BOXES, f'{name}.xml').is_file()])
    return names, [read_bytes(Path(root, BOXES, f'{name}.xml'), MAX_XML_BYTES) for name in names]


def _masks(root: str, ann_file: str, more: Mapping[str, Any]) -> Truth:
    """Of frames with target masks; of a split that is divided, the part."""
    dataset = SIRSTSegDataset(data_root=root, ann_file=ann_file, pipeline=[], lazy_init=True, **more)
    infos = dataset.load_data_list()
    return ([info['img_id'] for info in infos],
            [read_bytes(Path(info['target_mask_path']), MAX_BYTES) for info in infos])


# By the type of a dataset; of any other the boxes of its devkit.
_TRUTHS: dict[str, Callable[[str, str, Mapping[str, Any]], Truth]] = {'SIRSTSegDataset': _masks}
