"""A table whose networks are tested on several sets: trained once, tested on each, gone on with, printed."""
import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import draw_scene, load_tool, write_devkit
from tiny_runs import DEMO, runs_in_this_process, tiny_options

from bafenet.errors import InputError
from bafenet.reproduction import reproduce as module
from bafenet.reproduction import worker
from bafenet.reproduction.reproduce import reproduce

METRICS = ('mAP_12', 'FPPI', 'FPPI_other', 'found_FPPI')
OPTIONS = ['test_evaluator.fppi_score=0.001']


@pytest.fixture(scope='module')
def table(devkit, tmp_path_factory):
    """A table of one row: tested on the devkit, and on three other frames whose sky is not looked at."""
    folder = tmp_path_factory.mktemp('table')
    rng = np.random.default_rng(7)
    scenes = {f'other_{i}': draw_scene(rng) for i in range(3)}
    other = write_devkit(folder / 'other', scenes, {'test_v2': list(scenes)})
    loaders = [f'{name}_dataloader.dataset.data_root' for name in ('train', 'val', 'test')]
    content = dict(
        title='Title', source='nowhere', base=dict(demo=DEMO), metrics=METRICS,
        tests=dict(near={'test_dataloader.dataset.ann_file': 'Splits/test_v2.txt'},
                   far={'test_dataloader.dataset.data_root': str(other), 'test_dataloader.dataset.sky': 'none'}),
        rows=[dict(key='full', label='full', set=dict.fromkeys(loaders, str(devkit)))])
    file = folder / 'several.yaml'
    file.write_text(json.dumps(content))
    return str(file)


@pytest.fixture(scope='module', autouse=True)
def _quick_runs():
    with runs_in_this_process():
        yield


def call(table, work_dir, **arguments):
    return reproduce(table, **{**dict(protocol='demo', seeds=1, epochs=1, work_dir=str(work_dir),
                                      cfg_options=[*tiny_options(), *OPTIONS]), **arguments})


@pytest.fixture(scope='module')
def finished(table, tmp_path_factory):
    """A folder in which the table is finished, and how often it was trained. Not to be changed."""
    work_dir, trained = tmp_path_factory.mktemp('finished'), []
    with pytest.MonkeyPatch.context() as patch:
        train = worker._train
        patch.setattr(worker, '_train', lambda *arguments: (trained.append(1), train(*arguments)))
        assert call(table, work_dir) == 0
    return work_dir, len(trained)


def cells_of(work_dir):
    """Cells of the one row by column."""
    head, _, row = [line for line in (work_dir / 'demo/table_several.md').read_text().splitlines() if line[:1] == '|']
    return dict(zip(*([cell.strip() for cell in line.strip('|').split(' | ')] for line in (head, row)), strict=True))


def test_a_network_is_trained_once_and_each_test_has_its_columns(finished, devkit):
    work_dir, trained = finished
    assert trained == 1
    cells = cells_of(work_dir)
    assert list(cells) == ['strategy', 'seeds', *(f'{test}:{metric}' for test in ('near', 'far') for metric in METRICS)]
    # Sky maps are there for one test alone.
    assert {key for key, cell in cells.items() if cell == 'n/a'} == {'near:FPPI', 'near:found_FPPI', 'far:FPPI_other'}
    result = json.loads((work_dir / 'demo/full/seed_0/result.json').read_text())
    assert result['columns'] == {} and list(result['tests']) == ['near', 'far']
    text = (work_dir / 'demo/table_several.md').read_text()
    assert f'near: Splits/test_v2.txt of {devkit}' in text and 'far: Splits/test_v2.txt of ' in text


