"""How every tool starts and ends: help, bad options, bad outputs and signals, each answered in one line."""
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import ROOT, load_tool

TOOLS = sorted(str(file.relative_to(ROOT / 'tools')) for file in (ROOT / 'tools').rglob('*.py'))
CONFIG = str(ROOT / 'configs/demo/bafenet_r18_demo.py')
# What each tool needs to start; nothing of it exists, so that the first error shows what is checked first.
ARGUMENTS = {
    'analysis/assignment.py': ['absent.py'],
    'analysis/box_edges.py': ['absent.py'],
    'analysis/calibrate.py': ['absent.json'],
    'analysis/complexity.py': ['absent.py'],
    'analysis/curves.py': ['absent', '--out', 'OUT/curves.png'],
    'analysis/detection_curves.py': ['absent.json', '--out', 'OUT/curves.png'],
    'analysis/error_types.py': ['absent.json'],
    'analysis/exchange.py': ['absent.py', 'absent.pth'],
    'analysis/feature_maps.py': ['absent.pth', '--frames', 'absent.png', '--out', 'OUT/maps.png'],
    'benchmark.py': ['predict', 'absent.py'],
    'classical.py': ['measure', 'absent'],
    'dataset/browse.py': ['absent.py'],
    'dataset/build_library.py': ['absent', '--out', 'OUT/library.npz'],
    'dataset/build_sirst5k.py': ['absent', 'OUT/set'],
    'dataset/check.py': ['absent'],
    'dataset/convert.py': ['absent', 'OUT/devkit', '--from', 'coco'],
    'dataset/densify.py': ['absent', 'OUT/set'],
    'dataset/export_labels.py': ['absent', 'OUT/labels', '--to', 'coco'],
    'dataset/make_demo.py': ['OUT/file/demo', '--images', '3'],
    'dataset/pseudo_sky.py': ['absent'],
    'dataset/recordings.py': ['absent', '--out', 'OUT/splits'],
    'dataset/stats.py': ['absent', '--out', 'OUT/statistics'],
    'export.py': ['absent.pth', 'OUT/weights.pth', '--command', 'c', '--commit', 'c'],
    'predict.py': ['absent.png', '--out', 'OUT/predictions'],
    'model_card.py': ['absent.pth', '--results', 'absent.json'],
    'report.py': ['absent', '--out', 'OUT/report.html'],
    'reproduce.py': ['absent', '--work-dir', 'OUT/runs'],
    'test.py': ['absent.py', 'absent.pth'],
    'train.py': ['absent.py'],
}
# Whose output is asked about before anything is read: the option, empty for a position, and the end of the name.
OUTPUTS = {
    'analysis/assignment.py': ('--out', '.json'),
    'analysis/box_edges.py': ('--out', '.json'),
    'analysis/calibrate.py': ('--out', '.json'),
    'analysis/complexity.py': ('--out', '.json'),
    'analysis/curves.py': ('--out', '.svg'),
    'analysis/detection_curves.py': ('--out', '.svg'),
    'analysis/error_types.py': ('--out', '.json'),
    'analysis/exchange.py': ('--out', '.json'),
    'analysis/feature_maps.py': ('--out', '.png'),
    'benchmark.py': ('--out', '.json'),
    'classical.py': ('--out', '.json'),
    'dataset/browse.py': ('--out', '.png'),
    'dataset/build_library.py': ('--out', '.npz'),
    'export.py': ('', '.pth'),
    'report.py': ('--out', '.html'),
}


@pytest.fixture(autouse=True)
def _in_the_checkout(monkeypatch):
    monkeypatch.chdir(ROOT)
    # Set by train.py and test.py where no launcher has.
    monkeypatch.setenv('LOCAL_RANK', '0')


@pytest.fixture
def call(tmp_path, capsys):
    """Call a tool in this process; gives its exit status and the lines of its standard error."""
    (tmp_path / 'file').write_text('a file')

    def run(name, *arguments):
        argv = [str(argument).replace('OUT', str(tmp_path)) for argument in arguments]
        try:
            status = load_tool(name).main(argv)
        except SystemExit as end:
            status = end.code
        return status, capsys.readouterr().err.splitlines()

    return run


def error_of(outcome):
    """The one line of a tool that has refused its input."""
    status, lines = outcome
    errors = [line for line in lines if line.startswith('error: ')]
    assert status == 2 and len(errors) == 1 and lines[-1] == errors[0], lines
    assert not any('Traceback' in line for line in lines)
    return errors[0]


def test_the_tables_here_know_every_tool():
    assert sorted(ARGUMENTS) == TOOLS


