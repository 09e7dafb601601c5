"""Write the report: collect the runs, make its parts, and keep it below its largest size."""
from collections.abc import Sequence
from typing import Any

from bafenet._version import __version__
from bafenet.engine.provenance import commit
from bafenet.errors import InputError, printable
from bafenet.evaluation.class_keys import class_columns, class_text
from bafenet.evaluation.report import FOUND, PIXEL_ROWS, WITHOUT_SIDES
from bafenet.fileio import require_writable_file, write_bytes

from .collect import Run, collect
from .figures import detection_part, training_part
from .numbers import ACCURACY, LEGACY_SIDES, MetricRow, class_rows, columns_of, metric_rows, notes_on
from .page import render
from .runs import differences, facts_of
from .sheets import RunSheets, add_pictures, make_sheets

# Bytes of notes and sizes of pictures, which are not there yet when the rest is measured.
_RESERVE_PER_CARD = 700
INTRO = ('A target is missed, and a false alarm is one, at IoU 0.5 and at the score given with each run. Boxes of the '
         'pictures have at least that score.')


def write_report(places: Sequence[str], out: str, labels: Sequence[str] | None = None, title: str = 'BAFE-Net runs',
                 worst: int = 6, score: float | None = None, frames: str | None = None, predict_sky: bool = True,
                 max_mb: float = 10) -> dict[str, Any]:
    """Write one HTML file about runs that needs no other file and no network; the same runs give the same bytes.

    Args:
        places: Work dirs of train.py or test.py, or files of ``tools/test.py --out``.
        out: The file, ``.html``.
        labels: Names of the places in the report; by default those of their folders or files.
        title: Heading of the report.
        worst: Frames in each contact sheet, at most; 0 for none.
        score: The lowest score that counts on the sheets; None for the one at which each run's F1 is highest.
        frames: Folder where frames are looked for that are not where the results say.
        predict_sky: Run the network on the frames of the sheets to draw the sky that it predicts.
        max_mb: Largest size of the file, in units of 10^6 bytes; pictures that do not fit are left out, with a note.

    Returns:
        ``bytes``, ``runs``, ``pictures`` and ``without``, the frames of the sheets that have no picture, as numbers;
        ``damaged``, a line for each results file of a work dir that is left out because it cannot be read.

    Raises:
        InputError: If a place holds no run, a file is spoiled, the output cannot be written, or the report is larger
            without any picture.
    """
    if not out.endswith('.html'):
        raise InputError(f'--out {printable(out)}: the file must end in .html')
    require_writable_file(out, '--out')
    runs = collect(places, labels)
    sheets = [one for number, run in enumerate(runs, 1) if worst
              and (one := make_sheets(run, number, worst, score)) is not None]
    content = _content(runs, title, score, frames)
    bare = len(render(**content, sheets=_sheets(sheets)).encode())
    cards = [card for one in sheets for sheet in one.sheets for card in sheet.cards]
    limit = round(max_mb * 10**6)
    budget = limit - bare - _RESERVE_PER_CARD * len(cards)
    if bare > limit:
        raise InputError(f'--max-mb {max_mb:g}: the report takes {bare / 10**6:.1f} MB without a picture of a frame; '
                         'give fewer runs, or a larger --max-mb')
    add_pictures(sheets, budget, frames, predict_sky)
    page = render(**content, sheets=_sheets(sheets)).encode()
    assert len(page) <= limit
    write_bytes(out, page)
    return dict(bytes=len(page), runs=len(runs), pictures=sum(bool(card.source) for card in cards),
                without=sum(not card.source and not card.see for card in cards),
                damaged=list(dict.fromkeys(line for run in runs for line in run.damaged)))


