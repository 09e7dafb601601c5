"""Every tool and bad input of every kind: one line that names it, status 2, and every file as it was."""
import json
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from bad_inputs import CHECKPOINTS
from conftest import ROOT, load_tool
from rows import COMMANDS, QUICK, SLOW, VALUES, Row
from runs import CONFIG, environment, options

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'tools'))
from test_every_tool import ARGUMENTS  # noqa: E402

from bafenet.engine import train  # noqa: E402

SHIPPED = ROOT / 'bafenet/weights/bafenet_hr_tiny.pth'


def state(folder: Path) -> dict[str, object]:
    """Every file below a folder: its content, or what it is. What a run logs is left out."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() and not path.is_symlink() else
            stat.S_IFMT(path.lstat().st_mode) for path in sorted(folder.rglob('*'))
            if path.name != 'run' and not (path.is_relative_to(folder / 'out/run') and path.suffix != '.pth')}


@pytest.fixture(scope='module')
def trained(devkit, tmp_path_factory) -> Path:
    """A checkpoint of one epoch."""
    folder = tmp_path_factory.mktemp('trained')
    train.train(str(ROOT / CONFIG), work_dir=str(folder), cfg_options=options(devkit, **{'train_cfg.max_epochs': 1}))
    return folder / 'epoch_1.pth'


@pytest.fixture
def call(devkit, tmp_path, monkeypatch, request):
    """Lay out a row's inputs; gives the tool and its arguments."""
    monkeypatch.setenv('LOCAL_RANK', '0')

    def lay_out(row: Row) -> 'tuple[str, list[str]]':
        kit, bad = devkit, tmp_path / f'bad{row.suffix}'
        (tmp_path / 'out').mkdir()
        if row.kit:
            kit = shutil.copytree(devkit, tmp_path / 'kit')
            row.kit(kit)
        if row.spoiled == 'below a file':
            bad = tmp_path / 'file' / bad.name
        if row.bad in CHECKPOINTS.values() or 'GOOD' in COMMANDS[row.command]:
            needs_training = row.command in ('resume', 'test BAD', 'pretrained')
            shutil.copy(request.getfixturevalue('trained') if needs_training else SHIPPED, tmp_path / 'good.pth')
        if row.bad:
            row.bad(bad)
        places = {'KIT': kit, 'BAD': bad, 'OUT': tmp_path / 'out', 'CONFIG': ROOT / CONFIG, 'NET': 'absent.pth',
                  'GOOD': tmp_path / 'good.pth'}
        if 'NET' in COMMANDS[row.command] and row.kit:
            places['NET'] = request.getfixturevalue('trained')
        tool, *words = f'{COMMANDS[row.command]} {row.more}'.split()
        argv = []
        for word in words:
            argv += (['--cfg-options', *options(kit)] if word == 'ON_KIT' else
                     [re.sub('|'.join(places), lambda match: str(places[match[0]]), word)])
        return tool, argv

    return lay_out


def check(row: Row, call, folder: Path, capfd) -> None:
    """Call a row's tool, and look at all that is promised."""
    tool, argv = call(row)
    before = state(folder)
    capfd.readouterr()
    try:
        status = load_tool(tool).main(argv)
    except SystemExit as end:
        status = end.code
    output, errors = capfd.readouterr()
    # OpenCV's own complaint of a damaged file.
    errors = re.sub(r'^\[ WARN:.*\n', '', errors, flags=re.MULTILINE)
    problems = row.command == 'check' and status == 1
    lines = output.splitlines() if problems else errors.splitlines()
    assert status == (1 if problems else 2), (output[-1000:], errors)
    assert problems or (len(lines) == 1 and lines[0].startswith('error: ')), errors
    assert not problems or not errors
    assert 'Traceback' not in output + errors and '\x1b' not in errors
    assert all(line.isprintable() for line in lines)
    assert re.search(row.names.replace('KIT', str(folder / 'kit')), '\n'.join(lines)), lines
    assert state(folder) == before
    assert not [path for path in folder.rglob('*.pth') if path.name not in ('good.pth', 'bad.pth')]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    """So that a file with a default name would be seen."""
    monkeypatch.chdir(tmp_path)


def test_the_table_knows_every_tool():
    tools = {str(file.relative_to(ROOT / 'tools')) for file in (ROOT / 'tools').rglob('*.py')}
    assert {COMMANDS[row.command].split()[0] for row in QUICK + VALUES + SLOW} == tools


@pytest.mark.parametrize('row', [*QUICK, VALUES[0]], ids=str)
def test_a_bad_input_is_one_line_that_names_it(row, call, tmp_path, capfd):
    check(row, call, tmp_path, capfd)


@pytest.mark.faults
@pytest.mark.parametrize('row', SLOW, ids=str)
def test_a_bad_input_is_one_line_that_names_it_slowly(row, call, tmp_path, capfd):
    check(row, call, tmp_path, capfd)


# One process imports, and each tool runs in a child of its own, which ends as a script does.
SCRIPTS = '''
import gc, json, os, runpy, sys
import bafenet.engine.train, bafenet.engine.test, bafenet.reproduction.reproduce, bafenet.synthesis.densify
gc.freeze()  # or each child would copy all memory to look for garbage as it ends
for argv in json.loads(sys.argv[1]):
    pid = os.fork()
    if pid == 0:
        sys.argv = argv
        runpy.run_path(argv[0], run_name='__main__')
        os._exit(99)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
'''


@pytest.mark.faults
def test_every_tool_ends_its_process_with_status_2(tmp_path):
    (tmp_path / 'file').write_text('a file')
    calls = [[f'tools/{tool}', *(word.replace('OUT', str(tmp_path)) for word in words)]
             for tool, words in sorted(ARGUMENTS.items())]
    run = subprocess.run([sys.executable, '-c', SCRIPTS, json.dumps(calls)], cwd=ROOT, env=environment(), timeout=120,
                         capture_output=True, text=True)
    assert run.stdout.split() == ['2'] * len(calls), run.stderr
    assert len(run.stderr.splitlines()) == len(calls), run.stderr
    assert all(line.startswith('error: ') and line.isprintable() for line in run.stderr.splitlines()), run.stderr
    assert [path.name for path in tmp_path.iterdir()] == ['file']
