"""Calls of tools in children of the warm test process, which need no imports and can be killed or starved."""
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from conftest import load_tool


class Child:
    """A tool's ``main`` in a forked process that leads a session of its own.

    Args:
        tool: Path below ``tools/``.
        argv: Its arguments.
        prepare: Called in the child before it.
    """

    def __init__(self, tool: str, argv: list[object], prepare: Callable[[], object] = lambda: None) -> None:
        self._stderr, writing = os.pipe()
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._stderr)
            self._run(writing, tool, list(map(str, argv)), prepare)
        os.close(writing)

    @staticmethod
    def _run(writing: int, tool: str, argv: list[str], prepare: Callable[[], object]) -> None:
        status = 99
        try:
            os.setsid()
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(writing, 2)
            os.close(writing)
            # Whatever captures the parent's.
            sys.stdout = sys.__stdout__ = os.fdopen(1, 'w', closefd=False)
            sys.stderr = sys.__stderr__ = os.fdopen(2, 'w', closefd=False, buffering=1)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            prepare()
            status = load_tool(tool).main(argv)
        except SystemExit as end:
            status = end.code
        finally:
            sys.stderr.flush()
            os._exit(status)

    def wait(self) -> tuple[int, str]:
        """Exit status, negative for a signal, and standard error."""
        with open(self._stderr, encoding='utf-8', errors='replace') as file:
            errors = file.read()
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1]), errors

    def wait_until(self, condition: Callable[[], bool], seconds: float = 60) -> None:
        """Wait for something that the child does."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, 'nothing happens'
            time.sleep(0.005)

    def signal(self, number: int) -> None:
        """Send a signal to the process alone."""
        os.kill(self.pid, number)

    def family(self) -> list[int]:
        """Processes of its session that still run."""
        found = []
        for entry in Path('/proc').iterdir():
            try:
                fields = (entry / 'stat').read_text().rpartition(')')[2].split() if entry.name.isdigit() else []
            except OSError:
                continue
            if fields and int(fields[3]) == self.pid and fields[0] != 'Z':
                found.append(int(entry.name))
        return found

    def assert_gone(self, seconds: float = 10) -> None:
        """Nothing that it started outlives it."""
        self.wait_until(lambda: not self.family(), seconds)
