"""The wheel and what a user has from it: configs, tables, tools, splits, weights, the ``bafenet`` command anywhere."""
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT

import bafenet
from bafenet_command.command import TOOLS, describe_tools, find_tools

FOLDERS = ('bafenet', 'bafenet_command', 'configs', 'tools')
FILES = ('setup.py', 'pyproject.toml', 'README.md', 'LICENSE')
NAME = 'bafenet_hr_tiny'


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    """The wheel of this checkout, built from a copy: setuptools writes beside its sources."""
    source = tmp_path_factory.mktemp('source')
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns('__pycache__', '.*'))
    for name in FILES:
        shutil.copy(ROOT / name, source)
    done = subprocess.run([sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps', '--no-build-isolation',
                           '--no-index', '--wheel-dir', str(source), str(source)], capture_output=True, text=True,
                          timeout=300)
    assert done.returncode == 0, done.stderr
    return next(source.glob('*.whl'))


@pytest.fixture(scope='module')
def site(wheel, tmp_path_factory):
    """The wheel, unpacked as pip does."""
    folder = tmp_path_factory.mktemp('site')
    with zipfile.ZipFile(wheel) as content:
        content.extractall(folder)
    return folder


def call(site, folder, *arguments):
    """Call ``bafenet`` as the console script does, of the unpacked wheel alone."""
    code = 'import sys; from bafenet_command.command import main; main()'
    return subprocess.run([sys.executable, '-c', code, *arguments], cwd=folder, capture_output=True, text=True,
                          timeout=120, env={**os.environ, 'PYTHONPATH': str(site), 'COLUMNS': '100'})


def test_the_wheel_holds_all_that_the_commands_read(site):
    wanted = {Path('bafenet', file.relative_to(ROOT)) for folder in ('configs', 'tools')
              for suffix in ('py', 'yaml') for file in (ROOT / folder).rglob(f'*.{suffix}')}
    wanted |= {file.relative_to(ROOT) for pattern in ('*.py', 'splits/*.txt', 'weights/*.pth', 'weights/*.md',
                                                      'weights/*.json', 'py.typed', 'report/templates/*')
               for folder in ('bafenet', 'bafenet_command') for file in (ROOT / folder).rglob(pattern)}
    names = {str(path) for path in wanted}
    assert any(name.endswith('_rec.txt') for name in names) and any('tables' in name for name in names)
    assert {'bafenet/py.typed', 'bafenet/tools/train.py', f'bafenet/weights/{NAME}.pth'} <= names
    missing = sorted(name for name in names if not (site / name).is_file())
    assert not missing


def test_the_metadata(wheel, site):
    info, = site.glob('bafenet-*.dist-info')
    metadata = (info / 'METADATA').read_text(encoding='utf-8')
    fields = re.findall(r'^(Name|Version|License-Expression|Requires-Python): (.*)$', metadata, re.M)
    assert dict(fields) == {'Name': 'bafenet', 'Version': bafenet.__version__, 'License-Expression': 'Apache-2.0',
                            'Requires-Python': '<3.14,>=3.10'}
    assert 'bafenet = bafenet_command.command:main' in (info / 'entry_points.txt').read_text()


# --- The command ------------------------------------------------------------------------------------------------------


def test_every_tool_has_a_name_of_its_own_and_a_line_in_the_list():
    files = list((ROOT / 'tools').rglob('*.py'))
    tools = find_tools()
    assert TOOLS == ROOT / 'tools' and sorted(tools.values()) == sorted(files)
    listed = re.findall(r'^  (\w+)\s+\w', describe_tools(tools), re.M)
    assert listed == list(tools)


@pytest.mark.parametrize('argv', [[], ['--help'], ['-h']])
def test_the_list_is_shown_in_any_folder(site, tmp_path, argv):
    done = call(site, tmp_path, *argv)
    assert done.returncode == 0 and not done.stderr
    assert all(f'\n  {name} ' in done.stdout for name in find_tools())


