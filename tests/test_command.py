"""How an error or an interrupt becomes one line and a status, whatever has wrapped it."""
import contextlib
import importlib
import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import ROOT

from bafenet_command import Parser, Terminated, command, describe, one_line_errors, real, tool, whole


def status_of(action):
    with pytest.raises(SystemExit) as caught, one_line_errors('go on'):
        action()
    return caught.value.code


@pytest.mark.parametrize(('interrupt', 'status', 'word'), [
    (KeyboardInterrupt(), 130, 'interrupted'), (Terminated(), 143, 'terminated')])
def test_an_interrupt_that_a_library_has_caught_is_one_still(capsys, interrupt, status, word):
    def action():
        # As mmengine does when it lays out a config.
        try:
            raise interrupt
        except:  # noqa: E722
            raise SyntaxError('Failed to format the config file')  # noqa: B904

    assert status_of(action) == status
    assert capsys.readouterr().err == f'{word}: go on\n'


def test_a_long_message_is_cut(capsys):
    def action():
        raise SyntaxError('Failed\n' + 'x' * 9000)

    assert status_of(action) == 2
    line, = capsys.readouterr().err.splitlines()
    assert line.startswith('error: SyntaxError: Failed xxx') and len(line) < 500 and '--traceback' in line


@pytest.mark.parametrize(('number', 'status'), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_is_an_exception_within_a_tool_and_nothing_new_beyond(number, status):
    before = signal.getsignal(number), sys.excepthook
    assert status_of(lambda: os.kill(os.getpid(), number)) == status
    assert (signal.getsignal(number), sys.excepthook) == before


def test_a_child_that_ends_with_an_interrupted_run_raises_nothing_more():
    def fail(number, frame):
        raise RuntimeError('DataLoader worker is killed')

    def action():
        child = os.fork()
        if not child:
            signal.pause()
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)

    before = signal.signal(signal.SIGCHLD, fail)
    try:
        assert status_of(action) == 143
    finally:
        signal.signal(signal.SIGCHLD, before)


