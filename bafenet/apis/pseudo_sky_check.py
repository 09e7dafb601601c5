"""How good pseudo sky maps are where the true sky is known: share of pixels decided, share right, by the bounds."""
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from ..devkit.images import read_sky, require_palette_sky
from ..devkit.layout import IGNORED, OTHER, SKY
from ..engine.checkpoints import checkpoint_sha256, find_checkpoint
from ..errors import InputError, printable
from ..evaluation.sky import has_known_sky
from ..fileio import require_json_name, write_json
from ..markup import cell
from .pseudo_sky import BOUNDS, NetworkOptions, decide, frame_files, load_network, predict_sky, require_bounds
from .pseudo_sky_manifest import Manifest

# Beside the bounds that are asked for.
OTHER_BOUNDS = ((0.5, 0.5), (0.3, 0.7), (0.2, 0.8), (0.1, 0.9), (0.05, 0.95), (0.02, 0.98), (0.01, 0.99))
RIGHT = 0.98  # a frame whose decided pixels are less right than that is counted


def check_pseudo_sky(devkit: str | Path, options: NetworkOptions | None = None, bounds: Sequence[float] = BOUNDS,
                     splits: Sequence[str] | None = None, json_file: str | None = None) -> dict[str, Any]:
    """Compare what a network would decide with the true sky maps of a devkit, and print tables; no map is written.

    Args:
        devkit: The devkit. Its frames that have a true sky map are taken, pseudo maps are none.
        options: The network.
        bounds: See :func:`~bafenet.apis.pseudo_sky.decide`.
        splits: See :func:`~bafenet.apis.pseudo_sky.frame_files`.
        json_file: JSON file for the numbers.

    Returns:
        ``devkit``, ``splits``, ``weights``, ``weights_sha256``, number of ``images``, ``skipped`` ones, ``true_sky``
        (share of the known pixels), and ``bounds``: for each pair :func:`shares`, those that were asked for first.

    Raises:
        InputError: If no frame has a true sky map, a map is bad, or the devkit or the network cannot be read.
    """
    options, root, bounds = options or NetworkOptions(), Path(devkit), require_bounds(bounds)
    require_json_name(json_file, '--json')
    pseudo = Manifest.read(root)
    ours = pseudo.unchanged()
    files = {name: file for name, file in frame_files(root, splits).items()
             if name not in ours and os.path.lexists(pseudo.map_file(name))}
    if not files:
        raise InputError(f'--check: no frame of {printable(root)} that was asked for has a true sky map; give a devkit '
                         'with such maps, as DenseSIRST')
    require_palette_sky(map(pseudo.map_file, files))
    detector, settings = load_network(options)
    pairs = list(dict.fromkeys([bounds, *OTHER_BOUNDS]))
    counts: list[list[np.ndarray]] = []
    skipped: list[str] = []
    for name, result in predict_sky(detector, settings, files, options.batch, skipped):
        assert result.sky_probability is not None
        truth = read_sky(pseudo.map_file(name), result.sky_probability.shape, palette=True)
        if has_known_sky(truth):
            counts.append([count(result.sky_probability, truth, pair) for pair in pairs])
    if not counts:
        raise InputError(f'--check: no frame of {printable(root)} could be compared; see what was skipped')
    table = np.array(counts)
    known = table[:, 0].sum(axis=(0, 1))
    report = dict(
        devkit=root.name, splits=list(splits) if splits else None, weights=Path(options.weights).name,
        weights_sha256=checkpoint_sha256(find_checkpoint(options.weights)), images=len(counts), skipped=len(skipped),
        true_sky=float(known[1] / known.sum()),
        bounds=[dict(bounds=list(pair), **shares(table[:, i])) for i, pair in enumerate(pairs)])
    print_tables(report)
    if json_file:
        write_json(json_file, report)
    return report


def count(probability: np.ndarray, truth: np.ndarray, bounds: Sequence[float]) -> np.ndarray:
    """Pixels of a frame by what was decided and what is true.

    Args:
        probability: float (H, W), of sky.
        truth: uint8 (H, W), 0 other, 1 sky, 255 ignored, which is not counted.
        bounds: See :func:`~bafenet.apis.pseudo_sky.decide`.

    Returns:
        int (3, 2): decided other, decided sky, undecided, by truly other, truly sky.
    """
    decided = decide(probability, bounds)
    kinds, sides = (OTHER, SKY, IGNORED), (OTHER, SKY)
    return np.array([[np.count_nonzero((decided == kind) & (truth == side)) for side in sides] for kind in kinds])


def shares(counts: np.ndarray) -> dict[str, Any]:
    """What part of the pixels was decided, and what part of these is right.

    Args:
        counts: int (F, 3, 2) of F frames; see :func:`count`.

    Returns:
        Shares in [0, 1], None where nothing was decided. ``decided``, ``right`` (of all decided pixels),
        ``sky_right`` (of those decided to be sky), ``other_right``, over the pixels of all frames; ``frames``: the
        means over the frames of ``decided`` and, over those in which something was decided, of ``right``; how many are
        ``undecided``, and how many are less right than 0.98 (``below``).
    """
    pooled, own = _shares(counts.sum(axis=0)), [_shares(one) for one in counts]
    right = [one['right'] for one in own if one['right'] is not None]
    frames = dict(decided=float(np.mean([one['decided'] for one in own])),
                  right=float(np.mean(right)) if right else None, undecided=len(own) - len(right),
                  below=sum(share < RIGHT for share in right))
    return dict(**pooled, frames=frames)


def _shares(counts: np.ndarray) -> dict[str, float | None]:
    (other_other, other_sky), (sky_other, sky_sky), _ = counts.tolist()
    other, sky = other_other + other_sky, sky_other + sky_sky
    return dict(decided=(other + sky) / int(counts.sum()), right=_share(other_other + sky_sky, other + sky),
                sky_right=_share(sky_sky, sky), other_right=_share(other_other, other))


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def print_tables(report: dict[str, Any]) -> None:
    """Print what :func:`check_pseudo_sky` gives."""
    lists = f' of {", ".join(report["splits"])}' if report['splits'] else ''
    console = Console()
    console.print(cell(f'{report["weights"]} against the true sky of {report["images"]} frames{lists}, '
                       f'{report["true_sky"]:.1%} sky'), soft_wrap=True)
    pixels = _table('All pixels', 'decided', 'right', 'sky right', 'other right')
    frames = _table('By frame', 'decided, mean', 'right, mean', f'right below {RIGHT:.0%}', 'undecided')
    for row in report['bounds']:
        bounds, own = '{:g}–{:g}'.format(*row['bounds']), row['frames']
        pixels.add_row(bounds, *map(_percent, (row[key] for key in ('decided', 'right', 'sky_right', 'other_right'))))
        frames.add_row(bounds, _percent(own['decided']), _percent(own['right']), str(own['below']),
                       str(own['undecided']))
    console.print(pixels)
    console.print(frames)


def _table(title: str, *columns: str) -> Table:
    table = Table('bounds', title=title)
    for head in columns:
        table.add_column(head, justify='right')
    return table


def _percent(share: float | None) -> str:
    return 'n/a' if share is None else f'{share:.2%}'
