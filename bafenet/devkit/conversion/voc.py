"""Pascal VOC XML as labels: boxes of one file an image, 0- or 1-based, set right by masks where there are some."""
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from ...errors import InputError, printable
from ..box_matching import component_boxes
from ..decode import read_header
from ..read import Annotation, read_annotation
from .box_convention import CONVENTIONS, Convention, find_convention
from .files import MASK_ENDINGS, FileIndex, is_frame, keys_of, list_files, one_suffix_each, shown_path
from .masks import one_each, read_target_mask
from .source import Labels, Note, Size, Source, SourceFrame, class_name, no_labels
from .splits import given_splits

# Folders of a VOC devkit whose images are masks of other kinds.
NO_FRAMES = ('SegmentationClass', 'SegmentationObject', 'SegmentationClassRaw')
_MOST_MASKS = 200  # that are read to find out how pixels are counted


def read_voc(root: Path, images: str | None = None, labels: str | None = None, masks: str | None = None,
             threshold: float | None = None, splits: str | None = None, origin: int | None = None,
             ends: str | None = None, apart: Collection[Path] = ()) -> Source:
    """Read a folder of images and VOC-style XML files.

    Args:
        root: The folder.
        images: Folder of the images.
        labels: Folder of the XML files.
        masks: Folder of target masks, which tell how the XML files count pixels.
        threshold: Of the masks, see :func:`read_target_mask`.
        splits: See :func:`given_splits`.
        origin: What the first pixel is called, 0 or 1; None finds it out.
        ends: ``'inclusive'`` or ``'exclusive'``; None finds it out.
        apart: Files and folders that hold no frames: sky maps.

    Raises:
        InputError: If there are no images or no XML files.
    """
    mask_files = [] if masks is None else [file for file in list_files(root, masks) if is_frame(file)]
    apart = {*apart, *mask_files}
    frames, notes = one_suffix_each(root, [file for file in list_files(root, images, apart) if is_frame(file)
                                           and file.parent.name not in NO_FRAMES])
    xmls = [file for file in list_files(root, labels) if file.suffix.lower() == '.xml']
    return with_xml(root, frames, xmls, mask_files, notes, threshold, splits, origin, ends)


def with_xml(root: Path, images: Sequence[Path], xmls: Sequence[Path], masks: Sequence[Path], notes: list[Note],
             threshold: float | None, splits: str | None, origin: int | None, ends: str | None,
             split_files: Sequence[Path] | None = None) -> Source:
    """A source of images, XML files and perhaps masks, matched by name."""
    for files, what, option in ((images, 'image', '--images'), (xmls, 'XML file', '--labels')):
        if not files:
            raise InputError(f'{printable(root)}: no {what}; name their folder by {option}')
    keys, label_of = keys_of(root, images), _match(root, images, xmls, notes)
    index = FileIndex(masks, MASK_ENDINGS)
    mask_of = one_each(root, index, images, 'mask', notes) if masks else {}
    convention, reason = _convention(root, images, label_of, mask_of, threshold, origin, ends)
    frames = []
    for image, key in zip(images, keys, strict=True):
        xml, mask = label_of.get(image), mask_of.get(image)
        read = partial(read_voc_labels, xml, mask, convention, threshold) if xml or mask else partial(
            no_labels, masks=bool(masks))
        frames.append(SourceFrame(image, key, read, tuple(file for file in (xml, mask) if file is not None)))
    found, facts = given_splits(root, images, keys, splits, notes, split_files)
    return Source(frames, found, [f'boxes: {convention} ({reason})', *facts], notes)


def _match(root: Path, images: Sequence[Path], xmls: Sequence[Path], notes: list[Note]) -> dict[Path, Path]:
    """The XML file of each image, by its name; one whose name fits none is asked which file it belongs to."""
    missing: list[Note] = []
    found_by_name = one_each(root, FileIndex(xmls), images, 'XML file', missing)
    label_of = {image: xml for image, xml in found_by_name.items() if xml is not None}
    left = set(xmls) - set(label_of.values())
    by_image = FileIndex([image for image in images if image not in label_of])
    for xml in sorted(left):
        try:
            filename = read_annotation(xml).filename
        except InputError:
            filename = None
        name = (filename or '').replace('\\', '/').rpartition('/')[2]
        found = by_image.find(xml.parent / name) if name else []
        if len(found) == 1 and found[0] not in label_of:
            label_of[found[0]] = xml
        else:
            notes.append(Note(shown_path(root, xml), 'label without an image', 'left out'))
    if not label_of:
        raise InputError(f'{printable(root)}: no XML file goes with an image, by its name or the filename in it, as '
                         f'{shown_path(root, xmls[0])} with {shown_path(root, images[0])}; name their folders by '
                         '--images and --labels')
    labelled = {shown_path(root, image) for image in label_of}
    notes += [note for note in missing if note.file not in labelled]
    return label_of


