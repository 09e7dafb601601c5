"""Splits that a config trains and tests on: its root key ``splits``, and lists in its work dir."""
import os

from mmengine.config import Config

from bafenet.arguments import shown
from bafenet.errors import InputError, printable

from .config_paths import set_value
from .config_values import iterate_settings, settings_of

PLACEHOLDER = '{splits}'
WORK_DIR = '{work_dir}'
DEFAULT = 'v2'  # DenseSIRST's own


def fill_splits(cfg: Config, source: str, asked: bool = False) -> None:
    """Put the config's ``splits`` into every ``ann_file`` that has the placeholder.

    Args:
        cfg: The config, changed in place.
        source: Its file, or what asks for the splits.
        asked: Whether ``splits`` was given in addition to the config, and so must change something.

    Raises:
        InputError: If there is a placeholder and no ``splits``, or where ``splits`` was given and changes nothing.
    """
    found = _files_with(cfg, PLACEHOLDER, source)
    splits = cfg._cfg_dict.to_dict().get('splits')
    if asked and not found:
        raise InputError(f'{printable(source)}: splits={shown(splits)} changes nothing: no ann_file has {PLACEHOLDER}; '
                         f"write it as 'Splits/train_{PLACEHOLDER}.txt', or give the files themselves")
    if found and splits is None:
        raise InputError(f"{printable(source)}: {found[0][0]}={shown(found[0][1])}, and the config has no splits; add "
                         f"splits = '{DEFAULT}', or name the file")
    for key, value in found:
        set_value(cfg, tuple(key.split('.')), value.replace(PLACEHOLDER, str(splits)))


def fill_work_dir(cfg: Config, source: str) -> None:
    """Put the config's ``work_dir``, absolute, into every ``ann_file`` that begins with ``{work_dir}``.

    Args:
        cfg: The config, changed in place.
        source: Its file, for messages.
    """
    for key, value in _files_with(cfg, WORK_DIR, source):
        set_value(cfg, tuple(key.split('.')), value.replace(WORK_DIR, os.path.abspath(cfg.work_dir), 1))


def _files_with(cfg: Config, placeholder: str, source: str) -> list[tuple[str, str]]:
    """Dotted keys and values of every ``ann_file`` that has a placeholder."""
    plain = settings_of(cfg._cfg_dict.to_dict())
    return [(key, value) for key, value, _ in iterate_settings(plain, printable(source))
            if key.rsplit('.', 1)[-1] == 'ann_file' and isinstance(value, str) and placeholder in value]
