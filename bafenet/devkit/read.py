"""Reading a devkit's box XML and split files, hardened once against any content.

Every problem is one line that names the file. What is read is bounded: in bytes, objects and depth.
"""
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple
from xml.parsers import expat

import numpy as np

from ..errors import InputError, first_line, printable
from ..reading import PathLike, open_file, read_bytes
from .layout import CORNERS

MAX_XML_BYTES, MAX_SPLIT_BYTES = 2**26, 2**24
MAX_OBJECTS, MAX_ELEMENTS, MAX_DEPTH, MAX_TEXT = 10_000, 500_000, 64, 1_000
MAX_NAME = 200
# Beyond it float32 cannot tell pixels apart; no image is so wide.
FARTHEST = 2.0**24

# --- Box XML ----------------------------------------------------------------------------------------------------------


class BoxObject(NamedTuple):
    """An object of an annotation, as far as its fields can be read.

    Attributes:
        name: Its class; None where it has none, or several.
        corners: ``(xmin, ymin, xmax, ymax)``, any float64 numbers, NaN and infinity included; None where there are not
            four of them.
        problem: Why ``corners`` is None; empty otherwise.
    """

    name: str | None
    corners: tuple[float, float, float, float] | None
    problem: str


class Annotation(NamedTuple):
    """What a VOC-style XML file says.

    Attributes:
        objects: Its objects, in order.
        filename: The image that it says it belongs to, if any.
        size: Width and height that it says the image has, as text; None without a ``size``.
    """

    objects: list[BoxObject]
    filename: str | None
    size: tuple[str, str] | None


class _Malformed(ValueError):
    """A file is well-formed XML and yet no annotation."""


class _AnnotationParser:
    """Collects the few fields of an annotation while the file streams through; no tree is built."""

    FIELDS = {('annotation', 'filename'), ('annotation', 'size'), ('annotation', 'size', 'width'),
              ('annotation', 'size', 'height'), ('annotation', 'object', 'name'),
              *(('annotation', 'object', 'bndbox', corner) for corner in CORNERS)}

    def __init__(self) -> None:
        self.head: dict[str, list[str]] = {}
        self.objects: list[dict[str, list[str]]] = []
        self._path: list[str] = []
        self._text: list[str] | None = None
        self._elements = 0
        self._parser = expat.ParserCreate(namespace_separator='}')
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._parser.StartElementHandler = self._start
        self._parser.CharacterDataHandler = self._characters
        self._parser.EndElementHandler = self._end

    def feed(self, data: bytes, last: bool) -> None:
        self._parser.Parse(data, last)

    def _doctype(self, *_) -> None:
        # Entities, which can stand for other files and for gigabytes, are declared in it and nowhere else.
        raise _Malformed('has a document type declaration, as web pages have and annotations have not')

    def _start(self, tag: str, _: dict[str, str]) -> None:
        self._elements += 1
        self._path.append(tag)
        if len(self._path) > MAX_DEPTH or self._elements > MAX_ELEMENTS:
            raise _Malformed(f'has elements nested more than {MAX_DEPTH} deep, or more than {MAX_ELEMENTS:,} of them')
        if self._path[0] != 'annotation':
            raise _Malformed(f'its root is {tag[:50]!r} and not \'annotation\'')
        if tag.rpartition('}')[2] == 'object':
            if self._path != ['annotation', 'object']:
                raise _Malformed('an object does not stand directly in the annotation')
            if len(self.objects) == MAX_OBJECTS:
                raise _Malformed(f'has more than {MAX_OBJECTS:,} objects')
            self.objects.append({})
        self._text = [] if tuple(self._path) in self.FIELDS else None

    def _characters(self, text: str) -> None:
        if self._text is not None:
            self._text.append(text)
            if sum(map(len, self._text)) > MAX_TEXT:
                raise _Malformed(f'a {self._path[-1]} has more than {MAX_TEXT:,} characters')

    def _end(self, tag: str) -> None:
        if tuple(self._path) in self.FIELDS:
            fields = self.objects[-1] if self._path[1] == 'object' else self.head
            fields.setdefault(tag, []).append(''.join(self._text or ()).strip())
        self._path.pop()
        self._text = None


def read_annotation(path: PathLike) -> Annotation:
    """Read a VOC-style XML file, at most 64 MiB and 10,000 objects.

    Raises:
        InputError: If the file as a whole is no annotation; a bad object is reported in itself.
    """
    parser, total = _AnnotationParser(), 0
    with open_file(path) as file:
        try:
            while data := file.read(2**16):
                total += len(data)
                if total > MAX_XML_BYTES:
                    raise _Malformed(f'is larger than {MAX_XML_BYTES >> 20} MiB')
                parser.feed(data, False)
            parser.feed(b'', True)
        except _Malformed as error:
            raise _no_annotation(path, printable(error)) from error
        # Beside the parser's own errors, those of the encoding that the file declares.
        except (expat.ExpatError, OSError, ValueError, LookupError) as error:
            raise _no_annotation(path, f'does not parse ({first_line(error)})') from error
    width, height = (parser.head.get(side, [''])[0] for side in ('width', 'height'))
    size = (width, height) if 'size' in parser.head else None
    return Annotation(list(map(_object, parser.objects)), parser.head.get('filename', [None])[0], size)


