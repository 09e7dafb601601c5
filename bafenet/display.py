"""Whether there is a display to open a window on."""
import os
import sys

from .errors import InputError


def require_display(option: str, instead: str) -> None:
    """Refuse to open a window where there is no display; its end would be waited for without end.

    Args:
        option: What asks for the window, for the message.
        instead: Where the pictures can be written, as ``'with --show-dir'``.

    Raises:
        InputError: If there is no display.
    """
    if sys.platform.startswith('linux') and not (os.environ.get('DISPLAY') or os.environ.get('WAYLAND_DISPLAY')):
        raise InputError(f'{option}: there is no display; write the pictures {instead} instead')
