"""Report of a check: the problems of a devkit, of one image and of the whole, and the tables printed of them."""
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..errors import printable
from .box_matching import NO_SHIFT, Shift
from .layout import CORNERS


@dataclass(frozen=True)
class Problem:
    """What is wrong with one file.

    Attributes:
        file: Path below the devkit.
        kind: Heading under which it is counted.
        message: What is wrong.
        severity: ``'error'``, or ``'warning'`` for what may be meant so.
    """

    file: str
    kind: str
    message: str
    severity: str = 'error'

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

    def as_dict(self) -> dict:
        """Everything, ready for JSON."""
        counts = self.counts()
        compared = max(counts['boxes compared with their mask'], 1)
        return {
            'devkit': str(self.root),
            'counts': counts,
            'shifts': [{'box minus component': list(shift), 'boxes': boxes, 'share': boxes / compared}
                       for shift, boxes in self.shifts().most_common()],
            'splits': {split: len(names) for split, names in self.splits.items()},
            'errors': self.errors,
            'warnings': len(self.problems) - self.errors,
            'problems': [asdict(problem) for problem in self.problems],
        }


def print_summary(report: DevkitReport) -> None:
    """Print what was counted, how the boxes lie and how many problems there are of each kind, as tables."""
    console = Console()
    counts = Table('counted', title=escape(printable(report.root)))
    counts.add_column('number', justify='right')
    for what, number in report.counts().items():
        counts.add_row(what, f'{number:,}')
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
    kinds = Counter((problem.severity, problem.kind) for problem in report.problems)
    if not kinds:
        console.print('no problem found')
        return
    problems = Table('problem', 'severity')
    problems.add_column('number', justify='right')
    for (severity, kind), number in sorted(kinds.items()):
        problems.add_row(kind, severity, f'{number:,}')
    console.print(problems)
