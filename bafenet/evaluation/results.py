"""Reading what ``tools/test.py --out`` writes."""
import json
from pathlib import Path
from typing import Sequence

from bafenet.errors import InputError, first_line


def read_results(path: str, keys: Sequence[str] = (), image_keys: Sequence[str] = ()) -> dict:
    """Read a file of results.

    Args:
        path: JSON file.
        keys: What it must hold, beside ``images``.
        image_keys: What each of its images must hold.

    Returns:
        The content.

    Raises:
        InputError: If the file cannot be read, or something is absent.
    """
    try:
        content = json.loads(Path(path).read_text(encoding='utf-8'))
        absent = {*keys, 'images'} - set(content)
        # From the first image that lacks something.
        in_images = next(filter(None, (set(image_keys) - set(image) for image in content.get('images', ()))), ())
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f'{path}: not what tools/test.py --out writes ({type(error).__name__}: {first_line(error)}); '
                         'give such a file') from error
    if absent or in_images:
        names = [*sorted(absent), *(f'{name} of its images' for name in sorted(in_images))]
        raise InputError(f'{path}: it has no {", ".join(names)}; test the checkpoint again with tools/test.py --out')
    return content
