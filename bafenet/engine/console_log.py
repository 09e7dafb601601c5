"""What of a run's log stands on the console: not the dumps of environment, config and hooks, which the file keeps."""
import logging

from mmengine.logging import MMLogger

from ..errors import printable

# How mmengine begins them, and what it says in each run of its own parts, about which a user can do nothing.
_DUMPS = ('System environment:', 'Config:\n', 'Hooks will be executed in the following order:')
_INNER = ('"FileClient" will be deprecated', '"HardDiskBackend" is the alias', 'Distributed training is not used, all')


def keep_dumps_in_file(logger: MMLogger) -> None:
    """Keep what mmengine dumps at the start of a run, some 500 lines, off the console; a line names the log file.

    Args:
        logger: Of the run. One without a file keeps all on the console.
    """
    if logger.log_file is None:
        return
    for handler in logger.handlers:
        if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
            handler.addFilter(_is_for_console)
    logger.info(f'environment, config and hooks stand in the log file, {printable(logger.log_file)}')


def _is_for_console(record: logging.LogRecord) -> bool:
    return not record.getMessage().lstrip('\n-').startswith((*_DUMPS, *_INNER))
