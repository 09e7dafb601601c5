"""Which sky maps of a devkit are pseudo maps: made by a network, with what settings, and unchanged since (SHA-256)."""
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..devkit.layout import SKY_PALETTE, file_below
from ..devkit.read import is_plain_name
from ..errors import InputError, printable
from ..fields import require_dict, require_text, require_whole
from ..fileio import write_json
from ..reading import read_bytes, read_json

MANIFEST = 'SkySeg/pseudo_sky.json'
_WHAT = 'the list of pseudo sky maps of a devkit'
_REMEDY = 'restore it, or delete it: the maps then count as true ones'


@dataclass(frozen=True)
class PseudoMap:
    """A pseudo map.

    Attributes:
        sha256: Of its file's bytes, hexadecimal.
        pixels: Of its frame.
        sky: Pixels that were decided to be sky.
        other: Pixels that were decided not to be.
    """

    sha256: str
    pixels: int
    sky: int
    other: int


@dataclass
class Manifest:
    """The pseudo maps of a devkit; its file lies beside their folder.

    Attributes:
        root: The devkit.
        settings: What the maps were made with: plain JSON values.
        maps: By image name; a map counts as one only while its file is what was written.
    """

    root: Path
    settings: dict[str, Any] = field(default_factory=dict)
    maps: dict[str, PseudoMap] = field(default_factory=dict)

    @classmethod
    def read(cls, root: Path) -> 'Manifest':
        """The manifest of a devkit; an empty one where there is none.

        Raises:
            InputError: If there is a file of its name that is none.
        """
        file = root / MANIFEST
        if not file.exists():
            return cls(root)
        content = read_json(file, _WHAT, _REMEDY)
        try:
            fields = require_dict(content, 'it', ('settings', 'maps'))
            maps = {name: _pseudo_map(name, entry) for name, entry in require_dict(fields['maps'], 'maps').items()}
            return cls(root, require_dict(fields['settings'], 'settings'), maps)
        except InputError as error:
            raise InputError(f'{printable(file)}: not {_WHAT} ({error}); {_REMEDY}') from None

    def write(self) -> None:
        """Write it, atomically."""
        write_json(self.root / MANIFEST, dict(settings=self.settings, maps={
            name: vars(entry) for name, entry in sorted(self.maps.items())}))

    def map_file(self, name: str) -> Path:
        """Where the sky map of an image is, if it has one."""
        return self.root / file_below(SKY_PALETTE, name)

    def unchanged(self) -> set[str]:
        """Names of the images whose map is there and is the pseudo map that was written."""
        return {name for name, entry in self.maps.items() if self._holds(name, entry)}

    def _holds(self, name: str, entry: PseudoMap) -> bool:
        try:
            return digest(read_bytes(self.map_file(name))) == entry.sha256
        except InputError:
            return False

    def differences(self, settings: Mapping[str, Any]) -> list[str]:
        """In what the settings differ from others, in words; of the weights by their SHA-256, where it is known."""
        same = self.settings.get('weights_sha256') == settings.get('weights_sha256') is not None
        keys = [key for key in dict.fromkeys([*settings, *self.settings]) if not (same and key == 'weights')]
        return [f'{key}={printable(self.settings.get(key))}, and now {printable(settings.get(key))}'
                for key in keys if self.settings.get(key) != settings.get(key)]


def digest(data: bytes) -> str:
    """SHA-256, hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _pseudo_map(name: str, entry: Any) -> PseudoMap:
    if not is_plain_name(name):
        raise InputError(f'maps: {printable(repr(name[:80]))} is no image name')
    fields = require_dict(entry, f'maps.{name}', ('sha256', 'pixels', 'sky', 'other'))
    return PseudoMap(require_text(fields['sha256'], f'maps.{name}.sha256'),
                     *(require_whole(fields[key], f'maps.{name}.{key}') for key in ('pixels', 'sky', 'other')))
