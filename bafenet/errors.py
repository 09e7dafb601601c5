"""InputError, the error for bad input that a user sees as one line, and messages of errors made printable."""
from bafenet_command import printable

__all__ = ['InputError', 'first_line', 'one_line', 'printable']


class InputError(ValueError):
    """Bad input from outside: a file, an option, a config value.

    The message is one line that says what is wrong, in which file, and what to do about it. The tools
    print it after ``error:`` and exit with status 2; everything else is a defect and keeps its traceback for
    ``--traceback``.
    """


def one_line(error: BaseException) -> str:
    """The whole message of an error as one printable line, or its type where it has none."""
    return printable(' '.join(str(error).split())) or type(error).__name__


def first_line(error: BaseException) -> str:
    """The first line of an error's message, printable, or its type where it has none."""
    return printable(next(iter(str(error).strip().splitlines()), type(error).__name__))
