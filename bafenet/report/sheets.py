"""Contact sheets of the worst frames: what each shows, in words, and its picture where the size allows it."""
import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from bafenet.errors import InputError, printable
from bafenet.visualization import draw_overlay

from .collect import Run
from .frames import ALARMS, MISSES, SKY, Tallies, Tally, tally, worst
from .sources import Source, Sources

KINDS = {
    MISSES: ('Missed targets', 'The frames with the most targets that no detection finds.'),
    ALARMS: ('False alarms by score', 'The frames whose false alarms have the highest scores.'),
    SKY: ('Wrong sky', 'The frames with the largest share of pixels on the wrong side of the horizon.'),
}
_LONGEST_SIDE = 2000  # pixels of an embedded picture
_QUALITY = 80


@dataclass
class Card:
    """A frame of a contact sheet.

    Attributes:
        anchor: Its id in the page.
        name: The frame's name.
        facts: What went wrong, in words.
        alt: What the picture shows, in words.
        source: As a ``data:`` address; empty without a picture.
        size: Width and height of the picture.
        note: Why there is no picture, or where it is.
        see: The anchor of the card that has the same picture; empty for another.
    """

    anchor: str
    name: str
    facts: str
    alt: str = ''
    source: str = ''
    size: tuple[int, int] = (0, 0)
    note: str = ''
    see: str = ''


@dataclass
class Sheet:
    """Frames of a run that went wrong in one way."""

    kind: str
    title: str
    meaning: str
    cards: list[Card]
    tallies: list[Tally]


@dataclass
class RunSheets:
    """The contact sheets of a run.

    Attributes:
        run: The run.
        tallies: All its frames.
        sheets: One for each kind of mistake that there is.
        notes: What is not shown, and why.
    """

    run: Run
    tallies: Tallies
    sheets: list[Sheet]
    notes: list[str] = field(default_factory=list)


def make_sheets(run: Run, number: int, count: int, score: float | None = None) -> RunSheets | None:
    """The contact sheets of a run, without pictures; None where its results do not say what was found in each frame.

    Args:
        run: The run.
        number: Its number, for anchors.
        count: Frames on a sheet, at most.
        score: The lowest score of a detection that counts; None for the one at which F1 is highest.
    """
    tallies = tally(run, score)
    if tallies is None:
        return None
    sheets: list[Sheet] = []
    shown: dict[int, Card] = {}
    for kind, (title, meaning) in KINDS.items():
        chosen = worst(tallies, kind, count)
        cards = []
        for rank, one in enumerate(chosen):
            image = run.images[one.index]
            card = Card(f'run{number}-{kind}-{rank}', _name_of(image, one.index), _facts(one))
            first = shown.setdefault(one.index, card)
            if first is not card:
                card.see = first.anchor
            cards.append(card)
        if cards:
            sheets.append(Sheet(kind, title, meaning, cards, chosen))
    return RunSheets(run, tallies, sheets)


def _name_of(image: dict, index: int) -> str:
    return printable(image.get('img_id', f'frame {index}'))


def _facts(one: Tally) -> str:
    parts = [f'{one.missed} of {one.targets} targets missed' if one.targets else 'no target']
    if one.alarms:
        parts.append(f'{one.alarms} false alarm{"s" * (one.alarms > 1)} (highest score {one.highest_alarm:.2f})')
    else:
        parts.append('no false alarm')
    if one.sky_iou is not None:
        parts.append(f'sky IoU {one.sky_iou:.3f}')
    return ', '.join(parts)


# --- Pictures ---------------------------------------------------------------------------------------------------------