def test_the_list_and_help_import_no_pytorch(site, tmp_path):
    code = ('import sys\nfrom bafenet_command.command import main\n'
            'for name in ("", "train"):\n'
            '    sys.argv = ["bafenet", *[name][:len(name)], "--help"]\n'
            '    try: main()\n'
            '    except SystemExit as end: print(end.code, sorted({"torch", "bafenet", "numpy"} & set(sys.modules)))\n')
    done = subprocess.run([sys.executable, '-c', code], cwd=tmp_path, capture_output=True, text=True, timeout=60,
                          env={**os.environ, 'PYTHONPATH': str(site)})
    assert [line for line in done.stdout.splitlines() if line.startswith('0 ')] == ['0 []', '0 []'], done.stderr
    assert 'usage: bafenet train [-h]' in done.stdout


@pytest.mark.parametrize(('name', 'hint'), [
    ('trian', 'did you mean train?'), ('make-demo', 'did you mean make_demo'), ('zzzzzz', 'no such command (bafenet'),
    ('--no-such-option', 'no such command'), ('\x1b[31m', r'\x1b[31m')])
def test_an_unknown_command_is_one_line(site, tmp_path, name, hint):
    done = call(site, tmp_path, name)
    line, = done.stderr.splitlines()
    assert done.returncode == 2 and not done.stdout
    assert line.startswith('error: ') and hint in line and line.isprintable() and '(bafenet --help' in line


def test_the_version(site, tmp_path):
    assert call(site, tmp_path, '--version').stdout == f'bafenet {bafenet.__version__}\n'


@pytest.mark.faults
def test_a_tool_works_far_from_the_checkout(site, tmp_path):
    done = call(site, tmp_path, 'make_demo', 'demo', '--images', '3', '--size', '96', '--workers', '1')
    assert (done.returncode, done.stdout, done.stderr) == (0, 'demo: 3 images written\n', '')


@pytest.mark.faults
def test_messages_name_a_tool_as_it_was_called(site, tmp_path):
    done = call(site, tmp_path, 'reproduce', 'III', '--commands')
    assert done.returncode == 0
    assert all(line.startswith('bafenet train configs/') for line in done.stdout.splitlines()[1::2])
    assert 'bafenet make_demo' in call(site, tmp_path, 'reproduce', 'III').stderr
    assert 'bafenet train' in call(site, tmp_path, 'curves', '--help').stdout
    assert 'tools/train.py' in subprocess.run([sys.executable, find_tools()['curves'], '--help'], capture_output=True,
                                              text=True, timeout=60, env={**os.environ, 'PYTHONPATH': str(ROOT)}).stdout


@pytest.mark.faults
def test_errors_and_statuses_are_those_of_the_scripts(site, tmp_path):
    argv = ['error_types', 'absent.json']
    script = subprocess.run([sys.executable, find_tools()[argv[0]], *argv[1:]], cwd=tmp_path, capture_output=True,
                            text=True, timeout=120, env={**os.environ, 'PYTHONPATH': str(ROOT)})
    done = call(site, tmp_path, *argv)
    assert (done.returncode, done.stdout) == (script.returncode, script.stdout)
    assert done.stderr == script.stderr.replace('tools/test.py', 'bafenet test')
    assert done.returncode == 2
    assert call(site, tmp_path, 'train', '--no-such').stderr.endswith('(bafenet train --help lists the options)\n')


@pytest.mark.faults
def test_python_m_bafenet_is_the_command_and_shipped_weights_are_known_by_name(site, tmp_path):
    argv = ['test', f'configs/bafenet/{NAME}_densesirst.py', NAME, '--cfg-options',
            'test_dataloader.dataset.data_root=absent']
    done = subprocess.run([sys.executable, '-m', 'bafenet', *argv], cwd=tmp_path, capture_output=True, text=True,
                          timeout=120, env={**os.environ, 'PYTHONPATH': str(site)})
    assert done.returncode == 2 and 'absent' in done.stderr.splitlines()[-1], done.stderr
    code = ('import bafenet; from mmengine.runner import CheckpointLoader\n'
            f'print(bafenet.__file__, len(CheckpointLoader.load_checkpoint("{NAME}")["state_dict"]))')
    shown = subprocess.run([sys.executable, '-c', code], cwd=tmp_path, capture_output=True, text=True, timeout=120,
                           env={**os.environ, 'PYTHONPATH': str(site)})
    path, count = shown.stdout.split()[-2:]
    assert Path(path).is_relative_to(site) and int(count) > 100, shown.stderr