def test_the_numbers_are_those_of_the_printed_commands(finished, table, tmp_path, capsys):
    work_dir, _ = finished
    assert call(table, work_dir, epochs=None, commands=True) == 0
    title, train, *tests = capsys.readouterr().out.splitlines()
    assert title == '# full: full' and 'tools/train.py' in train and len(tests) == 2
    cells = cells_of(work_dir)
    for name, line in zip(('near', 'far'), tests, strict=True):
        python, tool, config, folder, *arguments = shlex.split(line)
        assert (python, tool, folder) == ('python', 'tools/test.py', 'work_dirs/demo/full')
        out = tmp_path / f'{name}.json'
        assert arguments[:2] == ['--out', f'{folder}/results_{name}.json']
        assert load_tool('test.py').main([config, str(work_dir / 'demo/full/seed_0'), '--out', str(out), '--work-dir',
                                          str(tmp_path), *arguments[2:]]) == 0
        content = json.loads(out.read_text())
        assert len(content['images']) == dict(near=2, far=3)[name]
        metrics = {key.split('/')[1]: value for key, value in content['metrics'].items()}
        known = {metric: metrics[metric] for metric in METRICS if metric in metrics}
        assert {metric: cells[f'{name}:{metric}'] for metric in known} == {
            metric: f'{value:.3f}' for metric, value in known.items()}
        assert any(known.values())


def test_after_an_interruption_only_the_test_that_is_missing_is_run(finished, table, tmp_path, monkeypatch):
    work_dir, _ = finished
    shutil.copytree(work_dir, tmp_path / 'again')
    folder = tmp_path / 'again/demo/full/seed_0'
    (folder / 'result.json').unlink()
    missing, = (folder / 'tests').glob('far_best_*.json')
    kept, = (folder / 'tests').glob('near_best_*.json')
    expected, before = json.loads(missing.read_text())['metrics'], kept.stat().st_mtime_ns
    missing.unlink()
    # As if the training had ended: a run without its last epoch would begin anew.
    monkeypatch.setattr(worker, '_train', lambda folder, cfg: None)
    assert call(table, tmp_path / 'again') == 0
    assert json.loads(missing.read_text())['metrics'] == expected and kept.stat().st_mtime_ns == before
    assert cells_of(tmp_path / 'again') == cells_of(work_dir)


def test_report_only_prints_what_is_finished(finished, table, tmp_path, monkeypatch):
    work_dir, _ = finished
    monkeypatch.setattr(module, 'launch', lambda folder: pytest.fail(f'{folder} was run'))
    shutil.copytree(work_dir, tmp_path / 'again')
    (tmp_path / 'again/demo/table_several.md').unlink()
    assert call(table, tmp_path / 'again', report_only=True) == 0
    assert cells_of(tmp_path / 'again') == cells_of(work_dir)
    assert call(table, tmp_path / 'none', report_only=True) == 0
    assert set(list(cells_of(tmp_path / 'none').values())[2:]) == {'—'}
    file = tmp_path / 'again/demo/full/seed_0/result.json'
    result = json.loads(file.read_text())
    del result['tests']['far']
    file.write_text(json.dumps(result))
    with pytest.raises(InputError, match='result.json: it has no test far; delete its folder'):
        call(table, tmp_path / 'again', report_only=True)


@pytest.mark.parametrize(('arguments', 'message'), [
    (dict(data='x'), '--data: .*tests.far sets test_dataloader.dataset.data_root, and each test its own'),
    (dict(cfg_options=['test_dataloader.dataset.ann_file=a.txt']), '--cfg-options test_dataloader.dataset.ann_file: '
     '.*tests.near sets test_dataloader.dataset.ann_file'),
    (dict(cfg_options=["test_dataloader.dataset={'sky': 'none'}"]), '--cfg-options test_dataloader.dataset: '),
    (dict(cfg_options=['test_dataloader.dataset.sky.a=1']), '--cfg-options test_dataloader.dataset.sky.a: ')])
def test_what_would_make_the_tests_one_is_refused(table, tmp_path, arguments, message):
    for more in ({}, dict(commands=True, epochs=None)):
        with pytest.raises(InputError, match=message):
            call(table, tmp_path, **arguments, **more)


def test_a_setting_of_a_test_that_is_none_is_named_with_the_test(table, tmp_path):
    content = json.loads(Path(table).read_text())
    content['tests']['far']['test_dataloader.dataset.skie'] = 'none'
    file = tmp_path / 'wrong.yaml'
    file.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r'wrong.yaml: tests.far: .*test_dataloader.dataset.skie'):
        call(str(file), tmp_path)
