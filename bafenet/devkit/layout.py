"""Layout of a SIRSTdevkit on disk: folders, file suffixes, split files, class names, values of masks and sky maps.

Each is said here and nowhere else. :class:`Layout` finds the files of a devkit, or of SIRST-V2 as published; nothing is
read here.
"""
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bafenet_command import call_of

from ..errors import InputError, printable
from ..reading import PathLike
from .image_files import IMAGE_SUFFIXES, find_image, image_files

# --- Names and values -------------------------------------------------------------------------------------------------

IMAGES, BOXES, POINTS, SPLITS = 'PNGImages', 'SIRST/BBox', 'SIRST/Point_label', 'Splits'
TARGET_BINARY, TARGET_PALETTE = 'SIRST/BinaryMask', 'SIRST/PaletteMask'
SKY_BINARY, SKY_PALETTE = 'SkySeg/BinaryMask', 'SkySeg/PaletteMask'

# What follows an image's name in each folder as it is published; images may have any suffix, see image_files.py.
SUFFIXES = {
    IMAGES: '.png',
    BOXES: '.xml',
    TARGET_PALETTE: '.png',
    TARGET_BINARY: '_pixels0.png',
    POINTS: '_pixels0.txt',
    SKY_PALETTE: '.png',
    SKY_BINARY: '_pixels0.png',
}
FOLDERS = (*SUFFIXES, SPLITS)
# Without these DenseSIRSTDataset does not load, whatever its arguments.
REQUIRED = (IMAGES, BOXES)

CLASSES = ('Target', )
DATASET_PAGE = 'https://github.com/GrokCV/BAFE-Net'
# The numbers of a box in an XML, in pixels: 0-based, with exclusive ends.
CORNERS = ('xmin', 'ymin', 'xmax', 'ymax')

# A sky map (SKY_PALETTE).
OTHER, SKY, IGNORED = 0, 1, 255
# A target mask (TARGET_PALETTE).
BACKGROUND, TARGET = 0, 1
# What stands for 1 in the binary masks of both kinds.
BINARY = 255
MASK_VALUES = {
    TARGET_PALETTE: (BACKGROUND, TARGET),
    TARGET_BINARY: (BACKGROUND, BINARY),
    SKY_PALETTE: (OTHER, SKY, IGNORED),
    SKY_BINARY: (OTHER, BINARY),
}

_ANY_SUFFIX = [spelling for suffix in IMAGE_SUFFIXES for spelling in (suffix, suffix.upper())]
# Splits that come with the package: DenseSIRST by recording (see recordings.py).
PACKAGED_SPLITS = Path(__file__).parent / 'splits'

# --- Files of a SIRSTdevkit -------------------------------------------------------------------------------------------


def file_below(folder: str, name: str) -> str:
    """The file of an image in a folder of the devkit, as a path below the devkit."""
    return f'{folder}/{name}{SUFFIXES[folder]}'


def split_file(split: str) -> str:
    """The file of a split, as a path below the devkit."""
    return f'{SPLITS}/{split}.txt'


def find_split(data_root: str, ann_file: str) -> str:
    """Where a split file is: the first of these that exists.

    1. ``ann_file`` under ``data_root``;
    2. ``ann_file`` as it stands, from the current folder or absolute;
    3. for ``Splits/NAME``, the split of DenseSIRST of this name that comes with the package; whether the images are
       those of DenseSIRST is for the caller to see, by :func:`is_packaged`.

    Args:
        data_root: Folder of the devkit.
        ann_file: Split file.

    Returns:
        The path; the first of the three where none exists.
    """
    places = [os.path.join(data_root or '', ann_file), ann_file]
    folder, name = os.path.split(ann_file)
    if folder == SPLITS:
        places.append(str(PACKAGED_SPLITS / name))
    return next(filter(os.path.isfile, places), places[0])


def is_packaged(split: str) -> bool:
    """Whether a split file is one of DenseSIRST's that come with the package."""
    return Path(split).parent == PACKAGED_SPLITS