@pytest.mark.parametrize(('number', 'status'), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize('place', ['a finaliser', 'an except'])
def test_a_signal_that_was_lost_comes_again(capsys, monkeypatch, number, status, place):
    monkeypatch.setattr('bafenet_command.signals._AGAIN', 0.3)

    class Closes:
        """As PyTorch's loader, which waits for its processes in its finaliser."""

        def __del__(self):
            os.kill(os.getpid(), number)
            time.sleep(0.05)

    def action():
        if place == 'a finaliser':
            Closes()
        else:
            with contextlib.suppress(BaseException):
                os.kill(os.getpid(), number)
                time.sleep(0.05)
        time.sleep(20)

    begin = time.monotonic()
    assert status_of(action) == status
    assert time.monotonic() - begin < 10 and len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(('number', 'status'), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_waits_for_the_end_of_an_import(tmp_path, monkeypatch, number, status):
    """An exception in the middle of it aborts the process where C++ has called Python."""
    (tmp_path / f'slow_library_{int(number)}.py').write_text(
        f'import os, time\nos.kill(os.getpid(), {int(number)})\ntime.sleep(0.2)\nos.environ["IMPORTED"] = "whole"\n')
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv('IMPORTED', 'begun')
    with pytest.raises(SystemExit) as ended, one_line_errors():
        importlib.import_module(f'slow_library_{int(number)}')
        time.sleep(5)
    assert ended.value.code == status
    assert os.environ['IMPORTED'] == 'whole'


def test_a_signal_does_not_wait_for_an_import_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr('bafenet_command.signals._LONGEST_IMPORT', 0.2)
    (tmp_path / 'endless_library.py').write_text(
        f'import os, time\nos.kill(os.getpid(), {int(signal.SIGINT)})\nfor _ in range(100):\n    time.sleep(0.1)\n')
    monkeypatch.syspath_prepend(tmp_path)
    started = time.monotonic()
    with pytest.raises(SystemExit) as ended, one_line_errors():
        import endless_library  # noqa: F401
    assert ended.value.code == 130
    assert time.monotonic() - started < 8


def test_an_ignored_interrupt_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with one_line_errors():
            os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_child_says_nothing_of_its_parents_end(capfd):
    def action():
        child = os.fork()
        if not child:
            sys.excepthook(*error_info(ConnectionResetError()))
            sys.excepthook(*error_info(ValueError('a defect')))
            sys.stderr.flush()
            os._exit(0)
        os.waitpid(child, 0)
        raise ValueError('the parent')

    assert status_of(action) == 2
    errors = capfd.readouterr().err
    assert 'ConnectionResetError' not in errors and 'a defect' in errors and 'the parent' in errors


def error_info(error):
    return type(error), error, None


@pytest.mark.parametrize(('kind', 'text', 'value'), [
    (whole(), '-3', -3), (whole(1, 5), '5', 5), (whole(0), '0', 0), (real(0, 1), '0.5', 0.5), (real(), '-1e3', -1000)])
def test_numbers_of_the_command_line(kind, text, value):
    assert kind(text) == value


@pytest.mark.parametrize(('kind', 'text', 'message'), [
    (whole(1, 5), '6', '6: give a whole number from 1 to 5'), (whole(1), '0', 'of at least 1'),
    (whole(), '1.0', 'a whole number'), (whole(None, 5), '6', 'of at most 5'), (whole(), '9' * 5000, 'a whole number'),
    (whole(), '', 'a whole number'), (real(), 'nan', 'give a number'), (real(), 'inf', 'give a number'),
    (real(0, 1), '1e999', 'from 0 to 1'), (whole(0, 9), '9' * 4000, 'from 0 to 9'), (real(), '\x1b[31m', 'give a')])
def test_numbers_that_are_none_are_named_with_their_option(capsys, kind, text, message):
    @tool()
    def main(argv=None):
        parser = Parser(prog='x')
        parser.add_argument('--number', type=kind)
        parser.parse_args(argv)

    with pytest.raises(SystemExit, match='2'):
        main([f'--number={text}'])
    line, = capsys.readouterr().err.splitlines()
    assert line.startswith('error: --number ') and message in line and line.isprintable() and len(line) < 200


def test_an_error_of_the_system_names_its_file():
    assert describe(PermissionError(13, 'Permission denied', 'a\x1b.txt')) == r'a\x1b.txt: Permission denied'


def test_a_name_that_is_not_utf_8_is_named():
    try:
        '/data/run\udcff'.encode()
    except UnicodeEncodeError as error:
        line = describe(error)
    assert r'/data/run\udcff' in line and 'not UTF-8' in line and line.isprintable()


def test_a_line_holds_no_text_of_any_length(capsys):
    with pytest.raises(SystemExit, match='2'), one_line_errors():
        raise RuntimeError('x' * 10**6)
    with pytest.raises(SystemExit, match='2'), one_line_errors():
        raise type('InputError', (ValueError, ), {})(f'file: {"x" * 10**6}: give another')
    first, second = capsys.readouterr().err.splitlines()
    assert max(len(first), len(second)) < 3100 and second.startswith('error: file: x') and second.endswith('another')


PRINTS = """
import logging, sys
from bafenet_command import tool

@tool()
def main(argv=None):
    handler = logging.StreamHandler(sys.stdout)
    for _ in range(3):
        handler.emit(logging.LogRecord('x', 20, '', 0, 'a line that is logged', (), None))
    print('a sign: \\u2026')
    if argv:
        raise ValueError('wrong')

sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(('shell', 'status', 'errors'), [
    ('{} >&-', 0, 0), ('{} wrong >&-', 2, 1), ('{} wrong 2>&-', 2, 0), ('{} wrong <&- >&- 2>&-', 2, 0),
    ('{} wrong 2>/dev/full', 2, 0), ('{} >/dev/full', 0, 1), ('LC_ALL=C PYTHONUTF8=0 PYTHONIOENCODING=ascii {}', 0, 0)])
def test_streams_that_are_closed_full_or_poor_in_signs_cost_no_traceback(tmp_path, shell, status, errors):
    file = tmp_path / 'tool.py'
    file.write_text(PRINTS)
    run = subprocess.run(shell.format(f'{sys.executable} {file}'), shell=True, capture_output=True, text=True,
                         timeout=60, env={**os.environ, 'PYTHONPATH': str(ROOT)})
    lines = run.stderr.splitlines()
    assert run.returncode == status and len(lines) == errors and not any('Traceback' in line for line in lines), lines


SLOW_TO_END = """
import os, signal, sys
from bafenet_command import tool

class Slow:
    def __del__(self):
        os.kill(os.getpid(), {again})

@tool()
def main(argv=None):
    {first}
    return 0

slow = Slow()
sys.exit(main())
"""


@pytest.mark.parametrize(('first', 'status', 'lines'), [
    ('os.kill(os.getpid(), signal.SIGINT)', 130, 1), ('os.kill(os.getpid(), signal.SIGTERM)', 143, 1), ('pass', 0, 0)])
@pytest.mark.parametrize('again', ['signal.SIGINT', 'signal.SIGTERM'])
def test_a_signal_while_the_process_ends_changes_nothing(tmp_path, first, status, lines, again):
    file = tmp_path / 'tool.py'
    file.write_text(SLOW_TO_END.format(first=first, again=again))
    run = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, timeout=60,
                         env={**os.environ, 'PYTHONPATH': str(ROOT)})
    assert run.returncode == status and len(run.stderr.splitlines()) == lines, run.stderr


LOST = """
import os, signal, sys, time
from bafenet_command import tool

class Loader:
    def __del__(self):
        os.kill(os.getpid(), {number})
        time.sleep(0.01)

@tool()
def main(argv=None):
    Loader()
    time.sleep(30)

sys.exit(main())
"""


@pytest.mark.parametrize(('number', 'status'), [('signal.SIGINT', 130), ('signal.SIGTERM', 143)])
def test_a_signal_where_python_ignores_exceptions_is_not_lost(tmp_path, number, status):
    file = tmp_path / 'tool.py'
    file.write_text(LOST.format(number=number))
    run = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, timeout=25,
                         env={**os.environ, 'PYTHONPATH': str(ROOT)})
    assert run.returncode == status and len(run.stderr.splitlines()) == 1, run.stderr


def fail_in_a_library():
    [].foo  # noqa: B018


def test_a_defect_names_the_line_that_raised_it(capsys):
    assert status_of(fail_in_a_library) == 2
    line = fail_in_a_library.__code__.co_firstlineno + 1
    assert capsys.readouterr().err == (f"error: AttributeError: 'list' object has no attribute 'foo' (test_command.py:"
                                       f'{line}; --traceback shows how it came there)\n')


def test_a_defect_in_a_constructor_that_is_raised_anew_names_its_line(capsys):
    def build():
        try:
            fail_in_a_library()
        except AttributeError as error:
            # As mmengine's registries do.
            raise type(error)(f'class `Own` in own.py: {error}')  # noqa: B904

    assert status_of(build) == 2
    assert f'(test_command.py:{fail_in_a_library.__code__.co_firstlineno + 1};' in capsys.readouterr().err


def test_a_defect_in_a_worker_names_its_line_and_its_type_once():
    error = KeyError('Caught KeyError in DataLoader worker process 0.\nTraceback (most recent call last):\n'
                     '  File "/a/worker.py", line 3, in loop\n    x\n  File "/a/own.py", line 17, in transform\n    x\n'
                     "KeyError: 'gt_boxes'")

    class WorkerError(KeyError):
        """Prints its message as it is, as that of torch.utils.data does."""

        def __str__(self):
            return self.args[0]

    assert describe(WorkerError(*error.args)) == "KeyError: 'gt_boxes' (own.py:17; --traceback shows how it came there)"


def test_options_are_not_cut_short(capsys):
    parser = Parser(prog='x')
    parser.add_argument('--work-dir')
    with pytest.raises(SystemExit):
        parser.parse_args(['--work', 'a'])
    assert 'unrecognized arguments: --work a' in capsys.readouterr().err


@pytest.mark.parametrize(('arguments', 'hint'), [
    (['dataset', 'check'], 'did you mean check?'), (['analysis', 'nope'], 'did you mean assignment or '),
    (['dataset/check'], 'did you mean')])
def test_a_folder_of_tools_is_no_command_and_what_is_in_it_is_named(capsys, arguments, hint):
    # Not by main(), which leaves signals ignored, as a process that ends may.
    assert command._answer(arguments[0], arguments[1:], command.find_tools()) == 2
    assert f'error: {arguments[0]}: there is no such command; {hint}' in capsys.readouterr().err
