"""``tools/reproduce.py`` on target masks: a table of tiny U-Nets and a classical method, its report and its curves."""
import json

import pytest
from mask_frames import write_mask_frames
from tiny_runs import runs_in_this_process

from bafenet.analysis.classical_methods import measure_frames
from bafenet.report.build import write_report
from bafenet.reproduction import reproduce as module
from bafenet.reproduction.reproduce import reproduce
from bafenet.visualization import curves

COLUMNS = ('IoU', 'P_d', 'F_a', 'F_a_legacy')
PIPELINE = 'train_dataloader.dataset.pipeline'
OPTIONS = ['model.backbone.widths=[16,24]', 'model.backbone.blocks=[1,1]', f'{PIPELINE}.BalancedCrop.size=(32,32)',
           'train_dataloader.batch_size=5', 'train_dataloader.dataset.holdout=2', 'val_dataloader.dataset.holdout=2',
           'default_hooks.logger.interval=1']
SETS = {'model.loss_mask': {'_delete_': True, 'type': 'NegativeSetLoss'},
        'train_dataloader.sampler': {'_delete_': True, 'type': 'NegativeSetSampler'},
        f'{PIPELINE}.RandomChoice.transforms.1.NegativeAugmentation.prob': 1.0}
ROWS = [dict(key='mask_synthesis', label='synthesis', paper=[90.0, 80.0, 2.5]),
        dict(key='mask_sets', label='sets', set=SETS),
        dict(key='mask_top_hat', label='Top-Hat', method=dict(name='Top-Hat', rule='A'), paper=[20.0, 70.0, 100.0]),
        dict(label='cited', paper=[1, 2, 3])]


@pytest.fixture(scope='module', autouse=True)
def _quick_runs():
    with runs_in_this_process():
        yield


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """Arguments of the command, and the folder in which the table is finished."""
    folder = tmp_path_factory.mktemp('masks')
    data = write_mask_frames(folder / 'data')
    table = dict(title='Title', source='Somewhere', evaluator='IRSTDMetric', rows=ROWS,
                 base='configs/tables/rows/sirst5k_additive_ours.py')
    (folder / 'masks.yaml').write_text(json.dumps(table))
    loaders = [f'{loader}_dataloader.{setting}' for loader in ('train', 'val', 'test')
               for setting in ('num_workers=0', 'persistent_workers=False')]
    arguments = dict(table=str(folder / 'masks.yaml'), seeds=1, epochs=1, data=str(data), work_dir=str(folder / 'runs'),
                     cfg_options=[*OPTIONS, *loaders])
    assert reproduce(**arguments) == 0
    return arguments, folder


def rows_of(text):
    """Head and rows of a Markdown table, these by their first cell."""
    lines = [[cell.strip() for cell in line.strip('|').split(' | ')] for line in text.splitlines() if line[:1] == '|']
    return lines[0][1:], {cells[0]: cells[1:] for cells in lines[2:]}


def test_the_table_has_what_was_measured_in_the_papers_units(made, monkeypatch, capsys):
    arguments, folder = made
    monkeypatch.setattr(module, 'launch', lambda run: pytest.fail(f'{run} was run again'))
    assert reproduce(**arguments) == 0
    text = capsys.readouterr().out
    head, rows = rows_of(text)
    assert head == ['seeds', 'IoU, ×100 paper', 'IoU, ×100 ours', 'Δ', 'P_d, % paper', 'P_d, % ours', 'Δ',
                    'F_a, 1e-6 paper', 'F_a, 1e-6 ours', 'Δ', 'F_a_legacy, 1e-6 ours']
    for row, label in (('mask_synthesis', 'synthesis'), ('mask_sets', 'sets')):
        run = folder / 'runs/ours' / row / 'seed_0'
        metrics = json.loads(next(run.glob('test_best_irstd_IoU*.json')).read_text())['metrics']
        stored = json.loads((run / 'result.json').read_text())
        assert stored['columns'] == {name: metrics[f'irstd/{name}'] for name in COLUMNS}
        assert 'legacy_coordinates' not in stored
        expected = [100 * metrics['irstd/IoU'], *(metrics[f'irstd/{name}'] for name in COLUMNS[1:])]
        assert [rows[label][i] for i in (2, 5, 8, 10)] == [f'{value:.3f}' for value in expected]
    assert rows['synthesis'][1] == '90.000' and rows['sets'][1] == 'n/a' and rows['sets'][0] == '1/1'
    assert float(rows['synthesis'][3]) == pytest.approx(float(rows['synthesis'][2]) - 90, abs=2e-3)
    assert rows['cited'] == ['n/a', '1.000', 'n/a', 'n/a', '2.000', 'n/a', 'n/a', '3.000', 'n/a', 'n/a', 'n/a']
    assert 'code of DNA-Net' in text and 'Boxes' not in text
    report = json.loads((folder / 'runs/ours/table_masks.json').read_text())
    assert report['units'] == dict(IoU='×100', P_d='%', F_a='1e-6', F_a_legacy='1e-6') and 'sides' not in report


