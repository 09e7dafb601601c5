"""``tools/reproduce.py`` from end to end: tables of tiny networks on a tiny devkit."""
import json
import shutil
import statistics
import subprocess
import sys
import time

import pytest
import torch
from conftest import ROOT, load_tool
from tiny_runs import DEMO, runs_in_this_process, tiny_options

from bafenet.errors import InputError
from bafenet.reproduction import reproduce as module
from bafenet.reproduction import worker
from bafenet.reproduction.plan import plan_runs
from bafenet.reproduction.reproduce import reproduce
from bafenet.reproduction.table import Row

ROWS = {
    'full': {},
    'no_exchange': {'model.bbox_head.exchange': None},
    'the_same': {'model.bbox_head.exchange.ratio': 0.5},
    'broken': {'model.backbone.init_cfg': dict(type='Pretrained', checkpoint='nowhere.pth')},
}
PAPER = f"""
_base_ = {DEMO!r}
default_hooks = dict(checkpoint=dict(save_best=['densesirst/mAP_07_legacy', 'densesirst/mAP_12_legacy']))
val_evaluator = dict(legacy_coordinates=True)
test_evaluator = val_evaluator
"""
COLUMNS = ('mAP_07', 'recall_07', 'mAP_12', 'recall_12')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Files of tables, and a config under the paper's protocol."""
    folder = tmp_path_factory.mktemp('tables')
    (folder / 'paper.py').write_text(PAPER)
    both = dict(paper=str(folder / 'paper.py'), demo=DEMO)
    tables = {'I': ['full', 'no_exchange', 'the_same'], 'II': ['broken', 'full'], 'III': ['no_exchange']}
    for key, rows in tables.items():
        write_table(folder / f'{key}.yaml', rows, base=both, paper=[0.25, 0.5, 0.75, 1.0])
    write_table(folder / 'own.yaml', ['full', 'no_exchange'], base=dict(demo=DEMO), metrics=['mAP_12', 'FPPI_other'])
    return folder


def write_table(file, rows, base, paper=None, **fields):
    rows = [dict(key=row, label=row, set=ROWS[row], paper=paper) for row in rows]
    file.write_text(json.dumps(dict(title='Title', source='nowhere', base=base, rows=rows, **fields)))


@pytest.fixture(scope='module')
def options():
    """What makes the demo's network and loaders tiny."""
    return tiny_options()


@pytest.fixture(scope='module', autouse=True)
def _quick_runs():
    with runs_in_this_process():
        yield


@pytest.fixture(scope='module')
def defaults(devkit, options):
    """Arguments of every call of the command."""
    return dict(protocol='demo', seeds=2, data=str(devkit), epochs=1, cfg_options=options)


@pytest.fixture(scope='module')
def finished(defaults, folder, tmp_path_factory):
    """A folder in which Table I is finished. Not to be changed."""
    work_dir = tmp_path_factory.mktemp('finished')
    assert reproduce(str(folder / 'I.yaml'), work_dir=str(work_dir), **defaults) == 0
    return work_dir


@pytest.fixture
def call(defaults, folder, tmp_path):
    """The command with one of the tables, in a folder of the test."""
    return lambda table, **arguments: reproduce(str(folder / f'{table}.yaml'),
                                                **{**defaults, 'work_dir': str(tmp_path), **arguments})


@pytest.fixture
def no_run(monkeypatch):
    """Nothing may be run."""
    monkeypatch.setattr(module, 'launch', lambda folder: pytest.fail(f'{folder} was run'))


def rows_of(text):
    """Rows of a Markdown table by their first cell."""
    lines = [line.strip('|').split(' | ') for line in text.splitlines() if line[:1] == '|']
    return {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in lines[2:]}


def test_a_table_is_run_and_printed(call, finished, no_run, capsys):
    # Nothing is run again; equal rows share their runs, which lie where they are said to lie.
    assert call('I', work_dir=str(finished)) == 0
    captured = capsys.readouterr()
    assert sorted(path.name for path in (finished / 'demo').iterdir() if path.is_dir()) == ['full', 'no_exchange']
    assert 'the_same is the same network as full: trained once' in captured.err
    assert captured.out == (finished / 'demo/table_I.md').read_text() + '\n'
    rows = rows_of(captured.out)
    for row in ('full', 'no_exchange'):
        files = [next((finished / 'demo' / row / f'seed_{seed}').glob('test_*.json')) for seed in range(2)]
        tested = [json.loads(file.read_text())['metrics'] for file in files]
        for i, key in enumerate(('mAP_07', 'recall', 'mAP_12', 'recall')):
            values = [metrics[f'densesirst/{key}'] for metrics in tested]
            assert rows[row][2 + 3 * i] == f'{statistics.mean(values):.3f} ± {statistics.stdev(values):.3f}'
    assert rows['the_same'] == rows['full'] and rows['full'][0] == '2/2'
    report = json.loads((finished / 'demo/table_I.json').read_text())
    assert [run['seed'] for run in report['rows'][0]['runs']] == [0, 1]
    assert report['rows'][2]['trained_as'] == 'full'