def _convention(root: Path, images: Sequence[Path], label_of: dict[Path, Path], mask_of: dict[Path, Path | None],
                threshold: float | None, origin: int | None, ends: str | None) -> tuple[Convention, str]:
    """How the XML files count pixels; files that cannot be read are noted later, when they are converted."""
    corners = {}
    for image in images:
        try:
            objects = read_annotation(label_of[image]).objects if image in label_of else []
        except InputError:
            continue
        boxes = np.array([item.corners for item in objects if item.corners is not None]).reshape(-1, 4)
        corners[image] = boxes[np.isfinite(boxes).all(axis=1)]
    both = [image for image in corners if mask_of.get(image) is not None and len(corners[image])]
    chosen = both[::max(len(both) // _MOST_MASKS, 1)]

    def on_masks() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for image in chosen:
            mask = mask_of[image]
            try:
                header = read_header(image)
                if mask is not None:
                    read, _ = read_target_mask(mask, threshold, (header.width, header.height))
                    yield corners[image], component_boxes(read)
            except InputError:
                continue

    return find_convention(origin, ends, list(corners.values()), on_masks())


def read_voc_labels(xml: Path | None, mask: Path | None, convention: Convention, threshold: float | None,
                    size: Size) -> Labels:
    """The labels of an XML file.

    Where there is a mask, a box that is exactly one of its components under another convention is taken so: files of
    SIRST-V2 and DenseSIRST mix two.

    Raises:
        InputError: If a file is damaged, or of another image size.
    """
    annotation = Annotation([], None, None) if xml is None else read_annotation(xml)
    stated = annotation.size
    if stated is not None and _numbers(stated) not in (size, (0, 0)) and stated != ('', ''):
        raise InputError(f'{printable(xml)}: says that the image is {printable("x".join(stated))[:40]}, and it is '
                         f'{size[0]}x{size[1]}; its boxes may be of another image')
    notes = [('box without four numbers', f'object {number}: {item.problem}: left out')
             for number, item in enumerate(annotation.objects, 1) if item.corners is None]
    objects = [item for item in annotation.objects if item.corners is not None]
    notes += [('object without a class', f'object {number}: called Target')
              for number, item in enumerate(objects, 1) if not item.name]
    corners = np.array([item.corners for item in objects], np.float64).reshape(-1, 4)
    labels = Labels([class_name(item.name) for item in objects], convention.to_devkit(corners), None, notes)
    if mask is not None:
        labels.mask, more = read_target_mask(mask, threshold, size)
        labels.notes += more
        if xml is None:
            labels.notes.append(('mask without an XML file', 'its components are its boxes, of class Target'))
            labels.boxes = component_boxes(labels.mask).astype(np.float64)
            labels.names = [class_name(None)] * len(labels.boxes)
        else:
            _set_on_mask(labels, corners)
    return labels


def _numbers(texts: tuple[str, str]) -> tuple[float, ...]:
    """What two texts say, as 640 and 640.0; nothing where one is no number."""
    try:
        return tuple(map(float, texts))
    except ValueError:
        return ()


def _set_on_mask(labels: Labels, corners: np.ndarray) -> None:
    """Take those boxes by another convention that are so, and only so, exactly a component of the mask."""
    assert labels.mask is not None
    extents = set(map(tuple, component_boxes(labels.mask).tolist()))
    fits = [tuple(box) in extents for box in labels.boxes.tolist()]
    for other in CONVENTIONS:
        moved = other.to_devkit(corners)
        for index, box in enumerate(moved.tolist()):
            if not fits[index] and tuple(box) in extents:
                labels.boxes[index], fits[index] = moved[index], True
                labels.notes.append(('box moved onto its mask', f'object {index + 1}: {other}'))