def test_a_classical_method_is_measured_once_whatever_the_seeds(made, tmp_path, capsys):
    arguments, folder = made
    assert reproduce(**{**arguments, 'seeds': 2, 'rows': ['mask_top_hat'], 'work_dir': str(tmp_path)}) == 0
    _, rows = rows_of(capsys.readouterr().out)
    assert [path.name for path in (tmp_path / 'ours/mask_top_hat').iterdir()] == ['seed_0']
    frames = dict(data_root=arguments['data'], ann_file='splits/test.txt')
    expected = measure_frames(frames, ['Top-Hat'])['methods']['Top-Hat']['rules']['A']
    assert rows['Top-Hat'][:3] == ['1/1', '20.000', f'{100 * expected["IoU"]:.3f}']
    assert rows['Top-Hat'][-1] == f'{expected["F_a_legacy"]:.3f}'


def test_commands_and_estimates(made, capsys):
    arguments, _ = made
    arguments = {**arguments, 'rows': ['mask_top_hat', 'mask_sets']}
    assert reproduce(**{**arguments, 'epochs': None}, commands=True) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line[:1] != '#']
    assert 'classical.py measure' in lines[1] and '--methods Top-Hat' in lines[1] and arguments['data'] in lines[1]
    assert 'NegativeSetLoss' in lines[0] and 'train.py configs/tables/rows/sirst5k_additive_ours.py' in lines[0]
    assert reproduce(**{**arguments, 'work_dir': arguments['work_dir'] + '_not'}, dry_run=True) == 0
    _, rows = rows_of(capsys.readouterr().out)
    # Eight frames are two sets of five; four frames are tested.
    assert rows['mask_sets seed 0'][3] == '2' and rows['mask_top_hat seed 0'][3] == '4'


def test_the_report_shows_its_runs(made, tmp_path):
    _, folder = made
    runs = [str(folder / 'runs/ours' / row / 'seed_0') for row in ('mask_synthesis', 'mask_top_hat')]
    done = write_report(runs, str(tmp_path / 'report.html'), labels=['net', 'filter'], worst=0)
    page = (tmp_path / 'report.html').read_text()
    assert done['runs'] == 2 and 'Target masks of each run' in page and 'irstd/IoU' in page
    metrics = json.loads(next((folder / 'runs/ours/mask_synthesis/seed_0').glob('test_*.json')).read_text())['metrics']
    assert f'{metrics["irstd/F_a"]:.3f}' in page
    # No detector stands beside masks.
    assert 'Table VII' not in page


def test_loss_and_iou_are_drawn_by_iteration(made, tmp_path):
    _, folder = made
    run = folder / 'runs/ours/mask_synthesis/seed_0'
    by_epoch, by_iteration = (curves.read_scalars(curves.find_log(str(run)), value) for value in (False, True))
    assert by_epoch['irstd/IoU'][:, 0].tolist() == [1]
    # Eight frames, five a step.
    assert by_iteration['irstd/IoU'][:, 0].tolist() == [2] and by_iteration['loss'][:, 0].tolist() == [1, 2]
    curves.draw([str(run)], str(tmp_path / 'curves.png'), by_iteration=True)
    names = [axis.get_title() for axis in curves.figure({'run': by_iteration}, by_iteration=True).axes]
    assert {'loss', 'irstd/IoU'} <= set(names)
