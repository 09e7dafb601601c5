"""Command line of every tool: argument parser, numbers in ranges, wrong options answered in one line."""
import argparse
import math
import re
from collections.abc import Callable
from typing import Any, NoReturn

BAD_INPUT = 2


def printable(text: object) -> str:
    """Text from a file or a file's name, safe to print: control characters (terminal escapes) are spelled out."""
    return ''.join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in str(text))


class Parser(argparse.ArgumentParser):
    """An ``ArgumentParser`` that answers a wrong command line in one line, and knows ``--traceback``.

    ``--traceback`` is no part of the arguments that it returns.
    """

    shows_traceback = False
    command: str | None = None  # what the user has called; by default the script's name

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault('prog', Parser.command)
        # An option that is cut short may mean another one in the next version.
        kwargs.setdefault('allow_abbrev', False)
        super().__init__(*args, **kwargs)
        self.add_argument('--traceback', action=_ShowTraceback, help='show how an error came about in the code')

    def add_grey_levels(self, of: str = 'frame', more: str = '') -> None:
        """Add ``--percentiles`` and ``--range`` (``value_range``): how more than 8 bits become 8.

        Args:
            of: What is read, for the help.
            more: What follows the help of ``--range``.
        """
        levels = self.add_mutually_exclusive_group()
        levels.add_argument('--percentiles', nargs=2, type=real(0, 100), metavar=('LOW', 'HIGH'), help='make these '
                            f'percentiles of each {of} of more than 8 bits black and white [0.1 99.9]')
        levels.add_argument('--range', nargs=2, type=real(), metavar=('LOW', 'HIGH'), dest='value_range', help='values '
                            f'that become black and white in every {of} of more than 8 bits{more}')

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and end with status 2."""
        message = re.sub(r'^argument (-[^ ]*): ', r'\1 ', message)
        self.exit(BAD_INPUT, f'error: {printable(message)} ({self.prog} --help lists the options)\n')


class _ShowTraceback(argparse.Action):

    def __init__(self, option_strings: list[str], dest: str, **kwargs: Any) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, default=argparse.SUPPRESS, **kwargs)

    def __call__(self, *args: Any) -> None:
        Parser.shows_traceback = True


def whole(low: int | None = None, high: int | None = None) -> Callable[[str], int]:
    """The ``type`` of an argument that is a whole number, both bounds included."""
    return _number(int, 'a whole number', low, high)


def real(low: float | None = None, high: float | None = None) -> Callable[[str], float]:
    """The ``type`` of an argument that is a finite number, both bounds included."""
    return _number(float, 'a number', low, high)


def _number(kind: Callable, what: str, low: float | None, high: float | None) -> Callable:
    bounds = (f' from {low} to {high}' if None not in (low, high) else f' of at least {low}' if low is not None
              else f' of at most {high}' if high is not None else '')

    def read(text: str) -> Any:
        try:
            value = kind(text)
            inside = math.isfinite(value) and (low is None or low <= value) and (high is None or value <= high)
        except (ValueError, OverflowError):
            inside = False
        if not inside:
            raise argparse.ArgumentTypeError(f'{text[:40]}: give {what}{bounds}')
        return value

    return read
