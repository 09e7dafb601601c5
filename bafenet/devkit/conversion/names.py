"""Names of converted frames: safe in every file system, unique, and as near to the source's as that allows."""
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from ..read import MAX_NAME

# Bytes of 255 that a file system has for a name: the rest is for suffixes, and for what makes it unique.
_LONGEST = min(MAX_NAME, 255) - 20


def safe_names(keys: Sequence[str]) -> list[str]:
    """A name for each frame: its own, with its folders where that is not unique, numbered where that is not either.

    Letters and digits of any script, ``_``, ``-`` and ``.`` are kept, anything else becomes ``_``. Names that differ in
    upper and lower case alone count as equal, as they do on some disks.

    Args:
        keys: Paths below the source without suffix, all different.

    Returns:
        The names, in the same order.
    """
    parts = [[_safe(part) for part in key.split('/')] for key in keys]
    counts = Counter(path[-1].casefold() for path in parts)
    # As few folders as make it unique: all of them, for frames that share a name.
    names = [path[-1] if counts[path[-1].casefold()] == 1 else '_'.join(path) for path in parts]
    names = [_cut(name) for name in names]
    taken = Counter(name.casefold() for name in names)
    used = {name for name, times in taken.items() if times == 1}
    result = []
    for name in names:
        unique, number = name, 1
        while taken[name.casefold()] > 1 and unique.casefold() in used:
            number += 1
            unique = f'{name}_{number}'
        used.add(unique.casefold())
        result.append(unique)
    return result


def _safe(text: str) -> str:
    # Some systems take letters with accents apart.
    return re.sub(r'[^\w.-]+', '_', unicodedata.normalize('NFC', text)).strip('.-') or 'frame'


def _cut(name: str) -> str:
    # From its end, where frames have their numbers.
    return name.encode()[-_LONGEST:].decode('utf-8', 'ignore').lstrip('.-')