def _content(runs: Sequence[Run], title: str, score: float | None, frames: str | None) -> dict[str, Any]:
    """All of the page but the worst frames."""
    rows = metric_rows(runs)
    table, notes = differences(runs)
    content = dict(
        title=title, subtitle=f'{len(runs)} run{"s" * (len(runs) > 1)}: {", ".join(run.label for run in runs)}',
        metrics=_metrics_tables(rows), metrics_notes=notes_on(rows),
        runs=[dict(number=number, label=run.label, facts=facts_of(run), notes=run.notes, config_text=run.config_text)
              for number, run in enumerate(runs, 1)],
        differences=table, differences_notes=notes,
        training=training_part(runs), detection=detection_part(runs, score, frames), frames_intro=INTRO,
        footer=f'Made by bafenet {__version__}' + (f', commit {code}' if (code := commit()) else '')
               + '. This file is whole: it asks nothing of any network.')
    parts = [('metrics', 'Metrics', True), ('runs', 'Runs', True), ('differences', 'Differences', table),
             ('training', 'Training', content['training']), ('detection', 'Detection curves', content['detection']),
             ('frames', 'Worst frames', any('gt_boxes' in image for run in runs for image in run.images))]
    return dict(content, sections=[(key, name) for key, name, there in parts if there])


def _metrics_tables(rows: Sequence[MetricRow]) -> list[tuple[str, dict[str, Any]]]:
    """Captions and tables of metrics for the template: one of all columns is wider than a screen."""
    columns = columns_of(rows)
    accuracy = {key: text for key, text in columns.items() if key in ACCURACY}
    found = {key: text for key, text in columns.items() if key in FOUND}
    of_masks = {key: text for key, text in columns.items() if key in PIXEL_ROWS}
    others = {key: text for key, text in columns.items() if key not in ACCURACY | FOUND | PIXEL_ROWS.keys()}
    of_classes = class_rows(rows)
    return [(caption, _metrics_table(having, own)) for caption, own, all_rows in (
        ('Accuracy of each run, and the paper’s', accuracy, rows),
        ('Each class of each run', class_columns(row.values for row in of_classes), of_classes),
        ('False alarms and sky of each run', others, rows),
        ('Targets found by their centres, in each run', found, rows),
        ('Target masks of each run, and the papers’', of_masks, rows))
        if (having := [row for row in all_rows if set(own) & set(row.values)])]


def _metrics_table(rows: Sequence[MetricRow], columns: dict[str, str]) -> dict[str, Any]:
    """A table of some of the metrics."""
    return dict(
        columns=['Run', 'Tested on', 'Sides of boxes', *columns.values()],
        rows=[dict(name=row.label, kind=row.kind, cells=[
            text_cell(row.tested_on), text_cell(row.sides), *(_metric_cell(row, key) for key in columns)])
            for row in rows])


def _metric_cell(row: MetricRow, key: str) -> dict[str, Any]:
    if key not in row.values:
        return text_cell('')
    mark = LEGACY_SIDES if row.sides == LEGACY_SIDES and key not in (*WITHOUT_SIDES, 'targets') else ''
    return dict(text=row.cells.get(key, class_text(key, row.values[key])), value=row.values[key], mark=mark)


def text_cell(text: str) -> dict[str, Any]:
    """A cell of a table that holds no number."""
    return dict(text=text, value=None, mark='')


def _sheets(all_sheets: Sequence[RunSheets]) -> list[dict[str, Any]]:
    """The contact sheets for the template."""
    return [dict(label=one.run.label, summary=_summary(one), notes=one.notes, sheets=one.sheets) for one in all_sheets]


def _summary(one: RunSheets) -> str:
    frames = one.tallies.frames
    missed, targets, alarms = (sum(values) for values in zip(
        *((frame.missed, frame.targets, frame.alarms) for frame in frames), strict=True))
    sides = ', sides x2 − x1 + 1 (in the pictures x2 − x1)' if one.tallies.legacy else ''
    return (f'{len(frames)} frames, scores ≥ {one.tallies.threshold:.3f}{sides}: {missed} of {targets} targets missed, '
            f'{alarms} false alarms.' + ('' if one.sheets else ' Nothing went wrong.'))
