"""A disk that fills up during the work: one line, no half-written file, and the same call goes on with room."""
import json
import resource
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from children import Child
from conftest import ROOT, draw_scene, write_devkit
from runs import CONFIG, options

SHIPPED = ROOT / 'bafenet/weights/bafenet_hr_tiny.pth'


@pytest.fixture(scope='module')
def large(tmp_path_factory) -> Path:
    """A devkit whose every product is larger than a few kilobytes."""
    rng = np.random.default_rng(0)
    names = [f'scene_{index}' for index in range(12)]
    return write_devkit(tmp_path_factory.mktemp('large') / 'kit', {name: draw_scene(rng, 192, 60) for name in names},
                        {'train_v2': names[:8], 'val_v2': names[8:10], 'test_v2': names[10:]})


def full_after_the_check(limit: int) -> Callable[[], None]:
    """Let files grow to so many bytes only, once a place has been found to be writable."""

    def prepare() -> None:
        from bafenet import fileio
        check = fileio._require_room

        def check_and_fill(*args: object) -> None:
            check(*args)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))

        fileio._require_room = check_and_fill

    return prepare


def state(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob('*')) if path.is_file()}


# Of each tool: arguments, the file that has no room, and how many bytes there are.
CALLS = {
    'dataset/build_library.py': (['KIT', '--out', 'OUT/library.npz'], 'library.npz', 2000),
    'dataset/check.py': (['KIT', '--json', 'OUT/found.json'], 'found.json', 300),
    'dataset/stats.py': (['KIT', '--out', 'OUT/statistics'], 'statistics', 2000),
    'dataset/make_demo.py': (['OUT/demo', '--images', '3', '--size', '96', '--workers', '1'], 'demo', 3000),
    'dataset/densify.py': (['KIT', 'OUT/dense'], 'dense', 3000),
    'dataset/browse.py': ([CONFIG, '--out', 'OUT/sheet.png', '--count', '2', 'ON_KIT'], 'sheet.png', 3000),
    'analysis/curves.py': (['SCALARS', '--out', 'OUT/curves.png'], 'curves.png', 1000),
    'analysis/calibrate.py': (['RESULTS', '--out', 'OUT/calibration.json'], 'calibration.json', 50),
    'analysis/error_types.py': (['RESULTS', '--out', 'OUT/errors.json'], 'errors.json', 50),
    'analysis/detection_curves.py': (['RESULTS', '--out', 'OUT/detections.png'], 'detections.png', 1000),
    'report.py': (['RESULTS', '--out', 'OUT/report.html'], 'report.html', 3000),
    'export.py': ([SHIPPED, 'OUT/net.pth', '--command', 'c', '--commit', 'c'], 'net.pth', 70_000),
}
QUICK = ('dataset/build_library.py', 'dataset/check.py')


def arguments(words: list[object], kit: Path, folder: Path) -> list[str]:
    scalars, results = folder / 'scalars.json', folder / 'results.json'
    scalars.write_text('{"loss": 1, "step": 1}\n')
    image = dict(img_id='a', boxes=[[0, 0, 4, 4], [20, 20, 24, 24]], scores=[0.5, 0.4], labels=[0, 0],
                 gt_boxes=[[0, 0, 4, 4]], gt_labels=[0])
    results.write_text(json.dumps(dict(images=[image])))
    places = {'SCALARS': scalars, 'RESULTS': results, 'KIT': kit}
    argv = []
    for word in map(str, words):
        argv += ['--cfg-options', *options(kit)] if word == 'ON_KIT' else [
            str(places.get(word, word.replace('OUT', str(folder / 'out'))))]
    return argv


def assert_refused_and_done_later(tool: str, argv: list[str], name: str, limit: int, folder: Path) -> None:
    """Call a tool on a full disk, and again with room."""
    before = state(folder)
    status, errors = Child(tool, argv, full_after_the_check(limit)).wait()
    assert status == 2 and len(errors.splitlines()) == 1 and errors.startswith('error: '), errors
    assert name in errors and 'File too large' in errors and 'Traceback' not in errors, errors
    after = state(folder)
    assert {key: after.get(key) for key in before} == before
    if tool != 'dataset/densify.py':  # whose unfinished set is gone on with
        assert not [key for key in after if name in key and key not in before], sorted(after)
    assert not [key for key in after if '-bafenet-' in key]
    status, errors = Child(tool, argv).wait()
    assert status == 0, errors
    assert any(name in key for key in state(folder))


@pytest.mark.parametrize('tool', QUICK)
def test_a_disk_that_fills_is_one_line_and_leaves_nothing(tool, large, tmp_path):
    words, name, limit = CALLS[tool]
    assert_refused_and_done_later(tool, arguments(words, large, tmp_path), name, limit, tmp_path)


