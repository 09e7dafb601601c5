"""How every tool starts and ends: bad input, interrupts and defects are answered in one line each.

This module imports nothing of the package: PyTorch takes seconds, and Ctrl-C must be answered during them too.
"""
import argparse
import io
import logging
import math
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, NoReturn

BAD_INPUT, INTERRUPTED, TERMINATED = 2, 130, 143
_LONGEST = 400  # of a message that was not written to be read in one line
_AGAIN, _SOON = 5.0, 0.05  # seconds after which a signal comes again that did not end the tool
_LONGEST_LINE = 3000  # of any; what is longer holds a name or a text of a file
START_AGAIN = 'nothing is lost but the time: call it again'


class Terminated(BaseException):
    """SIGTERM, as an exception: whatever is half written is removed on its way."""


class Parser(argparse.ArgumentParser):
    """An ``ArgumentParser`` that answers a wrong command line in one line, and knows ``--traceback``.

    ``--traceback`` is no part of the arguments that it returns.
    """

    shows_traceback = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.add_argument('--traceback', action=_ShowTraceback, help='show where in the code an error was raised')

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and end with status 2."""
        message = re.sub(r'^argument (-[^ ]*): ', r'\1 ', message)
        self.exit(BAD_INPUT, f'error: {_printable(message)} ({self.prog} --help lists the options)\n')


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
    with _signals_as_exceptions(process_ends), _orphans_are_silent(), _one_line_of_logging():
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
            _say(f'{word}: {go_on}')
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


def complain(error: Exception) -> int:
    """Print an error that is being handled in one line, after its traceback if that was asked for.

    Returns:
        The exit status, 2.
    """
    if Parser.shows_traceback:
        traceback.print_exc()
    _say(f'error: {describe(error)}')
    return BAD_INPUT


def describe(error: Exception) -> str:
    """An error in one printable line.

    Bad input is described by its message alone, an error of the system by its file and its reason, and any other by its
    type too. What a data loader's worker has raised comes with its traceback, whose last line is the message.
    """
    lines = str(error).strip().splitlines() or ['']
    name = type(error).__name__
    if name == 'InputError':
        return _printable(lines[-1].split('InputError: ', 1)[-1])
    if len(lines) > 1 and 'Traceback' in str(error):
        lines = [lines[-1]]
        if 'InputError: ' in lines[0]:
            return _printable(lines[0].split('InputError: ', 1)[-1])
    if isinstance(error, OSError) and error.strerror:
        file = f'{error.filename}: ' if error.filename is not None else ''
        return _printable(f'{file}{error.strerror}')
    if isinstance(error, UnicodeEncodeError) and any('\udc80' <= sign <= '\udcff' for sign in error.object):
        part = error.object[max(error.start - 60, 0):error.end + 60]
        return f'a name that is not UTF-8 cannot be written, …{_printable(part)}…: rename it, or give another'
    message = ' '.join(' '.join(lines).split())
    message = message if len(message) <= _LONGEST else f'{message[:_LONGEST]} …'
    return _printable(f'{name}: {message} (--traceback shows where)')


@contextmanager
def _signals_as_exceptions(process_ends: bool) -> Iterator[None]:
    """Let SIGTERM raise :class:`Terminated` and SIGINT ``KeyboardInterrupt`` in this process.

    A child that inherits the handler does as it would without it. SIGINT that is ignored, as in a script's background,
    stays ignored. An exception may be lost on its way, in a ``__del__`` or an ``except:`` of a library: the signal then
    comes again.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    owner, ended = os.getpid(), threading.Event()

    def handle(number: int, frame: Any) -> None:
        if os.getpid() == owner:
            _send_again(number, ended, _AGAIN)
            # Where the signal goes to a whole group, PyTorch raises an error for every loader process that it has
            # ended, wherever this process is by then, its exit included. (Python complains of signals that are
            # pending when their handler becomes the default one.)
            signal.signal(signal.SIGCHLD, lambda *_: None)
            raise Terminated if number == signal.SIGTERM else KeyboardInterrupt
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    taken = [signal.SIGTERM]
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        taken.append(signal.SIGINT)
    before, hook_before = {number: signal.signal(number, handle) for number in taken}, sys.unraisablehook

    def hook(lost: Any) -> None:
        """What is raised in a ``__del__`` ends here, and not where the tool waits for it."""
        if isinstance(lost.exc_value, (KeyboardInterrupt, Terminated)) and os.getpid() == owner:
            _send_again(signal.SIGTERM if isinstance(lost.exc_value, Terminated) else signal.SIGINT, ended, _SOON)
        else:
            hook_before(lost)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        ended.set()
        sys.unraisablehook = hook_before
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if process_ends else handler)


def _send_again(number: int, ended: threading.Event, seconds: float) -> None:
    """Send this process a signal once more, unless the tool has ended by then."""

    def send() -> None:
        if not ended.wait(seconds):
            # To the main thread, which may be waiting for something.
            signal.pthread_kill(threading.main_thread().ident, number)

    threading.Thread(target=send, daemon=True).start()


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
    """Tell once that a log cannot be written (its reader has left, its disk is full), and go on."""
    before, told = logging.Handler.handleError, []

    def handle(handler: logging.Handler, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if not told and isinstance(error, Exception):
            told.append(error)
            _say(f'warning: the log cannot be written: {describe(error)}')

    logging.Handler.handleError = handle
    try:
        yield
    finally:
        logging.Handler.handleError = before


def _say(line: str) -> None:
    if len(line) > _LONGEST_LINE:
        line = f'{line[:_LONGEST_LINE // 2]} … {line[-_LONGEST_LINE // 2:]}'
    for stream, text in ((sys.stderr, f'{line}\n'), (sys.stdout, '')):
        try:
            stream.write(text)
            stream.flush()
        except OSError:
            # A closed pipe or a full disk would be told once more, and at length, when Python ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _printable(text: str) -> str:
    """See ``bafenet.errors.printable``, which cannot be imported before PyTorch is."""
    return ''.join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