def test_a_table_of_our_own_is_printed_from_the_same_runs(call, finished, no_run, tmp_path, capsys):
    shutil.copytree(finished / 'demo', tmp_path / 'demo')
    assert call('own', protocol=None) == 0
    rows = rows_of(capsys.readouterr().out)
    for row in ('full', 'no_exchange'):
        files = [next((finished / 'demo' / row / f'seed_{seed}').glob('test_*.json')) for seed in range(2)]
        tested = [json.loads(file.read_text())['metrics'] for file in files]
        values = [[metrics[f'densesirst/{key}'] for metrics in tested] for key in ('mAP_12', 'FPPI_other')]
        assert rows[row] == ['2/2', *(f'{statistics.mean(one):.3f} ± {statistics.stdev(one):.3f}' for one in values)]
    with pytest.raises(InputError, match='own: no table of the protocol ours; give --protocol demo'):
        call('own', protocol='ours')


def test_rows_that_are_chosen_are_run_and_the_table_is_whole(call, monkeypatch, capsys):
    launched = []
    monkeypatch.setattr(module, 'launch', launched.append)
    assert call('I', rows=['no_exchange'], seeds=1) == 0
    assert [folder.parts[-2:] for folder in launched] == [('no_exchange', 'seed_0')]
    assert set(rows_of(capsys.readouterr().out)) == {'full', 'no_exchange', 'the_same'}


def test_a_finished_run_keeps_its_best_checkpoint_and_what_it_measured(finished):
    names = {path.name for path in (finished / 'demo/full/seed_1').iterdir()}
    assert {'best_densesirst_mAP_12_epoch_1.pth', 'result.json', 'settings.json', 'config.py'} <= names
    assert 'epoch_1.pth' not in names
    seeds = [torch.load(finished / f'demo/full/seed_{seed}/best_densesirst_mAP_12_epoch_1.pth')['state_dict']
             for seed in range(2)]
    assert not torch.equal(*(weights['bbox_head.conv_cls.weight'] for weights in seeds))


def test_results_of_other_settings_are_not_mixed(call, finished, no_run):
    with pytest.raises(InputError, match='was run with other settings .* 1 there, 2 asked for'):
        call('I', epochs=2, work_dir=str(finished))


def test_the_papers_protocol_keeps_a_checkpoint_for_each_map(call, tmp_path):
    assert call('III', protocol='paper', seeds=1) == 0
    folder = tmp_path / 'paper/no_exchange/seed_0'
    result = json.loads((folder / 'result.json').read_text())
    assert sorted(test['checkpoint'] for test in result['tests'].values()) == [
        'best_densesirst_mAP_07_legacy_epoch_1.pth', 'best_densesirst_mAP_12_legacy_epoch_1.pth']
    assert result['columns'].keys() == set(COLUMNS) and result['legacy_coordinates']
    assert 'ours (+1)' in (tmp_path / 'paper/table_III.md').read_text()


def test_a_row_that_fails_is_one_line_and_the_others_stay(call, finished, tmp_path, capsys):
    shutil.copytree(finished / 'demo', tmp_path / 'demo')
    assert call('II', seeds=1) == 1
    captured = capsys.readouterr()
    error, = [line for line in captured.err.splitlines() if line.startswith('error: ')]
    assert error.startswith('error: broken seed 0: ') and 'nowhere.pth' in error
    rows = rows_of(captured.out)
    assert rows['broken'] == ['0/1', '0.250', '—', '—', '0.500', '—', '—', '0.750', '—', '—', '1.000', '—', '—']
    assert rows['full'][0] == '1/1' and '—' not in rows['full']


