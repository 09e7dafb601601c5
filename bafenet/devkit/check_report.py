"""Report of a check: the problems of a devkit, of one image and of the whole, and the tables printed of them."""
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..errors import printable
from .box_matching import NO_SHIFT, Shift
from .layout import CORNERS, SUFFIXES

MOST_CLASSES = 20
_SHOWN = 3


@dataclass(frozen=True)
class Problem:
    """What is wrong with one file.

    Attributes:
        file: Path below the devkit.
        kind: Heading under which it is counted.
        message: What is wrong.
        severity: ``'error'``, or ``'warning'`` for what may be meant so.
        files: Of a warning that many files of a folder share, these files; ``file`` is then the folder.
    """

    file: str
    kind: str
    message: str
    severity: str = 'error'
    files: tuple[str, ...] = ()

    def __str__(self) -> str:
        return printable(f'{self.file}: {"warning: " if self.severity == "warning" else ""}{self.message}')


@dataclass
class ImageReport:
    """What the files of one image say.

    Attributes:
        name: Image name.
        problems: What is wrong with its files.
        boxes: Number of readable boxes.
        compared: Whether the boxes could be compared with a target mask.
        components: Number of 8-connected components of the target mask.
        shifts: For each box that belongs to a component, box minus the component's extent, corner by corner.
        corrections: For each object of the XML (0-based) whose box is another than its component, the right box.
        digest: Digest of the image's pixels; None where it does not decode.
        sky_values: The values in its sky map, the palette.
        classes: How many of its objects are of each class.
        deep: Whether it has more than 8 bits a channel.
    """

    name: str
    problems: list[Problem] = field(default_factory=list)
    boxes: int = 0
    compared: bool = False
    components: int = 0
    shifts: list[Shift] = field(default_factory=list)
    corrections: dict[int, list[int]] = field(default_factory=dict)
    digest: str | None = None
    sky_values: frozenset[int] = frozenset()
    classes: Counter[str] = field(default_factory=Counter)
    deep: bool = False


@dataclass
class DevkitReport:
    """What a whole devkit says.

    Attributes:
        root: The devkit.
        images: Report of each image, by name.
        problems: All problems, those of images included, ordered by file.
        splits: Names in each split file.
    """

    root: Path
    images: list[ImageReport]
    problems: list[Problem]
    splits: dict[str, list[str]]

    @property
    def errors(self) -> int:
        """Number of problems that are not mere warnings."""
        return sum(problem.severity == 'error' for problem in self.problems)

    def counts(self) -> dict[str, int]:
        """Numbers of images, boxes and components, and how the boxes lie on their components."""
        shifts = self.shifts()
        compared = sum(image.boxes for image in self.images if image.compared)
        matched = sum(shifts.values())
        return {
            'images': len(self.images),
            'images of more than 8 bits': sum(image.deep for image in self.images),
            'targets': sum(image.boxes for image in self.images),
            'mask components': sum(image.components for image in self.images),
            'boxes compared with their mask': compared,
            'boxes equal to their component': shifts[NO_SHIFT],
            'boxes that differ from their component': matched - shifts[NO_SHIFT],
            'boxes without a component': compared - matched,
        }

    def shifts(self) -> 'Counter[Shift]':
        """How often box minus component is what, over the boxes that belong to a component."""
        return Counter(shift for image in self.images for shift in image.shifts)

    def classes(self) -> dict[str, int]:
        """Objects of each class, the most frequent first."""
        total: Counter[str] = sum((image.classes for image in self.images), Counter())
        return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))

    def as_dict(self) -> dict:
        """Everything, ready for JSON."""
        counts = self.counts()
        compared = max(counts['boxes compared with their mask'], 1)
        return {
            'devkit': str(self.root),
            'counts': counts,
            'classes': self.classes(),
            'shifts': [{'box minus component': list(shift), 'boxes': boxes, 'share': boxes / compared}
                       for shift, boxes in self.shifts().most_common()],
            'splits': {split: len(names) for split, names in self.splits.items()},
            'errors': self.errors,
            'warnings': len(self.problems) - self.errors,
            'problems': [asdict(problem) for problem in self.problems],
        }


def gather(problems: Iterable[Problem]) -> list[Problem]:
    """Warnings that several files of a folder share, as one each; errors stay one by one."""
    kept: list[Problem] = []
    groups: dict[tuple[str, ...], list[Problem]] = {}
    for problem in problems:
        folder = problem.file.rpartition('/')[0]
        if problem.severity == 'warning' and folder in SUFFIXES:
            groups.setdefault((folder, problem.kind, problem.message), []).append(problem)
        else:
            kept.append(problem)
    return kept + [group[0] if len(group) == 1 else _together(group) for group in groups.values()]


def _together(group: Sequence[Problem]) -> Problem:
    folder = group[0].file.rpartition('/')[0]
    files = tuple(problem.file for problem in group)
    some = ', '.join(file.removeprefix(f'{folder}/') for file in files[:_SHOWN])
    message = f'{group[0].message}: {len(files):,} files ({some}{", …" if len(files) > _SHOWN else ""})'
    return Problem(folder, group[0].kind, message, 'warning', files)


def print_summary(report: DevkitReport) -> None:
    """Print what was counted, how the boxes lie and how many problems there are of each kind, as tables."""
    console = Console()
    counts = Table('counted', title=escape(printable(report.root)))
    counts.add_column('number', justify='right')
    for what, number in report.counts().items():
        counts.add_row(what, f'{number:,}')
    classes = list(report.classes().items())
    for name, number in classes[:MOST_CLASSES]:
        counts.add_row(escape(printable(f'class {name}')), f'{number:,}')
    if len(classes) > MOST_CLASSES:
        counts.add_row(f'{len(classes) - MOST_CLASSES} more classes',
                       f'{sum(number for _, number in classes[MOST_CLASSES:]):,}')
    for split, names in report.splits.items():
        counts.add_row(escape(printable(f'split {split}')), f'{len(names):,}')
    console.print(counts)
    compared = max(report.counts()['boxes compared with their mask'], 1)
    shifts = Table('box minus mask component: ' + ', '.join(CORNERS))
    shifts.add_column('boxes', justify='right')
    shifts.add_column('share', justify='right')
    for shift, boxes in report.shifts().most_common():
        shifts.add_row(', '.join(f'{number:+g}' if number else '0' for number in shift), f'{boxes:,}',
                       f'{boxes / compared:.2%}')
    console.print(shifts)
    kinds: Counter[tuple[str, str]] = Counter()
    for problem in report.problems:
        kinds[problem.severity, problem.kind] += max(len(problem.files), 1)
    if not kinds:
        console.print('no problem found')
        return
    problems = Table('problem', 'severity')
    problems.add_column('number', justify='right')
    for (severity, kind), number in sorted(kinds.items()):
        problems.add_row(kind, severity, f'{number:,}')
    console.print(problems)
