"""How every tool ends: errors and interrupts become one line on standard error and an exit status."""
import io
import logging
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

from .parser import BAD_INPUT, Parser, printable
from .signals import Terminated, signals_as_exceptions

INTERRUPTED, TERMINATED = 130, 143
START_AGAIN = 'nothing is lost but the time: call it again'
_LONGEST = 400  # of a message that was not written to be read in one line
_LONGEST_LINE = 3000  # of any; what is longer holds a name or a text of a file


def tool(go_on: str = START_AGAIN) -> Callable:
    """Decorate the ``main(argv) -> status`` of a tool: see :func:`one_line_errors`.

    Args:
        go_on: How to go on after an interrupt.
    """

    def decorate(main: Callable[[list[str] | None], int | None]) -> Callable:

        @wraps(main)
        def run(argv: list[str] | None = None) -> int:
            Parser.shows_traceback = False
            # As a script it is the whole of its process.
            with one_line_errors(go_on, process_ends=main.__module__ == '__main__'):
                return main(argv) or 0

        return run

    return decorate


@contextmanager
def one_line_errors(go_on: str = START_AGAIN, process_ends: bool = False) -> Iterator[None]:
    """Turn errors and interrupts into one line on standard error and an exit status.

    2 for bad input and for any other exception, 130 for SIGINT, 143 for SIGTERM.

    Args:
        go_on: How to go on after an interrupt.
        process_ends: Ignore further signals in the end: a second Ctrl-C would change the status.

    Raises:
        SystemExit: With the status.
    """
    with signals_as_exceptions(process_ends), _orphans_are_silent(), _one_line_of_logging():
        try:
            _ready_streams()
            yield
            sys.stdout.flush()
        except (KeyboardInterrupt, Terminated, Exception) as error:
            stopped = _interrupt_behind(error)
            if stopped is None:
                sys.exit(complain(error))
            word, status = (('terminated', TERMINATED) if isinstance(stopped, Terminated)
                            else ('interrupted', INTERRUPTED))
            say(f'{word}: {go_on}')
            sys.exit(status)


def _ready_streams() -> None:
    """Open closed standard streams (``>&-``) to nowhere, and print a ? for what a terminal (LC_ALL=C) has not."""
    for name, mode in (('stdin', 'r'), ('stdout', 'w'), ('stderr', 'w')):
        if getattr(sys, name) is None:
            # Takes the number that is free; a file that took it would get what libraries print.
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors='replace')


def _interrupt_behind(error: BaseException | None) -> BaseException | None:
    """The interrupt that an error is, or that a library has turned into it by ``except:``."""
    seen = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, (KeyboardInterrupt, Terminated)):
            return error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None


def complain(error: BaseException) -> int:
    """Print an error that is being handled in one line, after its traceback if that was asked for.

    Returns:
        The exit status, 2.
    """
    if Parser.shows_traceback:
        traceback.print_exc()
    say(f'error: {describe(error)}')
    return BAD_INPUT


def describe(error: BaseException) -> str:
    """An error in one printable line.

    Bad input is described by its message alone, an error of the system by its file and its reason, and any other by its
    type and the line of code that raised it too. What a data loader's worker has raised comes with its traceback, whose
    last line is type and message.
    """
    lines = str(error).strip().splitlines() or ['']
    name, place = f'{type(error).__name__}: ', _place(error)
    if name == 'InputError: ':
        return printable(lines[-1].split('InputError: ', 1)[-1])
    if len(lines) > 1 and 'Traceback' in str(error):
        name, lines = '', [lines[-1]]
        if 'InputError: ' in lines[0]:
            return printable(lines[0].split('InputError: ', 1)[-1])
    if isinstance(error, OSError) and error.strerror:
        file = f'{error.filename}: ' if error.filename is not None else ''
        return printable(f'{file}{error.strerror}')
    if isinstance(error, UnicodeEncodeError) and any('\udc80' <= sign <= '\udcff' for sign in error.object):
        part = error.object[max(error.start - 60, 0):error.end + 60]
        return f'a name that is not UTF-8 cannot be written, …{printable(part)}…: rename it, or give another'
    message = ' '.join(' '.join(lines).split())
    message = message if len(message) <= _LONGEST else f'{message[:_LONGEST]} …'
    return printable(f'{name}{message} ({f"{place}; " if place else ""}--traceback shows how it came there)')


def _place(error: BaseException) -> str:
    """File and line of the code that raised an error, as ``my_metric.py:17``; nothing where it is not known."""
    of_worker = re.findall(r'^\s*File "([^"]+)", line (\d+)', str(error), re.MULTILINE)
    if of_worker:
        file, line = of_worker[-1]
        return f'{Path(file).name}:{line}'
    # mmengine raises what a constructor has raised anew, with the class's name before it.
    while type(error.__context__) is type(error) and str(error.__context__) in str(error):
        error = error.__context__
    frames = traceback.extract_tb(error.__traceback__)
    return f'{Path(frames[-1].filename).name}:{frames[-1].lineno}' if frames else ''


@contextmanager
def _orphans_are_silent() -> Iterator[None]:
    """Let a child say nothing of a connection that its parent has left: the parent has said why."""
    owner, before = os.getpid(), sys.excepthook

    def hook(kind: type, error: BaseException, trace: Any) -> None:
        if os.getpid() == owner or not isinstance(error, (ConnectionError, EOFError, KeyboardInterrupt)):
            before(kind, error, trace)

    sys.excepthook = hook
    try:
        yield
    finally:
        sys.excepthook = before


@contextmanager
def _one_line_of_logging() -> Iterator[None]:
    """Report once that a log cannot be written (its reader has left, its disk is full), and go on."""
    before = logging.Handler.handleError
    reported: list[BaseException] = []

    def handle(handler: logging.Handler, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if not reported and isinstance(error, Exception):
            reported.append(error)
            say(f'warning: the log cannot be written: {describe(error)}')

    logging.Handler.handleError = handle  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        logging.Handler.handleError = before  # type: ignore[method-assign]


def say(line: str) -> None:
    """Print a line on standard error, cut where it is very long."""
    if len(line) > _LONGEST_LINE:
        line = f'{line[:_LONGEST_LINE // 2]} … {line[-_LONGEST_LINE // 2:]}'
    for stream, text in ((sys.stderr, f'{line}\n'), (sys.stdout, '')):
        try:
            stream.write(text)
            stream.flush()
        except OSError:
            # A closed pipe or a full disk would be reported once more, and at length, when Python ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
