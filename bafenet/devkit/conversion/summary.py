"""Summary of a conversion: frames, targets, sizes, what was left out and why, what check finds, how to train on it."""
import os
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bafenet_command import call_of

from ...errors import printable
from ..check import check_devkit
from .frame import Record
from .source import VAL, Note

CONFIG, WEIGHTS = 'configs/bafenet/bafenet_hr_tiny_densesirst.py', 'bafenet_hr_tiny'
_SHOWN = 3  # of each kind, and of the image sizes


@dataclass
class Summary:
    """What a conversion has written.

    Attributes:
        out: The devkit.
        facts: How the source was read.
        notes: What was left out or changed.
        skipped: Frames that were not written.
        images: Number of frames.
        empty: Frames without targets.
        targets: Targets by class.
        sizes: Frames by width and height.
        sides: (n, 2) width and height of each target in pixels.
        bits: Frames by bits a channel.
        masks: Frames with a target mask.
        sky: Frames with a sky map.
        linked: Images that are links.
        spread: Frames whose values were spread over 16 bits.
        splits: Frames and targets by split.
    """

    out: Path
    facts: list[str]
    notes: list[Note]
    skipped: list[Note]
    images: int
    empty: int
    targets: dict[str, int]
    sizes: dict[str, int]
    sides: np.ndarray
    bits: dict[str, int]
    masks: int
    sky: int
    linked: int
    spread: int
    splits: dict[str, tuple[int, int]]

    def as_dict(self) -> dict[str, Any]:
        """All but the targets' sides, ready for JSON."""
        plain = {key: value for key, value in vars(self).items() if key not in ('out', 'sides')}
        return dict(plain, notes=[note._asdict() for note in self.notes],
                    skipped=[note._asdict() for note in self.skipped])


def summarize(out: Path, facts: list[str], notes: list[Note], written: Sequence[Record], skipped: Sequence[Record],
              splits: dict[str, list[str]]) -> Summary:
    """Count what the records of a conversion say."""
    targets = {record['name']: sum(record['classes'].values()) for record in written}
    classes: Counter[str] = Counter()
    for record in written:
        classes.update(record['classes'])
    of_frames = [Note(record['key'], kind, message) for record in written for kind, message in record['notes']]
    return Summary(
        out=out, facts=facts, notes=[*notes, *of_frames],
        skipped=[Note(record['key'], 'frame left out', record['skipped']) for record in skipped],
        images=len(written), empty=sum(not count for count in targets.values()), targets=dict(sorted(classes.items())),
        sizes=dict(Counter('{}x{}'.format(*record['size']) for record in written).most_common()),
        sides=np.array([side for record in written for side in record['sides']], np.float64).reshape(-1, 2),
        bits={str(bits): count for bits, count in sorted(Counter(record['bits'] for record in written).items())},
        masks=sum(record['mask'] for record in written), sky=sum(record['sky'] for record in written),
        linked=sum(record['linked'] for record in written),
        spread=sum(record.get('spread') is not None for record in written),
        splits={role: (len(names), sum(map(targets.__getitem__, names))) for role, names in splits.items()})


def print_summary(summary: Summary, workers: int = 1) -> None:
    """Print it, what ``check`` finds, and the command that trains on it."""
    lines = [f'{printable(summary.out)}: {summary.images} frames ({summary.empty} without targets), '
             f'{sum(summary.targets.values())} targets: '
             f'{", ".join(f"{printable(name)} {count}" for name, count in summary.targets.items()) or "none"}']
    lines += [*_sizes(summary), *map(printable, summary.facts)]
    lines += [f'{role}_v2: {images} frames, {targets} targets' for role, (images, targets) in summary.splits.items()]
    lines += _noted(summary)
    print('\n'.join(lines))
    print('\n'.join(_checked(summary, workers)))
    for line in training_notes(summary):
        print(f'training: {line}')
    print(f'train with: {train_command(summary)}')


def _sizes(summary: Summary) -> list[str]:
    sizes = [f'{size} ({count})' for size, count in list(summary.sizes.items())[:_SHOWN]]
    more = len(summary.sizes) - len(sizes)
    lines = [f'frame sizes: {", ".join(sizes)}{f" and {more} more" if more else ""}; '
             + ', '.join(f'{count} of {bits} bits' for bits, count in summary.bits.items())
             + (f'; {summary.linked} images are links' if summary.linked else '')]
    if summary.spread:
        lines.append(f'{summary.spread} frames did not fit 16 bits: their values are spread over them, each by its own '
                     'lowest and highest where no --range is given')
    if len(summary.sides):
        low, middle, high = np.percentile(np.sqrt(summary.sides.prod(axis=1)), (5, 50, 95))
        lines.append(f'target sizes: {low:.3g} to {high:.3g} px, median {middle:.3g} (square root of the box area; 5 '
                     'and 95 %)')
    lines.append(f'target masks: {_share(summary.masks, summary.images)}; sky maps: '
                 f'{_share(summary.sky, summary.images)}')
    return lines


def _share(number: int, total: int) -> str:
    return 'none' if not number else 'all frames' if number == total else f'{number} of {total} frames'


def _noted(summary: Summary) -> list[str]:
    """A line for each kind of note, with the first ones of it."""
    by_kind: dict[str, list[Note]] = {}
    for note in [*summary.skipped, *summary.notes]:
        by_kind.setdefault(note.kind, []).append(note)
    lines = []
    for kind, notes in by_kind.items():
        shown = '; '.join(f'{printable(note.file)}: {printable(note.message)}' for note in notes[:_SHOWN])
        lines.append(f'{kind}: {len(notes)} ({shown}{"; …" if len(notes) > _SHOWN else ""})')
    return [*lines, 'all of them are in convert.json'] if lines else ['nothing was left out or changed']


def _checked(summary: Summary, workers: int) -> list[str]:
    """What ``check`` finds, by kind."""
    report = check_devkit(summary.out, workers)
    kinds: dict[tuple[str, str], list] = {}
    for problem in report.problems:
        kinds.setdefault((problem.severity, problem.kind), []).append(problem)
    lines = [f'check: {report.errors} errors, {len(report.problems) - report.errors} warnings']
    lines += [f'  {severity}: {kind}: {len(problems)} (first: {problems[0]})'
              for (severity, kind), problems in sorted(kinds.items())]
    return lines


def training_notes(summary: Summary) -> list[str]:
    """What training does with a devkit that is not complete, in plain words; it needs nothing more than boxes."""
    notes = []
    lacking = summary.images - summary.sky
    if lacking:
        of = 'no frame has' if not summary.sky else f'{lacking} of {summary.images} frames have not'
        notes.append(f'{of} a sky map: targets are learned all the same, and the sky where there are maps; the tool '
                     'pseudo_sky makes some by a network, --sky takes yours')
    if summary.masks < summary.images:
        notes.append('BAG-CP cuts its targets by their boxes where there is no target mask')
    if VAL not in summary.splits:
        notes.append('there is no validation split: a tenth of the training frames is kept back, by recording; --val '
                     '0.1 writes such a list')
    return notes


def train_command(summary: Summary) -> str:
    """The command that trains on the devkit."""
    root = os.path.relpath(summary.out) if summary.out.absolute().is_relative_to(Path.cwd()) else str(
        summary.out.absolute())
    call = call_of('train')
    return shlex.join([*(['python'] if call.endswith('.py') else []), *call.split(), CONFIG, '--data', root, '--from',
                       WEIGHTS])
