"""Silence while networks are built, where the standard output is for results."""
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

from mmengine.logging import MMLogger


@contextmanager
def quiet() -> Iterator[None]:
    """Keep mmengine and optimizers from reporting on the standard output, where our tables go.

    mmengine logs a line for each parameter and warns of each one that is frozen; optimizers print.
    """
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        logger.setLevel(level)
