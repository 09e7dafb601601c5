"""Parts of several datasets at once: those below ConcatDataset and other wrappers, in a config and once built."""
from collections.abc import Iterator
from typing import Any, NamedTuple

from bafenet.arguments import shown
from bafenet.errors import InputError, printable

# --- In a config ------------------------------------------------------------------------------------------------------


class Part(NamedTuple):
    """A dataset below any wrappers, in a config.

    Attributes:
        key: Its dotted key.
        settings: Its settings, the very ones of the config.
        pipeline: What its samples pass: its own pipeline, then those of its wrappers.
    """

    key: str
    settings: Any
    pipeline: list


def part_settings(settings: Any, key: str = 'dataset') -> Iterator[Part]:
    """The datasets below any wrappers; a plain dataset is its own part.

    Args:
        settings: Of a dataset: a dict, or anything else, which has no parts.
        key: Its key.
    """
    if not isinstance(settings, dict):
        return
    own = settings.get('pipeline')
    steps = list(own) if isinstance(own, (list, tuple)) else []
    inner = [(f'{key}.{name}', settings[name]) for name in ('dataset', 'datasets') if name in settings]
    if not inner:
        yield Part(key, settings, steps)
    for name, value in inner:
        items = enumerate(value) if isinstance(value, (list, tuple)) else [(None, value)]
        for number, item in items:
            for part in part_settings(item, name if number is None else f'{name}.{number}'):
                yield part._replace(pipeline=[*part.pipeline, *steps])


def loader_parts(cfg: Any, loader: str) -> list[Part]:
    """The parts of a config's loader, ``'train'``, ``'val'`` or ``'test'``."""
    name = f'{loader}_dataloader'
    settings = cfg.get(name)
    return list(part_settings(settings.get('dataset'), f'{name}.dataset')) if isinstance(settings, dict) else []


def split_settings(loader: Any) -> Iterator[dict]:
    """The parts of a loader's settings that name a split file, through whatever wraps the dataset."""
    if isinstance(loader, dict):
        for part in part_settings(loader.get('dataset')):
            if isinstance(part.settings.get('ann_file'), str):
                yield part.settings


def split_names(loader: Any) -> str | None:
    """The split file of a loader's dataset; of several, all of them, each once; None where there is none."""
    return ', '.join(dict.fromkeys(part['ann_file'] for part in split_settings(loader))) or None


def common_pipeline(cfg: Any, loader: str) -> list:
    """The pipeline that the samples of a loader pass, whatever wraps its dataset; empty where there is none.

    Raises:
        InputError: If its parts have different ones.
    """
    parts = loader_parts(cfg, loader)
    for part in parts[1:]:
        if part.pipeline != parts[0].pipeline:
            raise InputError(f'{printable(part.key)} has another pipeline than {printable(parts[0].key)}: which one is '
                             'meant cannot be known; give all parts of the dataset the same')
    return parts[0].pipeline if parts else []


def move_parts(cfg: Any, loader: str, data_root: str, option: str) -> None:
    """Set the folder of a loader's data, in place.

    Args:
        cfg: The config.
        loader: ``'train'``, ``'val'`` or ``'test'``.
        data_root: The folder.
        option: What asks for it, for the message.

    Raises:
        InputError: If its parts lie in several folders, of which one cannot be meant.
    """
    parts = loader_parts(cfg, loader)
    roots = dict.fromkeys(str(part.settings.get('data_root')) for part in parts)
    if len(roots) > 1:
        raise InputError(f'{option}: {loader}_dataloader has datasets in several folders '
                         f'({printable(", ".join(roots))}): set the data_root of each in the config, as '
                         f'{printable(parts[0].key)}.data_root')
    for part in parts:
        part.settings['data_root'] = data_root


# --- Once built -------------------------------------------------------------------------------------------------------


def wrapped_by(dataset: Any) -> list:
    """The datasets that a dataset wraps; none where it is no wrapper."""
    if hasattr(dataset, 'datasets'):
        return list(dataset.datasets)
    return [dataset.dataset] if hasattr(dataset, 'dataset') else []


def image_infos(dataset: Any) -> Iterator[dict]:
    """What the datasets below any wrappers say of each image that has a file."""
    parts = wrapped_by(dataset)
    for part in parts:
        yield from image_infos(part)
    if not parts and hasattr(dataset, 'get_data_info'):
        yield from (info for info in map(dataset.get_data_info, range(len(dataset))) if info.get('img_path'))


def part_of(dataset: Any, index: int) -> tuple[Any, int]:
    """The dataset below any wrappers that an index leads to, and the index in it.

    Raises:
        InputError: If a wrapper mixes samples, so that none leads to one image.
    """
    while wrapped_by(dataset):
        if not hasattr(type(dataset), '_get_ori_dataset_idx'):
            if 'pipeline' in vars(dataset):
                raise InputError(f'{type(dataset).__name__}: its samples are mixed of several images; give a config '
                                 'without it')
            dataset = dataset.dataset
            continue
        place = dataset._get_ori_dataset_idx(index)
        dataset, index = ((dataset.datasets[place[0]], place[1]) if isinstance(place, tuple)
                          else (dataset.dataset, place))
    return dataset, int(index)


def require_one_metainfo(dataset: Any) -> None:
    """Refuse datasets whose classes, or other meta information, differ.

    mmdet's ``ConcatDataset`` would make a list of theirs, of which a network can learn and report nothing.

    Raises:
        InputError: It names what differs.
    """
    for part in wrapped_by(dataset):
        require_one_metainfo(part)
    found = getattr(dataset, 'metainfo', None)
    if not isinstance(found, list):
        return
    keys = [key for key in dict.fromkeys(key for one in found for key in one)
            if any(one.get(key) != found[0].get(key) for one in found)]
    key = 'classes' if 'classes' in keys or not keys else keys[0]
    values = ' and '.join(dict.fromkeys(shown(one.get(key), 80) for one in found))
    raise InputError(f'{type(dataset).__name__}: its datasets have different {printable(key)}: {values}; give each the '
                     f'same by metainfo=dict({printable(key)}=…)')