def require_densesirst(split: str, root: str, names: Sequence[str], absent: Sequence[str]) -> None:
    """Refuse a split file of the package where the images are not DenseSIRST's.

    Args:
        split: Split file; one that is not of the package passes.
        root: Folder of the devkit.
        names: The images that it names.
        absent: Those that the devkit does not have.

    Raises:
        InputError: If there are any; it says how to make such lists.
    """
    if is_packaged(split) and absent:
        file, root = f'{SPLITS}/{os.path.basename(split)}', printable(root)
        raise InputError(f"{root} has no {file}, and the list of this name in the package is DenseSIRST's: "
                         f'{len(absent)} of its {len(names)} images are not here ({absent[0]}). Make lists of these '
                         f'images by {call_of("recordings")} {root} --all-images and copy them into {root}/{SPLITS}')


def require_split(root: str, split: str) -> None:
    """Demand that a split file, as :func:`find_split` gives it, exists.

    Raises:
        InputError: If it does not; it names the splits that the devkit has.
    """
    if os.path.isfile(split):
        return
    layout = devkit_layout(root or '')
    there = layout.split_names() if Path(split).parent == layout.root / SPLITS else []
    if there:
        raise InputError(f'{printable(split)}: no such split file; there are {printable(", ".join(there))}: choose by '
                         '--splits what stands behind train_, val_ and test_, or name a file in ann_file')
    raise InputError(f'{printable(split)}: no such split file; check data_root and ann_file (the dataset is at '
                     f'{DATASET_PAGE})')


def image_names(root: Path) -> list[str]:
    """Names of the images of a devkit, sorted.

    Raises:
        InputError: If there are none, or two of one name.
    """
    names = list(image_files(root / IMAGES)) if (root / IMAGES).is_dir() else []
    if not names:
        raise InputError(f'{printable(root / IMAGES)}: no image; give a devkit, which has images in {IMAGES} and box '
                         f'XMLs in {BOXES}; {call_of("convert")} makes one of VOC, COCO, YOLO or mask images')
    return names


def find_file(root: Path, folder: str, name: str) -> Path:
    """The file of an image in one of a devkit's folders.

    Raises:
        InputError: If it does not exist.
    """
    path = root / file_below(folder, name)
    if folder == IMAGES:
        path = find_image(root / folder, name) or path
    if not path.is_file():
        raise InputError(f'{printable(path)}: no such file; see {call_of("check")}')
    return path


