"""Summary of a conversion: frames, targets, sizes, what was left out or renamed, what check finds, how to train."""
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
from ..check import FOLDER_ABSENT, check_devkit
from ..images import any_sky
from ..layout import SKY_PALETTE, file_below
from ..validation_split import FEWEST
from .frame import Record
from .source import TEST, TRAIN, VAL, Note

CONFIG, WEIGHTS = 'configs/bafenet/bafenet_hr_tiny_densesirst.py', 'bafenet_hr_tiny'
_SHOWN = 3  # of each kind, and of the image sizes
_SHOWN_CLASSES = 10
_STEPS = 'train_dataloader.dataset.pipeline'


@dataclass
class Training:
    """What is there to train on: the training split, or where there is none all frames that no other list names.

    Attributes:
        frames: Frames.
        labelled: Those with targets.
        pastes: Whether one of them has a sky map with sky, which BAG-CP pastes into.
    """

    frames: int
    labelled: int
    pastes: bool


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
        training: What is there to train on.
        unused: Classes that the source names and no target has.
        renamed: Name in the source and in the devkit of each frame that is called otherwise.
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
    training: Training
    unused: list[str]
    renamed: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """All but the targets' sides, ready for JSON."""
        apart = ('out', 'sides', 'renamed')
        plain = {key: value for key, value in vars(self).items() if key not in apart}
        return dict(plain, renamed=len(self.renamed), training=vars(self.training),
                    notes=[note._asdict() for note in self.notes], skipped=[note._asdict() for note in self.skipped])


def summarize(out: Path, facts: list[str], notes: list[Note], written: Sequence[Record], skipped: Sequence[Record],
              splits: dict[str, list[str]], named: Sequence[str] = ()) -> Summary:
    """Count what the records of a conversion say; ``named`` are the classes that the source names."""
    targets = {record['name']: sum(record['classes'].values()) for record in written}
    classes: Counter[str] = Counter()
    for record in written:
        classes.update(record['classes'])
    held = {name for role in (VAL, TEST) for name in splits.get(role, ())}
    trained = set(splits[TRAIN]) if TRAIN in splits else targets.keys() - held
    sky_maps = [out / file_below(SKY_PALETTE, record['name']) for record in written
                if record['sky'] and record['name'] in trained]
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
        splits={role: (len(names), sum(map(targets.__getitem__, names))) for role, names in splits.items()},
        training=Training(len(trained), sum(targets[name] > 0 for name in trained), any_sky(sky_maps)),
        unused=[name for name in dict.fromkeys(named) if name not in classes],
        renamed={record['key']: record['name'] for record in written
                 if record['key'].rpartition('/')[2] != record['name']})


def print_summary(summary: Summary, workers: int = 1) -> None:
    """Print it, what ``check`` finds, and the command that trains on it, or what that lacks."""
    lines = [f'{printable(summary.out)}: {summary.images} frames ({summary.empty} without targets), '
             f'{sum(summary.targets.values())} targets: '
             f'{", ".join(f"{printable(name)} {count}" for name, count in summary.targets.items()) or "none"}']
    if summary.unused:
        more = len(summary.unused) - _SHOWN_CLASSES
        lines.append(f'classes without a target: {printable(", ".join(summary.unused[:_SHOWN_CLASSES]))}'
                     f'{f" and {more} more" if more > 0 else ""}; no network is taught them')
    lines += [*_sizes(summary), *map(printable, summary.facts)]
    lines += [f'{role}_v2: {images} frames, {targets} targets' for role, (images, targets) in summary.splits.items()]
    lines += _noted(summary)
    print('\n'.join(lines))
    print('\n'.join(_checked(summary, workers)))
    missing = lacks_to_train(summary)
    if missing:
        print(f'not enough to train on: {missing}')
        return
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
                     'lowest and highest where no --range is given, but for pixels far beyond all others')
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
    lines += ['all of them are in convert.json'] if lines else []
    if summary.renamed:
        shown = '; '.join(f'{printable(key)} → {printable(name)}'
                          for key, name in list(summary.renamed.items())[:_SHOWN])
        lines.append(f'names changed: {len(summary.renamed)} of {summary.images} frames ({shown}'
                     f'{"; …" if len(summary.renamed) > _SHOWN else ""}); convert.json lists all under "frames"')
    other = 'else ' if summary.renamed or summary.spread else ''
    return lines if summary.skipped or summary.notes else [*lines, f'nothing {other}was left out or changed']


