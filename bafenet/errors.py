"""The error that a user sees as one line."""


class InputError(ValueError):
    """Bad input from outside: a file, an option, a config value.

    The message is one line that says what is wrong, in which file, and what to do about it. The tools
    print it after ``error:`` and exit with status 2; everything else is a defect and keeps its traceback.
    """