# --- Data sets to read from -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Layout:
    """Where a data set keeps its files. A kind of file is a folder and what follows the image's name.

    Attributes:
        root: The data set.
        images: Images.
        target_masks: Target masks; the first that exists counts.
        boxes: VOC-style XML files.
        sky_maps: Sky maps; the first that exists counts.
        splits: Folder of ``SPLIT.txt``.
        box_origin: What the boxes call the first pixel.
    """

    root: Path
    images: tuple[str, str]
    target_masks: tuple[tuple[str, str], ...]
    boxes: tuple[str, str]
    sky_maps: tuple[tuple[str, str], ...]
    splits: str
    box_origin: int = 0

    def names(self) -> list[str]:
        """The names of all images, sorted."""
        return list(image_files(self.root / self.images[0]))

    def image(self, name: str) -> Path:
        """Image file; InputError if there is none."""
        return find_image(self.root / self.images[0], name) or self._find(name, 'image', self.images)

    def target_mask(self, name: str) -> Path:
        """Target mask file, not 0 at the targets; InputError if there is none."""
        return self._find(name, 'target mask', *self.target_masks)

    def find_target_mask(self, name: str) -> Path | None:
        """Target mask file, or None."""
        return self._first(name, self.target_masks)

    def sky_map(self, name: str) -> Path:
        """Sky map file, 0 other and 1 or 255 sky; InputError if there is none."""
        if not self.sky_maps:
            raise InputError(f'{printable(self.root)}: this layout has no sky maps; give their folder with --sky')
        return self._find(name, 'sky map', *self.sky_maps)

    def is_palette_sky(self, path: Path) -> bool:
        """Whether a sky map is one of a devkit's own palettes, in which 255 means ignored and not sky."""
        return _kind(SKY_PALETTE) in self.sky_maps and path.parent == self.root / SKY_PALETTE

    def box_file(self, name: str) -> Path | None:
        """VOC-style XML file of the boxes, or None; InputError if it is no file."""
        path = self._path(name, self.boxes)
        if not os.path.lexists(path):
            return None
        if not path.is_file():
            raise InputError(f'{printable(path)}: is no regular file; replace it')
        return path

    def split_names(self) -> list[str]:
        """The splits that there are, sorted."""
        return sorted(path.stem for path in (self.root / self.splits).glob('*.txt') if not path.name.startswith('.'))

    def split_path(self, split: str) -> Path:
        """Where the file of a split is, if there is one."""
        return self.root / self.splits / f'{split}.txt'

    def split(self, split: str) -> Path:
        """The file of a split; InputError if there is none."""
        path = self.split_path(split)
        if not os.path.lexists(path):
            there = printable(', '.join(self.split_names())) or 'none'
            raise InputError(f'{printable(path)}: no such split; there are: {there}')
        return path

    def _path(self, name: str, kind: tuple[str, str]) -> Path:
        return self.root / kind[0] / (name + kind[1])

    def _find(self, name: str, what: str, *kinds: tuple[str, str]) -> Path:
        found = self._first(name, kinds)
        if found is None:
            raise InputError(f'{" or ".join(printable(self._path(name, kind)) for kind in kinds)}: no such {what}')
        return found

    def _first(self, name: str, kinds: Sequence[tuple[str, str]]) -> Path | None:
        """The first file that there is, its suffix as the kinds say or another one of images."""
        for folder, published in kinds:
            ending, _, suffix = published.rpartition('.')
            for other in (f'.{suffix}', *_ANY_SUFFIX):
                path = self.root / folder / f'{name}{ending}{other}'
                if path.is_file():
                    return path
        return None


def _kind(folder: str) -> tuple[str, str]:
    return folder, SUFFIXES[folder]


SIRST_DEVKIT = Layout(Path(), _kind(IMAGES), (_kind(TARGET_PALETTE), _kind(TARGET_BINARY)), _kind(BOXES),
                      (_kind(SKY_PALETTE), _kind(SKY_BINARY)), SPLITS)
SIRST_V2 = Layout(Path(), ('mixed', '.png'), (('annotations/masks', '_pixels0.png'), ), ('annotations/bboxes', '.xml'),
                  (), 'splits', box_origin=1)


def devkit_layout(root: PathLike) -> Layout:
    """The layout of a SIRSTdevkit, without a look at the disk."""
    return replace(SIRST_DEVKIT, root=Path(root))


def find_layout(root: PathLike, sky: PathLike | None = None) -> Layout:
    """Recognise a data set by its folders: a SIRSTdevkit, or SIRST-V2 as published.

    Args:
        root: The data set.
        sky: Folder of sky maps, ``NAME.png`` or ``NAME_pixels0.png``, instead of the layout's own.

    Raises:
        InputError: It is neither, or a folder is missing.
    """
    root = Path(root)
    for folder in [root, Path(sky)] if sky else [root]:
        if not folder.is_dir():
            raise InputError(f'{printable(folder)}: no such folder; the dataset is at {DATASET_PAGE}')
    for layout in (SIRST_DEVKIT, SIRST_V2):
        labels = [layout.boxes[0], *(folder for folder, _ in layout.target_masks)]
        if (root / layout.images[0]).is_dir() and any((root / folder).is_dir() for folder in labels):
            own_sky = layout.sky_maps if sky is None else tuple(
                (str(Path(sky).absolute()), suffix) for _, suffix in SIRST_DEVKIT.sky_maps)
            return replace(layout, root=root, sky_maps=own_sky)
    raise InputError(f'{printable(root)}: neither a SIRSTdevkit ({IMAGES}, {TARGET_PALETTE} or {BOXES} …) nor '
                     'SIRST-V2 as published (mixed, annotations/masks …)')
