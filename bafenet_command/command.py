"""The console command ``bafenet``: lists the tools of ``tools/`` and runs one, as ``bafenet train CONFIG``."""
import ast
import difflib
import runpy
import shutil
import sys
import textwrap
from pathlib import Path
from typing import NoReturn

from .one_line import one_line_errors, say
from .parser import BAD_INPUT, Parser, printable
from .tool_files import PACKAGE, TOOLS, find_tools


def main() -> NoReturn:
    """Run what ``sys.argv`` asks for, and exit with its status: 2 for an unknown command."""
    name, *arguments = sys.argv[1:] or ['--help']
    tools = find_tools()
    if name not in tools:
        with one_line_errors(process_ends=True):
            sys.exit(_answer(name, tools))
    sys.argv = ['bafenet', *arguments]
    Parser.command = f'bafenet {name}'
    # As a script: the same help, errors and signals.
    runpy.run_path(str(tools[name]), run_name='__main__')
    sys.exit(0)


def _answer(name: str, tools: dict[str, Path]) -> int:
    if name in ('-h', '--help'):
        print(describe_tools(tools))
    elif name == '--version':
        print('bafenet', runpy.run_path(str(PACKAGE / '_version.py'))['__version__'])
    else:
        close = difflib.get_close_matches(name.replace('-', '_'), tools, cutoff=0.5)
        hint = f'; did you mean {" or ".join(close)}?' if close else ''
        say(f'error: {printable(name[:40])}: there is no such command{hint} (bafenet --help lists them)')
        return BAD_INPUT
    return 0


def describe_tools(tools: dict[str, Path]) -> str:
    """The names of tools with the first line of what each says of itself, a paragraph for each folder."""
    width = max(map(len, tools), default=0) + 4
    columns = max(shutil.get_terminal_size().columns, width + 40)
    lines = ['usage: bafenet COMMAND [ARGUMENT ...]']
    folder = None
    for name, file in tools.items():
        if file.parent != folder:
            folder = file.parent
            lines += ['', f'{"commands" if folder == TOOLS else folder.name}:']
        text = (ast.get_docstring(ast.parse(file.read_text(encoding='utf-8'))) or '').split('\n', 1)[0]
        lines += textwrap.wrap(text, columns, initial_indent=f'  {name}'.ljust(width), subsequent_indent=' ' * width)
    return '\n'.join([*lines, '', 'bafenet COMMAND --help lists what a command takes.'])