@pytest.mark.faults
@pytest.mark.parametrize('tool', sorted(set(CALLS) - set(QUICK)))
def test_a_disk_that_fills_is_one_line_and_leaves_nothing_elsewhere(tool, large, tmp_path):
    words, name, limit = CALLS[tool]
    assert_refused_and_done_later(tool, arguments(words, large, tmp_path), name, limit, tmp_path)


# --- A small file system ----------------------------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path):
    """Gives a folder that is a file system of so many KiB."""
    mounted = []

    def mount(kilobytes: int) -> Path:
        folder = tmp_path / f'disk{len(mounted)}'
        folder.mkdir()
        call = ['mount', '-t', 'tmpfs', '-o', f'size={kilobytes}k', 'none', str(folder)]
        try:
            done = subprocess.run(call, capture_output=True).returncode == 0
        except FileNotFoundError:
            done = False
        if not done:
            pytest.skip('no file system can be mounted here')
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(['umount', '-l', str(folder)], check=True)


def grow(folder: Path) -> None:
    subprocess.run(['mount', '-o', 'remount,size=200m', str(folder)], check=True)


@pytest.mark.faults
def test_a_training_whose_disk_fills_keeps_its_checkpoints_and_goes_on(devkit, disk):
    folder = disk(12_000)
    argv = [CONFIG, '--work-dir', folder / 'run', '--cfg-options', *options(devkit, **{'train_cfg.max_epochs': 4})]
    status, errors = Child('train.py', argv).wait()
    assert status == 2 and 'Traceback' not in errors, errors
    assert 'No space left on device' in errors.splitlines()[-1] and '.pth' in errors.splitlines()[-1], errors
    assert not list(folder.rglob('*-bafenet-*'))
    last = Path((folder / 'run/last_checkpoint').read_text())
    assert last.is_file()
    grow(folder)
    status, errors = Child('train.py', [*argv[:3], '--resume', *argv[3:]]).wait()
    assert status == 0, errors
    assert (folder / 'run/epoch_4.pth').is_file()


@pytest.mark.faults
def test_detections_that_have_no_room_are_kept_elsewhere(devkit, tmp_path, monkeypatch):
    (tmp_path / 'refuge').mkdir()
    monkeypatch.setenv('TMPDIR', str(tmp_path / 'refuge'))
    config = ROOT / CONFIG
    argv = [config, '--work-dir', tmp_path / 'run', '--cfg-options', *options(devkit, **{'train_cfg.max_epochs': 1})]
    assert Child('train.py', argv).wait()[0] == 0
    out = tmp_path / 'results.json'

    def prepare() -> None:
        import tempfile
        tempfile.tempdir = None
        from bafenet.engine import test
        write = test.write_json

        def no_room(path: object, content: object) -> None:
            if str(path) == str(out):
                raise OSError(28, 'No space left on device', str(path))
            write(path, content)

        test.write_json = no_room

    argv = [config, tmp_path / 'run/epoch_1.pth', '--work-dir', tmp_path / 'run', '--out', out, '--cfg-options']
    status, errors = Child('test.py', [*argv, *options(devkit)], prepare).wait()
    assert status == 2 and not out.exists(), errors
    line = errors.splitlines()[-1]
    kept = list((tmp_path / 'refuge').rglob('results.json'))
    assert len(kept) == 1 and str(kept[0]) in line and str(out) in line, errors
    assert len(json.loads(kept[0].read_text())['images']) == 2


@pytest.mark.faults
def test_a_table_whose_disk_fills_goes_on(devkit, disk, tmp_path):
    folder = disk(1000)
    (tmp_path / 'I.yaml').write_text(json.dumps(dict(title='t', source='s', rows=[
        dict(key='row', label='row', base=dict(demo=str(ROOT / CONFIG)))])))
    settings = [option for option in options(devkit) if 'max_epochs' not in option and 'data_root' not in option]
    argv = [tmp_path / 'I.yaml', '--seeds', '1', '--epochs', '1', '--data', devkit, '--work-dir', folder / 'runs',
            '--cfg-options', *settings]
    status, errors = Child('reproduce.py', argv).wait()
    assert status in (1, 2) and 'Traceback' not in errors, errors
    assert any(line.startswith('error: ') and 'No space left' in line for line in errors.splitlines()), errors
    assert not list(folder.rglob('*-bafenet-*'))
    grow(folder)
    status, errors = Child('reproduce.py', argv).wait()
    assert status == 0, errors
    assert (folder / 'runs/demo/table_I.json').is_file()
