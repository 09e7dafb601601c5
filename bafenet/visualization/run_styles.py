"""Styles of runs in a figure: colours for every eye, dashes, markers; names that are no formulas; saving a figure."""
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from bafenet.errors import InputError, printable
from bafenet.fileio import atomic_path, require_writable_file

# Okabe and Ito's colours without the yellow, which is pale on paper; dashes tell runs apart in grey print.
COLORS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#56B4E9', '#E69F00', '#000000')
DASHES: tuple[Any, ...] = ('-', '--', ':', '-.', (0, (6, 2, 1, 2, 1, 2)), (0, (1, 1)), (0, (9, 3)))
MARKERS = ('o', 's', '^', 'D', 'v', 'P', 'X', '*')
SUFFIXES = ('.png', '.svg', '.pdf')


def style(number: int) -> dict[str, Any]:
    """Colour, dashes and marker of a run, by its number from 0, as ``Axes.plot`` takes them."""
    return dict(color=COLORS[number % len(COLORS)], linestyle=DASHES[number % len(DASHES)],
                marker=MARKERS[number % len(MARKERS)])


def line_style(number: int) -> dict[str, Any]:
    """:func:`style` without the marker, for curves of many points."""
    return {**style(number), 'marker': ''}


def plain(text: Text, *lines: str) -> None:
    """Put lines into a text as they are: names are no formulas, whatever their dollar signs."""
    text.set_parse_math(False)
    text.set_text('\n'.join(map(printable, lines)))


def name_runs(axes: Axes | Figure, labels: Sequence[str], markers: bool = False, **options: Any) -> None:
    """Put a legend of the runs into a picture.

    matplotlib itself would leave out a label that begins with an underscore.

    Args:
        axes: The picture, or a whole figure.
        labels: Names of the runs, in the order of their styles; a line feed begins another line.
        markers: Show the markers, too.
        **options: Of ``Axes.legend``.
    """
    lines = [Line2D([], [], linewidth=1.5, **(style if markers else line_style)(number))
             for number in range(len(labels))]
    legend = axes.legend(lines, ['x'] * len(labels), **options)
    for text, label in zip(legend.get_texts(), labels, strict=True):
        plain(text, *label.split('\n'))


def require_labels(labels: Sequence[str] | None, names: Sequence[str]) -> list[str]:
    """The names of runs: those that are given, or those of their files or folders.

    Args:
        labels: What the user gave, or None.
        names: Paths of the runs.

    Raises:
        InputError: If labels and runs differ in number, or two runs have one label.
    """
    labels = list(labels or [Path(name).stem for name in names])
    if len(labels) != len(names):
        raise InputError(f'--labels: {len(labels)} for {len(names)} runs')
    if len(set(labels)) < len(labels):
        raise InputError(f'--labels: {", ".join(map(printable, labels))} are not all different; give each run a name '
                         'of its own')
    return labels


def require_picture_name(out: str) -> None:
    """Check the ``--out`` of a tool that writes a figure.

    Raises:
        InputError: If it is no ``.png``, ``.svg`` or ``.pdf``, or cannot be written.
    """
    if not out.lower().endswith(SUFFIXES):
        raise InputError(f'--out {printable(out)}: the file must end in {", ".join(SUFFIXES[:-1])} or {SUFFIXES[-1]}')
    require_writable_file(out, '--out')


def save_figure(figure: Figure, out: str, dpi: int = 110) -> None:
    """Write a figure atomically, in the format that the name says; the same figure gives the same bytes."""
    suffix = Path(out).suffix.lower()
    # No creation time, and no random names of SVG's parts.
    metadata = {'.svg': {'Date': None}, '.pdf': {'CreationDate': None}}.get(suffix, {})
    with atomic_path(out) as temporary, rc_context({'svg.hashsalt': 'bafenet'}):
        FigureCanvasAgg(figure).print_figure(temporary, dpi=dpi, format=suffix[1:], metadata=metadata)