def _object(fields: dict[str, list[str]]) -> BoxObject:
    names = fields.get('name', [])
    name = names[0] if len(names) == 1 and names[0] else None
    corners = []
    for corner in CORNERS:
        texts = fields.get(corner, [])
        if len(texts) != 1:
            return BoxObject(name, None, f'{corner} stands {len(texts)} times' if texts else f'{corner} is missing')
        try:
            # Python's underscores and the digits of other scripts are no numbers here.
            corners.append(float(texts[0] if texts[0].isascii() and '_' not in texts[0] else ''))
        except ValueError:
            return BoxObject(name, None, f'{corner} is {printable(repr(texts[0][:50]))}' if texts[0] else
                             f'{corner} is empty')
    xmin, ymin, xmax, ymax = corners
    return BoxObject(name, (xmin, ymin, xmax, ymax), '')


def read_boxes(path: PathLike, classes: Sequence[str] | None = None, size: tuple[int, int] | None = None,
               whole: bool = False) -> tuple[list[str | None], np.ndarray]:
    """Boxes of a VOC-style XML file, all of them or an error.

    Args:
        path: XML file.
        classes: The class names that an object may have; None for any, or none.
        size: Width and height of the image in pixels, within which a box must lie; None to leave that
            to the caller.
        whole: Demand whole pixels.

    Returns:
        The n class names, and ``[xmin, ymin, xmax, ymax]`` in pixels, (n, 4) float64, as they stand in the file.

    Raises:
        InputError: If the file is no annotation, names another class, or a box has no area or lies outside the image.
    """
    objects = read_annotation(path).objects
    for number, item in enumerate(objects, 1):
        if item.corners is None:
            raise _no_annotation(path, f'object {number} has no box of four numbers: {item.problem}')
        if classes is None:
            continue
        if item.name is None:
            raise _no_annotation(path, f'object {number} has not one class name')
        if item.name not in classes:
            raise InputError(f'{printable(path)}: object {number} is of class {printable(repr(item.name[:50]))}, which '
                             f'is not among {tuple(classes)}; correct the file, or name the class in '
                             'metainfo.classes')
    corners = np.array([item.corners for item in objects], np.float64).reshape(-1, 4)
    if whole and not np.array_equal(corners, np.rint(corners)):
        raise _no_annotation(path, 'boxes must be whole pixels')
    if size is not None:
        _check_boxes(path, corners, size)
    return [item.name for item in objects], corners


def _check_boxes(path: PathLike, corners: np.ndarray, size: tuple[int, int]) -> None:
    width, height = size
    empty = without_area(corners)
    outside = ~((corners[:, :2] >= 0) & (corners[:, 2:] <= (width, height))).all(axis=1)
    for bad, what in ((empty, 'has no area'), (outside, f'lies outside the {width}x{height} image')):
        if bad.any():
            box = corners[bad.argmax()].tolist()
            raise InputError(f'{printable(path)}: box {box} {what}; correct the file (and check box_origin)')


def without_area(corners: np.ndarray) -> np.ndarray:
    """Which boxes (n, 4) have no area: (n,) bool, true where a number is NaN too."""
    # As networks see them, in float32, where a sliver of a pixel may have none.
    low, high = np.split(np.clip(corners, -FARTHEST, FARTHEST).astype(np.float32), 2, axis=1)
    return ~np.all(high > low, axis=1)


def _no_annotation(path: PathLike, reason: str) -> InputError:
    return InputError(f'{printable(path)}: not a VOC annotation: {reason}; write it again')


# --- Split files ------------------------------------------------------------------------------------------------------


def read_names(path: PathLike) -> list[str]:
    """Image names in a split file: one a line, without surrounding white space; blank lines are skipped.

    Args:
        path: Text file in UTF-8, with or without a byte order mark, of at most 16 MiB.

    Raises:
        InputError: If it is no such file, or holds something that is no plain name.
    """
    data = read_bytes(path, MAX_SPLIT_BYTES)
    if data.startswith((b'\xff\xfe', b'\xfe\xff')) or (b'\0' in data and len(data) % 2 == 0):
        raise _no_text(path, 'it seems to be UTF-16')
    try:
        text = data.decode('utf-8-sig')
    except UnicodeDecodeError as error:
        line = data.count(b'\n', 0, error.start) + 1
        raise _no_text(path, f'byte 0x{data[error.start]:02x} in line {line}') from error
    lines = (line.strip() for line in re.split('\r\n|\r|\n', text))
    names = [line for line in lines if line]
    bad = next((name for name in names if not is_plain_name(name)), None)
    if bad is not None:
        raise InputError(f'{printable(path)}: {printable(repr(bad[:80]))} is not an image name; give one name a line, '
                         'without folders or control characters')
    return names


def read_split(path: PathLike) -> list[str]:
    """:func:`read_names` of a split that must name images, none of them twice.

    Raises:
        InputError: If it does not, or is no split file.
    """
    names = read_names(path)
    if not names:
        raise InputError(f'{printable(path)}: the split names no image; write image names to it, one a line')
    twice = sorted(name for name, times in Counter(names).items() if times > 1)
    if twice:
        raise InputError(f'{printable(path)}: names an image more than once: {", ".join(twice[:5])}; correct the file')
    return names


def is_plain_name(name: str) -> bool:
    """Whether a name is that of a file in a folder, and can be shown: no separators, control or format characters."""
    return (0 < len(name) <= MAX_NAME and name not in ('.', '..') and not {'/', '\\'} & set(name)
            and not any(unicodedata.category(letter)[0] == 'C' or unicodedata.category(letter) in ('Zl', 'Zp')
                        for letter in name))


def _no_text(path: PathLike, reason: str) -> InputError:
    return InputError(f'{printable(path)}: cannot be read as text, for it is not a text file in UTF-8 ({reason}); save '
                      'it as UTF-8')
