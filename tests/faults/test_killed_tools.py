"""Densify, make_demo and reproduce that are killed go on, and end byte by byte where an unbroken call does."""
import hashlib
import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from children import Child
from conftest import ROOT, draw_scene, write_devkit
from runs import CONFIG, options

pytestmark = pytest.mark.faults
SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
MOMENTS = [0.02, 0.2]


def contents(folder: Path) -> dict[str, str]:
    """Every file with a digest of its bytes, hidden ones too but for the lock."""
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob('*')) if path.is_file() and path.name != '.lock'}


def without_order(folder: Path) -> dict[str, str]:
    return {name: digest for name, digest in contents(folder).items() if name != 'densify_images.jsonl'}


@pytest.fixture(scope='module')
def source(tmp_path_factory) -> Path:
    """A devkit that takes a second or two to densify."""
    rng = np.random.default_rng(0)
    names = [f'scene_{index:03}' for index in range(60)]
    return write_devkit(tmp_path_factory.mktemp('source') / 'kit', {name: draw_scene(rng, 320) for name in names},
                        {'train_v2': names[:40], 'val_v2': names[40:50], 'test_v2': names[50:]})


def densify(source: Path, out: Path):
    return 'dataset/densify.py', [source, out, '--workers', '2', '--seed', '3']


def make_demo(source: Path, out: Path):
    return 'dataset/make_demo.py', [out, '--workers', '2', '--images', '60', '--size', '192']


TOOLS = [densify, make_demo]


@pytest.fixture(scope='module')
def whole(source, tmp_path_factory) -> dict[str, Path]:
    """What each makes where nothing breaks it."""
    folder = tmp_path_factory.mktemp('whole')
    for tool in TOOLS:
        assert Child(*tool(source, folder / tool.__name__)).wait()[0] == 0
    return {tool.__name__: folder / tool.__name__ for tool in TOOLS}


def is_working(out: Path) -> bool:
    return any(out.parent.glob(f'{out.name}/PNGImages/*')) or any(out.parent.glob(f'.{out.name}-*/**/*.png'))


def assert_ends_alike(tool, source: Path, out: Path, whole: dict[str, Path]) -> None:
    status, errors = Child(*tool(source, out)).wait()
    assert status == 0, errors
    assert contents(out) == contents(whole[tool.__name__])
    assert [path.name for path in out.parent.iterdir()] == [out.name]


@pytest.mark.parametrize('moment', MOMENTS)
@pytest.mark.parametrize('tool', TOOLS, ids=lambda tool: tool.__name__)
def test_a_killed_call_goes_on_to_the_same_bytes(tool, moment, source, whole, tmp_path):
    out = tmp_path / 'set'
    child = Child(*tool(source, out))
    child.wait_until(lambda: is_working(out))
    time.sleep(moment)
    child.signal(signal.SIGKILL)
    assert child.wait()[0] == -signal.SIGKILL
    child.assert_gone()
    assert_ends_alike(tool, source, out, whole)


@pytest.mark.parametrize(('number', 'status'), SIGNALS)
@pytest.mark.parametrize('tool', TOOLS, ids=lambda tool: tool.__name__)
@pytest.mark.parametrize('whom', ['parent', 'group'])
def test_a_stopped_call_says_so_in_one_line_and_goes_on(tool, number, status, whom, source, whole, tmp_path):
    out = tmp_path / 'set'
    child = Child(*tool(source, out))
    child.wait_until(lambda: is_working(out))
    child.signal(number) if whom == 'parent' else os.killpg(child.pid, number)
    ended, errors = child.wait()
    assert ended == status, errors
    assert len(errors.splitlines()) == 1 and errors.startswith(('interrupted: ', 'terminated: ')), errors
    child.assert_gone()
    assert_ends_alike(tool, source, out, whole)


# --- reproduce --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope='module')
def table(tmp_path_factory) -> Path:
    """A table of one row."""
    file = tmp_path_factory.mktemp('tables') / 'I.yaml'
    file.write_text(json.dumps(dict(title='t', source='s', rows=[
        dict(key='row', label='row', base=dict(demo=str(ROOT / CONFIG)))])))
    return file


def reproduce(table: Path, devkit: Path, out: Path):
    settings = [option for option in options(devkit) if 'max_epochs' not in option and 'data_root' not in option]
    return 'reproduce.py', [table, '--seeds', '1', '--epochs', '2', '--data', devkit, '--work-dir', out,
                            '--cfg-options', *settings]


def begun(table: Path, devkit: Path, out: Path) -> Child:
    """A call whose run has written its first checkpoint."""
    child = Child(*reproduce(table, devkit, out))
    child.wait_until((out / 'demo/row/seed_0/epoch_1.pth').exists, 120)
    return child


def numbers(out: Path) -> dict:
    """The columns of the table, and the metrics of the run to the last bit."""
    table = json.loads((out / 'demo/table_I.json').read_text())['rows'][0]
    result = json.loads((out / 'demo/row/seed_0/result.json').read_text())
    return {key: result[key] for key in ('digest', 'columns')} | {
        'tests': [test['metrics'] for test in result['tests'].values()], 'row': table.get('columns')}


def test_a_killed_table_goes_on_to_the_same_numbers(table, devkit, tmp_path):
    call = reproduce(table, devkit, tmp_path / 'killed')
    child = begun(table, devkit, tmp_path / 'killed')
    child.signal(signal.SIGKILL)
    assert child.wait()[0] == -signal.SIGKILL
    child.assert_gone()
    calls = [Child(*call), Child(*reproduce(table, devkit, tmp_path / 'whole'))]
    assert [child.wait()[0] for child in calls] == [0, 0]
    assert numbers(tmp_path / 'killed') == numbers(tmp_path / 'whole')
    assert not [path for path in tmp_path.rglob('*') if '-bafenet-' in path.name]


@pytest.mark.parametrize(('number', 'status'), SIGNALS)
def test_a_stopped_table_says_so_in_one_line(number, status, table, devkit, tmp_path):
    child = begun(table, devkit, tmp_path)
    child.signal(number)
    ended, errors = child.wait()
    assert ended == status and 'Traceback' not in errors, errors
    lines = [line for line in errors.splitlines() if line.startswith(('interrupted: ', 'terminated: '))]
    assert len(lines) == 1 and lines[0] == errors.splitlines()[-1], errors
    child.assert_gone()
