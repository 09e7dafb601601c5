"""Which checkpoint is meant (the latest or best of a work dir, a name), and its weights into a network.

Reading the file itself is in compat/checkpoint_loading.py.
"""
import hashlib
import os
import re
import sys
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ..compat.checkpoint_loading import load_from_local, load_url, local_file, require_checkpoint
from ..compat.config_text import parse_config
from ..compat.weights_fit import may_be_missing, without_lent
from ..errors import InputError, printable
from ..reading import read_regular, reason_of
from .config_paths import setting

__all__ = ['WeightsReport', 'find_checkpoint', 'latest_checkpoint', 'load_from_local', 'load_url', 'load_weights',
           'local_file', 'require_checkpoint']

_LONGEST_NAME = 200  # characters of a weight's name that are shown
_MAX_NOTE = 2**13  # bytes of last_checkpoint, twice those of the longest path

# --- Of a work dir ----------------------------------------------------------------------------------------------------


def latest_checkpoint(work_dir: str | Path, folders: Sequence[str | Path] = ()) -> str | None:
    """The checkpoint that a work dir's ``last_checkpoint`` names.

    A file of that name in these folders counts first: a work dir may have been moved or copied since.

    Args:
        work_dir: The work dir.
        folders: Where its checkpoints are; by default in it.

    Returns:
        The path, or None where there is no such note.

    Raises:
        InputError: If the note cannot be read, or names no file of these folders.
    """
    note = Path(work_dir, 'last_checkpoint')
    if not os.path.lexists(note):
        return None
    try:
        named = Path(read_regular(note, _MAX_NOTE).decode('utf-8').strip())
        places = [*(Path(folder, named.name) for folder in folders or (work_dir, )), named]
        found = [str(place) for place in places if place.is_file()]
    except (OSError, ValueError) as error:
        raise InputError(f'{printable(note)}: cannot be read ({reason_of(error)}); delete it, and resume '
                         'from a checkpoint by name') from error
    if not found:
        raise InputError(f'checkpoint {printable(places[0])} does not exist, which {printable(note)} names: '
                         'resume from a checkpoint by name, or delete that note to begin a new run')
    return found[0]


def find_checkpoint(path: str) -> str:
    """The checkpoint itself, a file or a name, or the best one of a work dir; the last one where the run picks none.

    Raises:
        InputError: If there is none, or more than one best.
    """
    if not os.path.isdir(path):
        return path
    best = sorted(str(file) for file in Path(path).glob('best_*.pth'))
    last = None if best else _last_of_unpicked(path)
    if last is not None:
        # Not to the standard output, which is for results.
        print(f'{printable(path)}: this run picks no best checkpoint; its last one is taken, '
              f'{printable(Path(last).name)}', file=sys.stderr, flush=True)
        return last
    if len(best) != 1:
        found = f'there are {len(best)}: {", ".join(best)}' if best else 'there is none'
        raise InputError(f'{printable(path)}: expected one best_*.pth in the folder and {printable(found)}; name the '
                         'checkpoint file')
    return best[0]


def _last_of_unpicked(work_dir: str) -> str | None:
    """The last checkpoint of a run whose config says that no validation picks one; None for any other run."""
    try:
        last = latest_checkpoint(work_dir)
    except InputError:
        return None
    text = None if last is None else load_from_local(last, map_location='cpu').get('meta', {}).get('cfg')
    if text is None:
        return None
    cfg = parse_config(text, f'checkpoint {printable(last)}')
    picks = cfg.get('val_dataloader') and setting(cfg, 'default_hooks', 'checkpoint', 'save_best')
    return None if picks else last


# --- Loading into a network -------------------------------------------------------------------------------------------


class WeightsReport(NamedTuple):
    """Names of the weights that did not go from a checkpoint into a network.

    Attributes:
        missing: In the network, not in the checkpoint.
        unexpected: In the checkpoint, not in the network.
        reshaped: In both, with different shapes, or whole numbers in the checkpoint for real ones.
        loaded: How many weights went over.
    """

    missing: list[str]
    unexpected: list[str]
    reshaped: list[str]
    loaded: int

    @property
    def fits(self) -> bool:
        """Whether every weight of either side went over."""
        return not (self.missing or self.unexpected or self.reshaped)

    def describe(self, examples: int = 1000) -> str:
        """Say in one line what did not fit, with at most so many examples of each kind."""
        kinds = (('missing in the checkpoint', self.missing), ('unknown to the network', self.unexpected),
                 ('of another shape or kind', self.reshaped))
        return ', '.join(f'{len(names)} {kind} ({_some(names, examples)})' for kind, names in kinds if names)


def _some(names: list[str], examples: int) -> str:
    return printable(', '.join(name[:_LONGEST_NAME] for name in names[:examples])) + (
        ', …' if len(names) > examples else '')


def load_weights(model: torch.nn.Module, checkpoint: dict) -> WeightsReport:
    """Load the weights that fit into a network, and report the others.

    Args:
        model: The network, not wrapped.
        checkpoint: A checkpoint with a ``state_dict``, or a bare state dict. A ``module.`` before each name
            (from a parallel run) is dropped.
    """
    source = checkpoint.get('state_dict', checkpoint)
    weights = {re.sub(r'^module\.', '', str(name)): value for name, value in source.items()}
    expected = model.state_dict()
    reshaped = [name for name, value in weights.items() if name in expected and not _is_alike(value, expected[name])]
    fitting: Any = OrderedDict((name, value) for name, value in weights.items() if name not in reshaped)
    if hasattr(source, '_metadata'):
        fitting._metadata = source._metadata  # versions of the modules' formats
    missing, unexpected = model.load_state_dict(fitting, strict=False)
    missing = [name for name in missing if name not in reshaped and not may_be_missing(name)]
    return WeightsReport(missing, without_lent(unexpected, weights, expected), reshaped,
                         len(fitting) - len(unexpected))


def _is_alike(value: Any, expected: torch.Tensor) -> bool:
    """Whether a weight can replace another; PyTorch would copy whole numbers (quantised ones) too."""
    return (isinstance(value, torch.Tensor) and value.shape == expected.shape
            and (value.is_floating_point() or not expected.is_floating_point()))


def checkpoint_sha256(name: str) -> str | None:
    """SHA-256 of a checkpoint's bytes, hexadecimal; None of an address, which is no file."""
    try:
        return hashlib.sha256(local_file(name).read_bytes()).hexdigest()
    except InputError:
        return None
