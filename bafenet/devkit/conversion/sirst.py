"""SIRST data sets as their authors distribute them: NUDT-SIRST, IRSTD-1k, SIRST v1 and v2, and a SIRSTdevkit itself."""
from pathlib import Path
from typing import NamedTuple

from ...errors import InputError, printable
from ..layout import BOXES, IMAGES, SIRST_V2, SKY_PALETTE, TARGET_BINARY, TARGET_PALETTE
from .box_convention import EXCLUSIVE
from .files import is_frame, list_files, one_suffix_each
from .masks import with_masks
from .source import Source
from .voc import with_xml


class SirstLayout(NamedTuple):
    """Where a data set keeps its files.

    Attributes:
        name: What it is called.
        images: Folder of the images.
        masks: Folders of target masks; the first that exists counts.
        boxes: Folder of VOC-style XML files, or None: then the components of the masks are the boxes.
    """

    name: str
    images: str
    masks: tuple[str, ...]
    boxes: str | None = None


LAYOUTS = (
    SirstLayout('SIRSTdevkit', IMAGES, (TARGET_PALETTE, TARGET_BINARY), BOXES),
    SirstLayout('SIRST-V2', SIRST_V2.images[0], (SIRST_V2.target_masks[0][0], ), SIRST_V2.boxes[0]),
    SirstLayout('IRSTD-1k', 'IRSTD1k_Img', ('IRSTD1k_Label', )),
    SirstLayout('NUDT-SIRST or SIRST v1', 'images', ('masks', )),
)


def find_sirst_layout(root: Path, otherwise: str) -> tuple[SirstLayout, str]:
    """The layout of a data set, recognised by its folders, and the folder of its target masks.

    Args:
        root: The data set.
        otherwise: What to do where it is none of them, for the message.

    Raises:
        InputError: If it is none of them.
    """
    for layout in LAYOUTS:
        masks = next((folder for folder in layout.masks if (root / folder).is_dir()), None)
        if (root / layout.images).is_dir() and masks is not None:
            return layout, masks
    of_frames = next((one for one in LAYOUTS if (root / one.images).is_dir()), None)
    if of_frames is not None:
        raise InputError(f'{printable(root)}: frames in {of_frames.images}, as {of_frames.name} has them, but no '
                         f'target masks in {" or ".join(of_frames.masks)}; {otherwise}')
    known = '; '.join(f'{one.images} and {one.masks[0]} ({one.name})' for one in LAYOUTS)
    raise InputError(f'{printable(root)}: none of the known layouts: {known}; {otherwise}')


def read_sirst(root: Path, threshold: float | None = None, splits: str | None = None, origin: int | None = None,
               ends: str | None = None) -> Source:
    """Read a SIRST data set, recognised by its folders.

    Lists are what their text files are called ``train``, ``test`` … in, as ``img_idx``, ``idx_427`` and ``splits``; of
    several the one that names most images.

    Args:
        root: The folder.
        threshold: See :func:`~.masks.read_target_mask`.
        splits: See :func:`~.splits.given_splits`.
        origin: Of XML files, see :func:`~.voc.read_voc`.
        ends: Likewise.

    Raises:
        InputError: If it is none of them.
    """
    if not any((root / folder).is_dir() for folder in LAYOUTS[0].masks) and all(
            (root / folder).is_dir() for folder in (IMAGES, BOXES)):
        layout, masks = LAYOUTS[0], None
        # As a devkit has them, where no mask tells.
        origin, ends = 0 if origin is None else origin, EXCLUSIVE if ends is None else ends
    else:
        layout, masks = find_sirst_layout(root, 'use --from masks, with --images and --masks')
    images, notes = one_suffix_each(root, [file for file in list_files(root, layout.images) if is_frame(file)])
    if not images:
        raise InputError(f'{printable(root / layout.images)}: no image')
    mask_files = [] if masks is None else [file for file in list_files(root, masks) if is_frame(file)]
    lists = [file for file in list_files(root) if file.suffix == '.txt']
    if layout.boxes is not None and (root / layout.boxes).is_dir():
        xmls = [file for file in list_files(root, layout.boxes) if file.suffix.lower() == '.xml']
        source = with_xml(root, images, xmls, mask_files, notes, threshold, splits, origin, ends, lists)
    else:
        source = with_masks(root, images, mask_files, notes, threshold, splits, lists)
    source.sky = SKY_PALETTE if (root / SKY_PALETTE).is_dir() else None
    source.facts.insert(0, f'layout: {layout.name}')
    return source
