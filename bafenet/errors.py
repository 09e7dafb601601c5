"""The error that a user sees as one line, and what others say in one."""


class InputError(ValueError):
    """Bad input from outside: a file, an option, a config value.

    The message is one line that says what is wrong, in which file, and what to do about it. The tools
    print it after ``error:`` and exit with status 2; everything else is a defect and keeps its traceback.
    """


def one_line(error: BaseException) -> str:
    """The whole message of an error as one line, or its type where it has none."""
    return ' '.join(str(error).split()) or type(error).__name__


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its type where it has none."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