def test_help_of_every_tool_waits_for_no_import():
    code = ('import runpy, sys\n'
            'for name in sys.argv[1:]:\n'
            '    sys.argv = [name, "--help"]\n'
            '    try: runpy.run_path(f"tools/{name}", run_name="__main__")\n'
            '    except SystemExit as end: print(name, end.code, "torch" in sys.modules, "bafenet" in sys.modules)\n')
    run = subprocess.run([sys.executable, '-c', code, *TOOLS], cwd=ROOT, capture_output=True, text=True, timeout=60)
    ends = [line for line in run.stdout.splitlines() if line.split(' ')[0] in TOOLS]
    assert ends == [f'{name} 0 False False' for name in TOOLS], run.stderr
    assert run.stdout.count('--traceback') >= len(TOOLS)


@pytest.mark.parametrize('name', TOOLS)
def test_a_wrong_command_line_is_one_line(call, name):
    for argv in (['--no-such-option'], [*ARGUMENTS[name], '--no-such-option\x1b[31m', '1']):
        line = error_of(call(name, *argv))
        assert '--help' in line and '\x1b' not in line


@pytest.mark.parametrize('name', TOOLS)
def test_absent_input_is_one_line_and_a_traceback_is_shown_on_demand(call, name, tmp_path):
    line = error_of(call(name, *ARGUMENTS[name]))
    assert 'absent' in line or str(tmp_path / 'file') in line
    status, lines = call(name, *ARGUMENTS[name], '--traceback')
    assert status == 2 and lines[-1] == line and any(line.startswith('Traceback') for line in lines)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['file']


def spoiled(kind, folder, suffix):
    """The name of an output that cannot be written."""
    path = {'folder': folder / f'folder{suffix}', 'below a file': folder / 'file' / f'out{suffix}',
            'read-only': f'/proc/out{suffix}', 'device': folder / f'device{suffix}'}[kind]
    if kind == 'folder':
        path.mkdir()
    elif kind == 'device':
        path.symlink_to('/dev/full')
    return str(path)


@pytest.mark.parametrize('kind', ['folder', 'below a file', 'read-only', 'device'])
@pytest.mark.parametrize('name', OUTPUTS)
def test_an_output_that_cannot_be_written_is_refused_before_anything_is_read(call, tmp_path, name, kind):
    option, suffix = OUTPUTS[name]
    out = spoiled(kind, tmp_path, suffix)
    argv = [argument for argument in ARGUMENTS[name] if not argument.startswith('OUT') and argument != '--out']
    if name == 'dataset/browse.py':
        argv = [CONFIG]
    argv[1 if not option else len(argv):1 if not option else len(argv)] = [option, out] if option else [out]
    before = sorted(tmp_path.rglob('*'))
    force = ['--force'] if name in ('export.py', 'dataset/build_library.py') else []
    line = error_of(call(name, *argv, *force))
    assert out in line and 'absent' not in line
    assert sorted(tmp_path.rglob('*')) == before


@pytest.mark.parametrize('kind', ['folder', 'below a file', 'read-only'])
@pytest.mark.parametrize(('name', 'before', 'after'), [
    ('dataset/build_sirst5k.py', ['absent'], []),
    ('dataset/densify.py', ['absent'], []),
    ('reproduce.py', ['III', '--data', 'absent', '--work-dir'], ['--report-only'])])
def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_read(call, tmp_path, name, before, after, kind):
    if kind == 'folder':
        out = tmp_path / 'file'
    else:
        out = spoiled(kind, tmp_path, '')
    line = error_of(call(name, *before, out, *after))
    assert str(out) in line and 'absent' not in line


def test_the_files_of_a_card_are_asked_about_before_the_weights_are_read(call, tmp_path):
    (tmp_path / 'net.pth').write_text('no weights')
    (tmp_path / 'net.md').mkdir()
    line = error_of(call('model_card.py', 'OUT/net.pth', '--results', 'absent.json', '--force'))
    assert 'net.md' in line and 'folder' in line


def test_a_full_disk_is_found_before_the_work(call, monkeypatch):
    def no_room(**options):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr('bafenet.fileio.tempfile.TemporaryFile', no_room)
    line = error_of(call('analysis/error_types.py', 'absent.json', '--out', 'OUT/out.json'))
    assert 'No space left on device' in line and 'out.json' in line


def test_a_missing_folder_of_an_output_is_created(call, tmp_path):
    image = dict(img_id='a', boxes=[[0, 0, 4, 4]], scores=[0.5], labels=[0], gt_boxes=[[0, 0, 4, 4]], gt_labels=[0])
    (tmp_path / 'results.json').write_text(json.dumps(dict(images=[image])))
    assert call('analysis/error_types.py', 'OUT/results.json', '--out', 'OUT/new/folder/out.json')[0] == 0
    assert json.loads((tmp_path / 'new/folder/out.json').read_text())['targets'] == 1


