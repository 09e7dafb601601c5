"""The printed table: mean and spread, what is compared with what, what is not there."""
import dataclasses
import json

import numpy as np
import pytest
from conftest import ROOT

from bafenet.errors import InputError
from bafenet.reproduction.columns import BOXES
from bafenet.reproduction.plan import plan_runs
from bafenet.reproduction.report import build_report, markdown, summarise
from bafenet.reproduction.table import Row, Table
from bafenet.reproduction.tables import find_row

COLUMNS = [column.name for column in BOXES.columns]
A, B, C = (f'table3_{row}' for row in 'abd')
PAPER = dict(zip(COLUMNS, (0.3, 0.4, 0.2, 0.5), strict=True))


def row(key, name, label, paper):
    return dataclasses.replace(find_row(key), name=name, label=label, paper=paper)


TABLE = Table('III', 'Title', 'Table III, Section V', (
    row(A, '(a)', 'first', PAPER), row(B, '(b)', 'second', {}), row(C, '(c)', 'third', PAPER),
    Row('', '(x)', 'illegible', PAPER, {}, {})), ('A note.', ))


@pytest.fixture
def runs(devkit, tmp_path, monkeypatch):
    """Three seeds of three rows under the paper's protocol: (a) is finished, (b) for two seeds, (c) is not begun."""
    monkeypatch.chdir(ROOT)
    return finished(devkit, tmp_path, 'paper')


def finished(devkit, tmp_path, protocol):
    runs = plan_runs(TABLE.runnable, protocol, 3, str(tmp_path), str(devkit))
    for (config, seed), run in runs.items():
        if config == A or (config == B and seed < 2):
            run.folder.mkdir(parents=True)
            result = dict(digest=run.digest, columns=numbers(config, seed), commits=['abc'],
                          environment=dict(device='a device'))
            (run.folder / 'result.json').write_text(json.dumps(result))
    return runs


def numbers(config, seed):
    rng = np.random.default_rng([seed, len(config), config == A])
    return dict(zip(COLUMNS, rng.uniform(0.1, 0.9, 4), strict=True))


def report(runs, protocol='paper'):
    return build_report(TABLE, protocol, runs, seeds=3, epochs=4, options=['a=b'])


def table(text):
    """Cells of a Markdown table: header, then rows without the rule."""
    lines = [[cell.strip() for cell in line.strip('|').split(' | ')] for line in text.splitlines() if line[:1] == '|']
    return lines[0], lines[2:]


def test_mean_and_sample_standard_deviation():
    values = [0.2, 0.5, 0.35]
    summary = summarise(values)
    assert summary['mean'] == pytest.approx(np.mean(values)) and summary['n'] == 3 and summary['values'] == values
    assert summary['std'] == pytest.approx(np.std(values, ddof=1))
    assert summarise([0.25]) == dict(mean=0.25, std=None, n=1, values=[0.25])


def test_ours_stands_beside_the_papers_with_the_difference(runs):
    header, (first, second, third, last) = table(markdown(report(runs)))
    assert header[2:5] == ['mAP_07 paper (+1)', 'mAP_07 ours (+1)', 'Δ']
    for config, count, cells in ((A, 3, first), (B, 2, second)):
        assert cells[1] == f'{count}/3'
        for i, column in enumerate(COLUMNS):
            values = [numbers(config, seed)[column] for seed in range(count)]
            assert cells[3 + 3 * i] == f'{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}'
    assert first[2] == '0.300' and float(first[4]) == pytest.approx(
        np.mean([numbers(A, seed)['mAP_07'] for seed in range(3)]) - 0.3, abs=6e-4)
    # The paper has no number, ours is not run, and neither could be.
    assert second[2] == second[4] == 'n/a'
    assert third[1:5] == ['0/3', '0.300', '—', '—']
    assert last[1:5] == ['n/a', '0.300', 'n/a', 'n/a']


