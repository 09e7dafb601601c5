"""The environments of ``make matrix``: what is installed in them, what a run says, and the table in the docs."""
import sys
from xml.etree import ElementTree

import matrix
import pytest
from matrix import COLUMNS, PAIRS, Pair
from packaging.requirements import Requirement
from packaging.version import Version

HERE = f'{sys.version_info.major}.{sys.version_info.minor}'
ABSENT = Pair('absent', '3.99', 'highest')
BROKEN, FINE = Pair('broken', HERE, 'highest'), Pair('fine', HERE, 'highest')
REPORT = '<testsuites><testsuite>{}</testsuite></testsuites>'
PASSED = '<testcase classname="tests.a" name="good"/>'
SKIPPED = '<testcase classname="tests.a" name="cuda"><skipped/></testcase>'
FAILED = '<testcase classname="tests.b" name="bad[1]"><failure message="assert 1 == 2&#10;more"/></testcase>'
BROKEN_SETUP = '<testcase classname="tests.c" name="setup"><error message="ImportError: x"/></testcase>'


def row(name, **values):
    return dict.fromkeys(COLUMNS, '–') | {'pair': name} | values


def test_pairs_are_the_ends_of_what_is_supported():
    of = {(pair.python, pair.versions, pair.forks) for pair in PAIRS}
    assert {('3.10', 'lowest', False), ('3.13', 'highest', False), ('3.12', 'pinned', True)} <= of
    assert len({pair.name for pair in PAIRS}) == len(PAIRS)


def test_the_lowest_versions_are_the_lower_bounds():
    lines = matrix.constraints(Pair('a', '3.10', 'lowest'))
    assert {'torch==2.6.*', 'torchvision==0.21.*', 'numpy==1.26.*', 'mmcv-lite==2.0.*', 'mmdet==3.3.*'} <= set(lines)
    # Every one that is asked for has a lower bound, which is within what is asked for.
    limits = {one.name: one.specifier for one in map(Requirement, lines)}
    assert limits.keys() == {one.name for one in matrix.requirements(PAIRS[0])}
    for one in matrix.requirements(PAIRS[0]):
        lower = str(limits[one.name]).removeprefix('==').removesuffix('.*')
        assert Version(lower) in one.specifier and Version(lower) in limits[one.name]


def test_forks_stand_in_the_place_of_what_they_fork():
    plain, forks = ({one.name for one in matrix.requirements(Pair('a', '3.12', 'pinned', forks=each))}
                    for each in (False, True))
    assert plain - forks == {'mmengine', 'mmcv-lite', 'mmdet'}
    assert forks - plain == {'onedl-mmengine', 'onedl-mmcv', 'onedl-mmdetection'}
    pinned = dict(line.split('==') for line in matrix.constraints(Pair('a', '3.12', 'pinned')) if '==' in line)
    assert {'torch', 'torchvision', 'mmdet'} <= pinned.keys()


def test_an_interpreter_is_found_by_its_version():
    assert matrix.find_python(HERE) is not None
    assert matrix.find_python('3.99') is None


@pytest.mark.parametrize(('cases', 'code', 'passed', 'text'), [
    (PASSED * 2 + SKIPPED, 0, True, '2 passed'),
    (PASSED + FAILED + BROKEN_SETUP, 1, False, '2 of 3 failed, first tests.b::bad[1]: assert 1 == 2'),
    (BROKEN_SETUP, 2, False, '1 of 1 failed, first tests.c::setup: ImportError: x'),
    (PASSED, 3, False, 'pytest ended with exit code 3'),
    (SKIPPED, 0, False, '0 passed'),
])
def test_what_a_report_says(cases, code, passed, text):
    report = ElementTree.ElementTree(ElementTree.fromstring(REPORT.format(cases)))
    assert matrix.summary(report, code) == (passed, text)


@pytest.fixture
def page(tmp_path, monkeypatch):
    """A page with the row of another pair."""
    file = tmp_path / 'page.md'
    file.write_text(f'# Page\n\n{matrix.table([row("other", NumPy="1.26.4")])}\n\nMore.\n', encoding='utf-8')
    monkeypatch.setattr(matrix, 'PAGE', file)
    monkeypatch.setattr(matrix, 'PAIRS', (ABSENT, BROKEN, FINE, Pair('other', HERE, 'highest')))
    return file


def fake_install(pair, command, folder, log):
    """What making an environment comes to."""
    folder.mkdir()
    if pair is BROKEN:
        raise matrix.StepFailedError('cannot be installed: ERROR: no | such package')
    return folder / 'python'


def test_one_that_fails_does_not_stop_the_rest(page, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(matrix, 'install', fake_install)
    monkeypatch.setattr(matrix, 'installed', lambda python: {'torch': '2.6.0', 'numpy': '1.26.4', 'mmdet': '3.3.0'})
    monkeypatch.setattr(matrix, 'smoke', lambda python, log: (True, '7 passed'))
    run = ['--dir', str(tmp_path / 'runs'), '--pairs']
    assert matrix.main([*run, 'absent', 'broken', 'fine']) == 1
    printed = capsys.readouterr().out
    assert 'absent: not run: Python 3.99 is not installed' in printed
    rows = matrix.rows_of(page.read_text(encoding='utf-8'))
    assert list(rows) == ['broken', 'fine', 'other'] and rows['other'] == row('other', NumPy='1.26.4')
    assert rows['broken']['smoke set'] == r'cannot be installed: ERROR: no \| such package'
    assert rows['fine'] == row('fine', Python=HERE, PyTorch='2.6.0', NumPy='1.26.4', OpenMMLab='mmdet 3.3.0',
                               commit=rows['fine']['commit'], **{'smoke set': '7 passed'})
    assert not [place for place in (tmp_path / 'runs').iterdir() if place.is_dir()]
    assert page.read_text(encoding='utf-8').endswith('\n\nMore.\n')
    # An absent interpreter alone is no success; with one that passes it is no failure.
    assert matrix.main([*run, 'absent']) == 1
    assert matrix.main([*run, 'absent', 'fine', '--keep']) == 0
    assert (tmp_path / 'runs' / 'fine').is_dir()


def test_what_a_command_prints_is_in_the_log(tmp_path):
    log = tmp_path / 'a.log'
    assert matrix.run((sys.executable, '-c', 'print("said"); raise SystemExit(3)'), log, 60) == 3
    assert log.read_text(encoding='utf-8').splitlines()[-1] == 'said'
    with pytest.raises(matrix.StepFailedError, match='not done after 1 s'):
        matrix.run((sys.executable, '-c', 'import time; time.sleep(30)'), log, 1)


def test_the_page_has_rows_of_pairs_that_were_run():
    rows = matrix.rows_of(matrix.PAGE.read_text(encoding='utf-8'))
    pairs = {pair.name: pair for pair in PAIRS}
    assert rows and rows.keys() <= pairs.keys()
    for name, values in rows.items():
        assert values['Python'] == pairs[name].python and not values['smoke set'].startswith('not run')
        assert ('onedl-' in values['OpenMMLab']) == pairs[name].forks
