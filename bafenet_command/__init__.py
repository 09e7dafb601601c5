"""How every tool starts and ends, and the ``bafenet`` command that runs them.

- parser.py: the parser of their command lines
- one_line.py: errors and interrupts in one line; signals.py: SIGINT and SIGTERM as exceptions
- command.py: ``bafenet COMMAND …``; tool_files.py: where the tools are, and how a user calls one

Nothing of the package ``bafenet`` is imported here: PyTorch takes seconds, and Ctrl-C must be answered during them too.
"""
from .one_line import complain, describe, one_line_errors, tool
from .parser import Parser, printable, real, whole
from .signals import Terminated
from .tool_files import call_of

__all__ = ['Parser', 'Terminated', 'call_of', 'complain', 'describe', 'one_line_errors', 'printable', 'real', 'tool',
           'whole']