def add_pictures(all_sheets: Sequence[RunSheets], budget: int, folder: str | None = None,
                 predict_sky: bool = True) -> None:
    """Draw the frames of all sheets, the worst of each first, until the page is full; the others get a note.

    Args:
        all_sheets: The sheets of all runs.
        budget: Bytes that all pictures together may take in the page.
        folder: Where frames are looked for that are not where the results say.
        predict_sky: Whether to draw the predicted sky, for which the network runs.
    """
    sources = {id(one): Sources(one.run, folder, predict_sky) for one in all_sheets}
    left, lost, dropped = budget, {id(one): 0 for one in all_sheets}, {id(one): 0 for one in all_sheets}
    for one, card, index in _in_turn(all_sheets):
        image = one.run.images[index]
        try:
            source = sources[id(one)].read(image)
        except InputError as error:
            card.note = f'No picture: {printable(error)}.'
            lost[id(one)] += 1
            continue
        picture = _draw(source, image, one.tallies.threshold)
        data = _encode(picture)
        if len(data) > left:
            card.note = 'No picture: the report has reached its largest size.'
            dropped[id(one)] += 1
            continue
        left -= len(data)
        card.source, card.size = data, _fit(picture.shape[1], picture.shape[0])
        card.alt = _describe(card, source)
    for one in all_sheets:
        _send_to_pictures(one)
        one.notes += _notes(lost[id(one)], dropped[id(one)], folder, sources[id(one)].note)


def _send_to_pictures(one: RunSheets) -> None:
    """Say of a frame that stands there twice where its picture is, or why there is none."""
    first = {card.anchor: (card, sheet.title) for sheet in one.sheets for card in sheet.cards}
    for card in [card for sheet in one.sheets for card in sheet.cards if card.see]:
        shown, title = first[card.see]
        card.note = f'Shown above, among “{title}”.' if shown.source else shown.note
        card.see = card.see if shown.source else ''


def _notes(lost: int, dropped: int, folder: str | None, of_sources: str) -> Iterator[str]:
    if lost:
        yield (f'{lost} of the frames are not here as they were tested'
               + (', nor in the folder of --frames.' if folder else '; --frames FOLDER says where they are.'))
    if dropped:
        yield (f'{dropped} pictures were left out, because the report has reached its largest size: fewer by '
               '--worst, or a larger --max-mb.')
    if of_sources:
        yield printable(of_sources)


def _in_turn(all_sheets: Sequence[RunSheets]) -> Iterator[tuple[RunSheets, Card, int]]:
    """Cards that have a picture of their own: the worst of each sheet of each run, then the second worst, and so on."""
    longest = max((len(sheet.cards) for one in all_sheets for sheet in one.sheets), default=0)
    for rank in range(longest):
        for one in all_sheets:
            for sheet in one.sheets:
                if rank < len(sheet.cards) and not sheet.cards[rank].see:
                    yield one, sheet.cards[rank], sheet.tallies[rank].index


def _draw(source: Source, image: dict, threshold: float) -> np.ndarray:
    boxes, true_boxes = (np.array(image[key], float).reshape(-1, 4) for key in ('boxes', 'gt_boxes'))
    return draw_overlay(source.image, true_boxes=true_boxes, boxes=boxes, scores=np.array(image['scores'], float),
                        true_sky=source.true_sky, sky=source.sky, min_score=threshold)


def _fit(width: int, height: int) -> tuple[int, int]:
    scale = min(1, _LONGEST_SIDE / max(width, height))
    return max(round(width * scale), 1), max(round(height * scale), 1)


def _encode(picture: np.ndarray) -> str:
    """A picture as a ``data:`` address."""
    image = Image.fromarray(picture)
    size = _fit(*image.size)
    if size != image.size:
        image = image.resize(size, Image.Resampling.LANCZOS)
    out = io.BytesIO()
    image.save(out, 'WEBP', quality=_QUALITY, method=4)
    return data_address('image/webp', out.getvalue())


def data_address(kind: str, data: bytes) -> str:
    """Data as an address that stands in the page itself."""
    return f'data:{kind};base64,{base64.b64encode(data).decode()}'


def _describe(card: Card, source: Source) -> str:
    height, width = source.image.shape
    sky = [text for text, known in (('the true sky', source.true_sky), ('the predicted sky', source.sky))
           if known is not None]
    outlined = f', {" and ".join(sky)} outlined' if sky else ''
    return (f'Frame {card.name}, {width} by {height} pixels: true and found boxes with enlarged insets{outlined}. '
            f'{card.facts}.')