def _checked(summary: Summary, workers: int) -> list[str]:
    """What ``check`` finds, by kind; folders that nobody needs are no warning here."""
    report = check_devkit(summary.out, workers)
    kinds: dict[tuple[str, str], list] = {}
    absent = []
    for problem in report.problems:
        if problem.kind == FOLDER_ABSENT and problem.severity == 'warning':
            absent.append(problem.file)
        else:
            kinds.setdefault((problem.severity, problem.kind), []).append(problem)
    lines = [f'check: {report.errors} errors, {len(report.problems) - report.errors - len(absent)} warnings']
    for (severity, kind), problems in sorted(kinds.items()):
        first, number = problems[0], sum(max(len(problem.files), 1) for problem in problems)
        lines.append(f'  {severity}: {kind}: {number} ({"first: " if len(problems) > 1 else ""}'
                     f'{printable(f"{first.file}: {first.message}")})')
    return lines + ([f'  optional folders absent: {", ".join(absent)}'] if absent else [])


# --- Training ---------------------------------------------------------------------------------------------------------


def training_notes(summary: Summary) -> list[str]:
    """What training does with a devkit that is not complete, in plain words; it needs nothing more than boxes."""
    notes, lacking = [], summary.images - summary.sky
    if lacking:
        notes.append(('no frame has a sky map: the network learns targets; its sky branch is not taught, and what it '
                      'knows fades slowly, as the features that it shares change' if not summary.sky else
                      f'{lacking} of {summary.images} frames have no sky map: targets are learned from all, the sky '
                      'from those that have one')
                     + '; maps of your own come by --sky, and the tool pseudo_sky has a network draw some')
    if not summary.training.pastes:
        notes.append('BAG-CP pastes nothing, for it pastes into the sky and no training frame has a map of it; give '
                     f'sky maps, or have it paste anywhere by --cfg-options {_STEPS}.BAGCopyPaste.background=any')
    elif summary.masks < summary.images:
        notes.append('BAG-CP cuts its targets by their boxes where there is no target mask')
    deep = sum(count for bits, count in summary.bits.items() if int(bits) > 8)
    if deep:
        notes.append(f'{deep} frames of 16 bits are brought to 8, each by its own percentiles; a fixed range for all '
                     f'is set by --cfg-options "{_STEPS}.LoadInfraredImage.value_range=(LOW,HIGH)" and by the same of '
                     'val_dataloader and test_dataloader')
    if TRAIN not in summary.splits:
        notes.append('there is no training split: all frames that no other split names are trained on; lists of your '
                     'own come by --splits')
    if not _validates(summary):
        drawn = TRAIN not in summary.splits or any(fact.startswith('splits: drawn') for fact in summary.facts)
        notes.append('there is no validation split: a tenth of the training frames is kept back, whole recordings '
                     'where there are enough of them, else frames that follow each other'
                     + ('' if drawn else '; --val 0.1 writes a list of recordings'))
    return notes


def _validates(summary: Summary) -> bool:
    """Whether there is a validation split, which training takes."""
    return VAL in summary.splits


def lacks_to_train(summary: Summary) -> str | None:
    """What is missing before a training can start, in a line; None where nothing is."""
    labelled, without = summary.training.labelled, 'or train without a validation by --trainval'
    of = f'of {summary.training.frames} training frames'
    if not summary.training.frames:
        return 'its lists name no frame to train on; to test on, they are enough'
    if not labelled:
        return f'none {of} has a target; label some'
    if _validates(summary):
        frames, targets = summary.splits[VAL]
        return None if targets else (f'none of the {frames} frames of val_v2 has a target, so no epoch can be picked; '
                                     f'put labelled frames there, {without}')
    return None if labelled >= FEWEST else (
        f'{labelled} {of} has targets, and a second one is needed to validate on; label it, {without}')


def train_command(summary: Summary) -> str:
    """The command that trains on the devkit."""
    root = os.path.relpath(summary.out) if summary.out.absolute().is_relative_to(Path.cwd()) else str(
        summary.out.absolute())
    call = call_of('train')
    return shlex.join([*(['python'] if call.endswith('.py') else []), *call.split(), CONFIG, '--data', root, '--from',
                       WEIGHTS])