def test_report_only_runs_nothing(call, no_run, tmp_path, capsys):
    assert call('I', report_only=True) == 0
    rows = rows_of(capsys.readouterr().out)
    assert set(rows) == {'full', 'no_exchange', 'the_same'}
    assert all(cells[:3] == ['0/2', '0.250', '—'] for cells in rows.values())


def test_dry_run_tells_states_and_time_and_writes_nothing(call, no_run, devkit, options, folder, tmp_path, capsys):
    assert call('I', epochs=3, dry_run=True) == 0
    rows = rows_of(capsys.readouterr().out)
    assert set(rows) == {f'{row} seed {seed}' for row in ('full', 'no_exchange') for seed in range(2)}
    # 8 images, 2 a step.
    assert all(cells[:2] == ['to do', '3'] and float(cells[2]) > 0 and cells[3] == '4' for cells in rows.values())
    assert not any(tmp_path.iterdir())

    stopped = tmp_path / 'demo/no_exchange/seed_1'
    stopped.mkdir(parents=True)
    (stopped / 'epoch_2.pth').touch()
    call('III', epochs=3, dry_run=True)
    captured = capsys.readouterr().out
    assert rows_of(captured)['no_exchange seed 1'][:2] == ['interrupted after epoch 2 of 3', '1']
    assert 'Left out: ' in captured


def test_an_interruption_is_one_line(call, monkeypatch, capsys):
    def interrupted(folder):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, 'launch', interrupted)
    assert call('III') == 130
    assert capsys.readouterr().err.splitlines()[-1].startswith('interrupted: ')


@pytest.mark.faults
def test_a_run_whose_parent_dies_goes_on_to_the_same_end(devkit, options, tmp_path):
    """The end of the parent stops the worker at once and without a chance to tidy up, as a kill would."""
    epochs = 3
    row = Row('full', '', 'full', {}, dict(demo=DEMO), dict(demo={}))
    arguments = [row], 'demo', 1, str(tmp_path), str(devkit), epochs, options
    run, = plan_runs(*arguments).values()
    run.write_settings()
    process = subprocess.Popen([sys.executable, '-m', worker.__name__, str(run.folder)], cwd=ROOT,
                               stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while run.epochs_done() < 1 and process.poll() is None:
        time.sleep(0.01)
    process.stdin.close()
    assert process.wait(60) == 1
    done = run.epochs_done()
    assert 1 <= done < epochs and run.result() is None

    worker.work(run.folder)
    logs = ''.join(file.read_text() for file in run.folder.glob('*/*.log'))
    assert f'resumed epoch: {done}' in logs
    whole = plan_runs(*arguments[:3], str(tmp_path / 'whole'), *arguments[4:]).popitem()[1]
    whole.write_settings()
    worker.work(whole.folder)
    assert run.result()['columns'] == whole.result()['columns']
    names = [next(folder.glob('best_*.pth')) for folder in (run.folder, whole.folder)]
    assert names[0].name == names[1].name
    weights = [torch.load(name, weights_only=True)['state_dict'] for name in names]
    assert all(torch.equal(weights[0][key], value) for key, value in weights[1].items())


@pytest.mark.parametrize(('arguments', 'message'), [
    (['9'], '9: no such table; choose from II, III, IV'),
    (['I.yaml', '--data', 'absent'], 'absent: no such data folder'),
    (['I.yaml', '--rows', 'ful'], '--rows ful: no such row; choose from full, no_exchange, the_same'),
    (['I.yaml', '--seeds', '0'], '--seeds and --epochs must be at least 1'),
    (['I.yaml', '--cfg-options', 'model.backbone.dept=1'], 'did you mean model.backbone.depth'),
    (['absent.yaml'], 'absent.yaml: cannot be read: No such file'),
])
def test_bad_input_is_one_line_and_exit_status_2(folder, devkit, tmp_path, monkeypatch, capsys, arguments, message):
    arguments = [str(folder / word) if word == 'I.yaml' else word for word in arguments]
    given = {'--data': str(devkit), '--protocol': 'demo', '--work-dir': str(tmp_path)}
    defaults = [word for item in given.items() if item[0] not in arguments for word in item]
    monkeypatch.setattr(sys, 'argv', ['reproduce.py', *arguments, *defaults])
    with pytest.raises(SystemExit) as caught:
        load_tool('reproduce.py').main()
    assert caught.value.code == 2
    line, = [line for line in capsys.readouterr().err.splitlines() if line]
    assert line.startswith('error: ') and message in line
    assert not any(tmp_path.iterdir())