def test_numbers_of_the_two_kinds_of_sides_are_marked(devkit, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    text = markdown(report(finished(devkit, tmp_path, 'ours'), 'ours'))
    header, _ = table(text)
    assert header[2:5] == ['mAP_07 paper (+1)', 'mAP_07 ours (true)', 'Δ (true − +1)']
    assert 'not like for like' in text


def test_the_demo_is_not_compared_with_the_paper(devkit, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    text = markdown(report(finished(devkit, tmp_path, 'demo'), 'demo'))
    _, cells = table(text)
    assert cells[0][4] == 'n/a' and 'there is no Δ' in text


def test_the_report_says_what_is_needed_to_repeat_it(runs):
    content = json.loads(json.dumps(report(runs), allow_nan=False))
    row = content['rows'][0]
    assert row['settings']['config']['train_cfg']['max_epochs'] == 20
    assert row['settings']['data']['test_dataloader']['ann_file'] == 'Splits/test_v2.txt'
    assert [run['columns'] for run in row['runs']] == [numbers(A, seed) for seed in range(3)]
    assert row['runs'][0]['commits'] == ['abc'] and content['cfg_options'] == ['a=b']
    assert {'commit', 'machine', 'environment'} <= content['printed_with'].keys()
    assert content['sides'] == dict(paper='x2 - x1 + 1', ours='x2 - x1 + 1')
    assert 'Commit abc' in markdown(content) and 'A note.' in markdown(content)
    assert 'Every run with `--epochs 4 --cfg-options a=b`.' in markdown(content)


def test_a_table_of_our_own_has_a_column_for_each_metric(devkit, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    metrics = 'mAP_12', 'FPPI_other_recall90', 'sky_iou'
    own = Table('own', 'Title', 'Nowhere', TABLE.rows[:3], (), metrics)
    runs = plan_runs(own.rows, 'ours', 3, str(tmp_path), str(devkit))
    measured = {A: [dict(mAP_12=0.5), dict(mAP_12=0.7), dict(mAP_12=0.75)],
                B: [dict(mAP_12=0.25, sky_iou=0.5), dict(mAP_12=0.5, FPPI_other_recall90=2.125, sky_iou=0.25)]}
    for config, values in measured.items():
        for seed, metrics_of_seed in enumerate(values):
            run = runs[config, seed]
            run.folder.mkdir(parents=True)
            tests = {'densesirst/mAP_12': dict(metrics={f'densesirst/{key}': value
                                                        for key, value in metrics_of_seed.items()})}
            (run.folder / 'result.json').write_text(json.dumps(dict(
                digest=run.digest, columns={}, tests=tests, commits=['abc'], environment=dict(device='a device'))))
    text = markdown(build_report(own, 'ours', runs, seeds=3, epochs=None, options=None))
    header, rows = table(text)
    assert header == ['strategy', 'seeds', *metrics]
    # Sample standard deviations by hand: of .5, .7, .75, of .25, .5 and of .5, .25.
    assert rows == [['(a) first', '3/3', '0.650 ± 0.132', 'n/a', 'n/a'],
                    ['(b) second', '2/3', '0.375 ± 0.177', '2.125 (1 of 2)', '0.375 ± 0.177'],
                    ['(c) third', '0/3', '—', '—', '—']]
    assert 'Nowhere.' in text and 'Boxes have sides x2 - x1.' in text and 'Δ' not in text


def test_nothing_but_text_of_a_table_or_a_run_comes_into_the_report(runs):
    hostile = '<img src=x> | `b`\n\x1b[31m'
    for run in runs.values():
        file = run.folder / 'result.json'
        if file.is_file():
            file.write_text(json.dumps(dict(json.loads(file.read_text()), commits=[hostile],
                                            environment=dict(device=hostile))))
    rows = tuple(dataclasses.replace(row, name='', label=hostile) for row in TABLE.rows)
    table = Table('III', hostile, hostile, rows, (hostile, ))
    text = markdown(build_report(table, 'paper', runs, seeds=3, epochs=None, options=[hostile]))
    assert '<' not in text and '\x1b' not in text and 'img src=x' in text
    rows = [line for line in text.splitlines() if line.startswith('| ')]
    assert len({line.replace(r'\|', '').count('|') for line in rows}) == 1 and len(rows) == 2 + len(TABLE.rows)


def test_a_result_without_tests_is_named(runs):
    own = Table('own', 'Title', 'Nowhere', TABLE.rows[:1], (), ('mAP_12', ))
    with pytest.raises(InputError, match='result.json: it has no tests'):
        build_report(own, 'paper', runs, seeds=3, epochs=None, options=None)


def test_what_failed_stands_in_the_report_with_its_reason(runs):
    before = report(runs)
    assert 'failures' not in before and 'failed' not in markdown(before)
    failed, finished_since = runs[B, 2], runs[A, 0]
    for run in (failed, finished_since):
        run.folder.mkdir(parents=True, exist_ok=True)
        (run.folder / 'failure.txt').write_text('no room\non <the> disk')
    content = report(runs)
    assert content.pop('failures') == {f'{B} seed 2': 'no room on <the> disk'} and content == before
    note, = [line for line in markdown(report(runs)).splitlines() if ' failed: ' in line]
    assert 'no room on &lt;the&gt; disk' in note and 'seed 2' in note


def test_rows_are_ranked_by_a_column_beside_the_papers_order(runs):
    ranked = dataclasses.replace(TABLE, rank='mAP_12')
    content = build_report(ranked, 'paper', runs, seeds=3, epochs=None, options=None)
    note, = [line for line in markdown(content).splitlines() if line.startswith('- Best first by mAP_12')]
    means = {'(a) first': np.mean([numbers(A, seed)['mAP_12'] for seed in range(3)]),
             '(b) second': np.mean([numbers(B, seed)['mAP_12'] for seed in range(2)])}
    ours = ', '.join(f'{row} {means[row]:.3f}' for row in sorted(means, key=means.get, reverse=True))
    # The paper has no number for (b), and (d) and the illegible row have none of ours.
    assert note.replace('\\', '') == f'- Best first by mAP_12; ours: {ours}; paper: (a) first 0.200.'
