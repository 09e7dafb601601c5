"""Find the files of a devkit by image name: images and masks of any image suffix, and any ending of label files."""
import os
from collections import Counter
from collections.abc import Collection
from pathlib import Path

from .image_files import IMAGE_SUFFIXES, files_by_name
from .layout import (
    IMAGES,
    SKY_BINARY,
    SKY_PALETTE,
    SUFFIXES,
    TARGET_BINARY,
    TARGET_PALETTE,
    file_below,
    find_file,
)

TARGET_MASKS, SKY_MAPS = (TARGET_PALETTE, TARGET_BINARY), (SKY_PALETTE, SKY_BINARY)


class DevkitFiles:
    """The files of a devkit; each folder is listed once, when it is first asked for.

    In ``PNGImages`` and the folders of masks a file may have any suffix of images. What follows the image's name in a
    label file is as published (``_pixels0`` of binary masks), or what follows it in most of the files of its folder:
    ``frame_1_sky.bmp`` and ``frame_2_sky.bmp`` are found as the sky maps of ``frame_1`` and ``frame_2``.

    Args:
        root: The devkit.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self._tables: dict[str, dict[str, str]] = {}

    def has(self, folder: str) -> bool:
        """Whether a folder is there."""
        return (self.root / folder).is_dir()

    def names(self) -> list[str]:
        """The names of all images, sorted; of several files of one name the first counts."""
        return list(self.table(IMAGES))

    def table(self, folder: str) -> dict[str, str]:
        """The file names of a folder by image name."""
        if folder not in self._tables:
            self._tables[folder] = self._list(folder) if self.has(folder) else {}
        return self._tables[folder]

    def find(self, folder: str, name: str) -> Path | None:
        """The file of an image in a folder, which may be no regular one; None where there is none."""
        file = self.table(folder).get(name)
        return None if file is None else self.root / folder / file

    def get(self, folder: str, name: str) -> Path:
        """The file of an image in a folder.

        Raises:
            InputError: If it is missing, or no regular file.
        """
        path = self.find(folder, name)
        return path if path is not None and path.is_file() else find_file(self.root, folder, name)

    def shown(self, folder: str, name: str) -> str:
        """The file of an image below the devkit, as a message names it; as published where there is none."""
        file = self.table(folder).get(name)
        if file is None and folder == IMAGES and self._tables[IMAGES]:
            # By the suffix that the others have.
            endings = Counter(os.path.splitext(other)[1] for other in self._tables[IMAGES].values())
            return f'{folder}/{name}{endings.most_common(1)[0][0]}'
        return file_below(folder, name) if file is None else f'{folder}/{file}'

    def first_of(self, folders: Collection[str], name: str) -> tuple[str, Path] | None:
        """The first of several folders that has a file of an image, and this file."""
        for folder in folders:
            path = self.find(folder, name)
            if path is not None:
                return folder, path
        return None

    def _list(self, folder: str) -> dict[str, str]:
        if folder == IMAGES:
            return {name: files[0] for name, files in files_by_name(self.root / folder).items()}
        ending, _, kind = SUFFIXES[folder].rpartition('.')
        stems = _stems(self.root / folder, f'.{kind}')
        usual = _usual_ending(stems, self.table(IMAGES))
        ending = ending if usual is None else usual
        return {stem.removesuffix(ending): file for stem, file in stems.items() if stem.endswith(ending)}


def _stems(folder: Path, suffix: str) -> dict[str, str]:
    """File names without suffix of the files that may be labels of a kind, and the files."""
    if suffix in IMAGE_SUFFIXES:
        return {name: files[0] for name, files in files_by_name(folder).items()}
    return {file[:-len(suffix)]: file for file in sorted(os.listdir(folder), reverse=True)
            if file.lower().endswith(suffix) and not file.startswith('.')}


def _usual_ending(stems: Collection[str], known: Collection[str]) -> str | None:
    """What follows an image's name in most file names, None where nothing does."""
    endings: Counter[str] = Counter()
    for stem in stems:
        cut = next((cut for cut in range(len(stem), 0, -1) if stem[:cut] in known), None)
        if cut is not None:
            endings[stem[cut:]] += 1
    ending, count = endings.most_common(1)[0] if endings else ('', 0)
    return ending if 2 * count > len(stems) else None
