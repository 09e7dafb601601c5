"""Parallel map over processes that end with their parent, however it ends, with a progress bar or without."""
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from typing import Any, TypeVar

from tqdm import tqdm

from .arguments import MAX_WORKERS, require_number
from .errors import InputError

Item = TypeVar('Item')
Result = TypeVar('Result')

_function: Callable[[Any], Any]


def parallel_map(function: Callable[[Item], Result], items: Sequence[Item],
                 workers: int) -> Generator[Result, None, None]:
    """``map`` in so many processes; the results come in the order of the items.

    An error or an interrupt drops what has not begun. Workers leave Ctrl-C to their parent, and end when it is gone.

    Args:
        function: What to call; it goes to each process once.
        items: What to call it with.
        workers: Processes, at least 1; with 1 none is started.

    Yields:
        The results.

    Raises:
        InputError: If a process was killed, for example for its memory.
    """
    if workers == 1:
        yield from map(function, items)
        return
    pool = ProcessPoolExecutor(min(workers, max(len(items), 1)), initializer=_start_worker, initargs=(function, ))
    try:
        yield from pool.map(_call, items)
    except BrokenProcessPool as error:
        raise InputError('a worker process has died, perhaps killed for its memory; call again with fewer '
                         '--workers') from error
    finally:
        pool.shutdown(cancel_futures=True)


def map_with_progress(function: Callable[[Item], Result], items: Sequence[Item], workers: int, label: str,
                      done: int = 0) -> Generator[Result, None, None]:
    """:func:`parallel_map` with a progress bar on a terminal.

    Args:
        function: What to call.
        items: What to call it with, one image each.
        workers: Processes.
        label: What goes before the bar.
        done: Images that were done before, for the bar.

    Yields:
        The results, in order.

    Raises:
        InputError: If ``workers`` is out of range, or a process was killed.
    """
    require_number('--workers', workers, 1, MAX_WORKERS, whole=True)
    with closing(parallel_map(function, items, workers)) as results:
        yield from tqdm(results, label, done + len(items), initial=done, unit='image', disable=None)


def _call(item: Any) -> Any:
    return _function(item)


def _start_worker(function: Callable[[Any], Any]) -> None:
    global _function
    _function = function
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)