@pytest.mark.parametrize(('name', 'options'), [
    ('analysis/complexity.py', ['--shape', '64', '8193']), ('analysis/complexity.py', ['--shape', '0', '64']),
    ('benchmark.py', ['--shape', '100000', '64']), ('benchmark.py', ['--images', '0']),
    ('dataset/browse.py', ['--cell', '4097']), ('dataset/browse.py', ['--count', '0']),
    ('dataset/browse.py', ['--columns', '-1']), ('dataset/browse.py', ['--epoch', '-1']),
    ('dataset/build_sirst5k.py', ['--alpha', '2']), ('dataset/build_sirst5k.py', ['--window', '1']),
    ('dataset/build_sirst5k.py', ['--max-variance', 'nan']), ('dataset/build_sirst5k.py', ['--size', '0']),
    ('dataset/check.py', ['--workers', '100000']), ('dataset/stats.py', ['--workers', '0']),
    ('dataset/convert.py', ['--threshold', '2']), ('dataset/convert.py', ['--shares', '-1', '0', '1']),
    ('dataset/export_labels.py', ['--min-score', 'nan']),
    ('dataset/densify.py', ['--brightness', 'nan', '1']), ('dataset/densify.py', ['--brightness', '0', 'inf']),
    ('dataset/densify.py', ['--limit', '0']), ('dataset/densify.py', ['--seed', '1.5']),
    ('dataset/make_demo.py', ['--size', '100000']), ('dataset/make_demo.py', ['--seed', '-1']),
    ('dataset/recordings.py', ['--min-matches', '9' * 5000]),
    ('export.py', ['--seed', '-1']), ('reproduce.py', ['--seeds', 'nan']), ('reproduce.py', ['--epochs', '']),
    ('test.py', ['--wait-time', 'nan']), ('test.py', ['--wait-time', '-inf']),
    ('train.py', ['--seed', str(2**32)]), ('train.py', ['--seed', 'x'])])
def test_a_number_out_of_range_is_named_with_its_option(call, name, options):
    assert options[0] in error_of(call(name, *ARGUMENTS[name], *options))


@pytest.mark.parametrize(('task', 'options'), [
    ('augment', ['--cache-mb', 'nan']), ('augment', ['--cache-mb', '-1']), ('model', ['--steps', '0']),
    ('ops', ['--steps', '0']), ('ops', ['--size', '32'])])
def test_numbers_of_the_other_benchmarks(call, task, options):
    assert options[0] in error_of(call('benchmark.py', task, *options))


@pytest.mark.parametrize('options', [['--seeds', '1001'], ['--seeds', '0'], ['--epochs', str(10**9)]])
def test_too_many_runs_or_epochs_are_refused(call, options):
    assert options[0] in error_of(call('reproduce.py', 'III', '--work-dir', 'OUT/runs', *options))


@pytest.mark.faults
def test_a_sheet_that_no_memory_holds_is_refused(call, devkit):
    line = error_of(call('dataset/browse.py', CONFIG, '--out', 'OUT/sheet.png', '--cell', '4096', '--columns', '100',
                         '--cfg-options', f'train_dataloader.dataset.data_root={devkit}'))
    assert '--columns 100' in line and 'million pixels' in line


# --- Real processes ---------------------------------------------------------------------------------------------------


def start(*command):
    return subprocess.Popen([sys.executable, *command], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, env={**os.environ, 'PYTHONPATH': str(ROOT)})


@pytest.mark.parametrize(('number', 'status', 'word', 'delay'), [
    (signal.SIGINT, 130, 'interrupted', 0.4), (signal.SIGTERM, 143, 'terminated', 1.5)])
@pytest.mark.faults
def test_a_signal_during_the_imports_is_one_line(number, status, word, delay):
    process = start('tools/train.py', CONFIG)
    time.sleep(delay)
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == status, errors
    assert errors == (f'{word}: the same command with --resume goes on from the last whole epoch, or starts again '
                      'where there is none\n') and not output


@pytest.mark.faults
@pytest.mark.parametrize(('number', 'status'), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_during_the_work_is_one_line_and_leaves_nothing(tmp_path, number, status):
    process = start('tools/dataset/make_demo.py', str(tmp_path / 'demo'), '--images', '100000', '--workers', '1')
    end = time.monotonic() + 60
    while not any(tmp_path.glob('.*/**/*.png')) and time.monotonic() < end:
        time.sleep(0.05)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == status and 'Traceback' not in errors, errors
    assert 'call it again' in errors.splitlines()[-1]
    assert not any(tmp_path.iterdir())


@pytest.mark.faults
def test_an_output_that_nobody_reads_is_one_line():
    with open('/dev/full', 'w') as full:
        run = subprocess.run([sys.executable, 'tools/dataset/make_demo.py', '--report', '--images', '12', '--size',
                              '96'], cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60,
                             env={**os.environ, 'PYTHONPATH': str(ROOT)})
    assert run.returncode == 2 and run.stderr == 'error: No space left on device\n'
