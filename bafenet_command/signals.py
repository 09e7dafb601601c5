"""SIGINT and SIGTERM as exceptions within a tool, never lost on their way."""
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_AGAIN, _SOON = 5.0, 0.05  # seconds after which a signal comes again that did not end the tool
_LONGEST_IMPORT = 30.0  # seconds for which a signal waits for the end of an import


class Terminated(BaseException):
    """SIGTERM, as an exception: whatever is half written is removed on its way."""


@contextmanager
def signals_as_exceptions(process_ends: bool) -> Iterator[None]:
    """Let SIGTERM raise :class:`Terminated` and SIGINT ``KeyboardInterrupt`` in this process.

    A child that inherits the handler does as it would without it. SIGINT that is ignored, as in a script's background,
    stays ignored. An exception may be lost on its way, in a ``__del__`` or an ``except:`` of a library: the signal then
    comes again. So does a signal within an import, where libraries set up their C++ side: an exception that Python
    raises there aborts the process.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    owner, ended = os.getpid(), threading.Event()
    first_seen: dict[int, float] = {}

    def handle(number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if _importing(frame) and now - first_seen.setdefault(number, now) < _LONGEST_IMPORT:
            _send_again(number, ended, _SOON)
            return
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


def _importing(frame: FrameType | None) -> bool:
    """Whether a frame, or one that has called it, is Python's own import."""
    while frame is not None and frame.f_code.co_filename != '<frozen importlib._bootstrap>':
        frame = frame.f_back
    return frame is not None


def _send_again(number: int, ended: threading.Event, seconds: float) -> None:
    """Send this process a signal once more, unless the tool has ended by then."""

    def send() -> None:
        # To the main thread, which may be waiting for something.
        main = threading.main_thread().ident
        if not ended.wait(seconds) and main is not None:
            signal.pthread_kill(main, number)

    threading.Thread(target=send, daemon=True).start()
