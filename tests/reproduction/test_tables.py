"""The tables as data: the paper's numbers, our own tables, and files that are no tables."""
import json

import pytest
from conftest import ROOT

from bafenet.errors import InputError
from bafenet.reproduction import tables
from bafenet.reproduction.columns import BOXES
from bafenet.reproduction.tables import choose_protocol, find_row, read_table, read_tables, select_tables


@pytest.fixture(autouse=True)
def _in_the_checkout(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_the_papers_numbers():
    # Typed from the paper once more: the same network three times, and others.
    expected = {
        ('III', '(a) detection alone'): (.225, .311, .180, .314), ('III', '(d) + adapter'): (.262, .318, .208, .305),
        ('IV', '(d) 64'): (.266, .336, .230, .323), ('VI', '(c) ResNet-50'): (.270, .332, .236, .329),
        ('VI', '(d) ResNet-101'): (.256, .324, .241, .336), ('exchange', 'static'): (.270, .332, .236, .329)}
    chosen = {table.key: table for table in [*select_tables('all'), *select_tables('exchange')]}
    paper = {(key, row.title): row.paper for key, table in chosen.items() for row in table.rows}
    for row, numbers in expected.items():
        assert paper[row] == dict(zip((column.name for column in BOXES.columns), numbers, strict=True))
    # Our copy lacks the bodies of II and V.
    assert not any(numbers for (key, _), numbers in paper.items() if key in ('II', 'V'))
    assert sum(bool(numbers) for numbers in paper.values()) == 4 + 4 + 4 + 1


def test_every_base_of_a_row_is_there():
    rows = [row for name in ('all', 'exchange') for table in select_tables(name) for row in table.runnable]
    assert len({row.key for row in rows}) == len(rows) == 6 + 4 + 6 + 5 + 4 + 3
    assert all((ROOT / base).is_file() for table in read_tables() for row in table.runnable
               for base in row.base.values())


def test_our_own_tables():
    chosen = {table.key: table for name in ('hr', 'differences') for table in select_tables(name)}
    assert list(chosen) == ['hr_exchange', 'hr_parts', 'differences']
    assert chosen['differences'].columns == ('mAP_07', 'mAP_12', 'recall')
    assert {'mAP_12', 'mAP_12_iou75', 'FPPI_other', 'FPPI_other_recall90'} <= set(chosen['hr_exchange'].columns)
    for table in chosen.values():
        assert choose_protocol([table]) == 'ours'
        with pytest.raises(InputError, match=f'{table.key}: no table of the protocol paper; give --protocol ours'):
            choose_protocol([table], 'paper')
    assert choose_protocol(select_tables('all')) == 'paper'
    assert choose_protocol(select_tables('all'), 'demo') == 'demo'


@pytest.mark.parametrize('name', ['3', 'III', 'iii', 'configs/tables/III.yaml'])
def test_a_table_by_number_key_or_file(name):
    assert [table.key for table in select_tables(name)] == ['III']
    assert [table.key for table in select_tables('all')] == ['II', 'III', 'IV', 'V', 'VI']


@pytest.mark.parametrize(('name', 'message'), [('8', 'no such table; choose from II'), ('1', 'no such table'),
                                               ('', 'no such table')])
def test_a_table_that_cannot_be_had(name, message):
    with pytest.raises(InputError, match=message):
        select_tables(name)


def test_a_table_none_of_whose_rows_can_be_run(tmp_path):
    (tmp_path / 'papers.yaml').write_text(one_table('{label: a, paper: [0.1, 0.1, 0.1, 0.1]}'))
    with pytest.raises(InputError, match='papers: holds the paper'):
        select_tables(str(tmp_path / 'papers.yaml'))


def test_a_row_by_its_key():
    row = find_row('tiny')
    assert row.base == dict(ours='configs/bafenet/bafenet_hr_tiny_densesirst.py') and row.set == dict(ours={})
    with pytest.raises(InputError, match='--row tabel3_b: no table has such a row; close: table3_b'):
        find_row('tabel3_b')
    assert find_row('fcos_r50').paper['mAP_07'] == 0.232


def write(folder, name, tests=False, **fields):
    folder.mkdir(exist_ok=True)
    row = dict(dict(key='a', label='a', base='x.py'), **fields)
    more = dict(metrics=['f1'], tests=dict(far={})) if tests else {}
    (folder / f'{name}.yaml').write_text(json.dumps(dict(title='t', source='s', rows=[row], **more)))


def test_a_key_stands_for_one_row(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, 'TABLES_FOLDER', str(tmp_path / 'tables'))
    write(tmp_path / 'tables', 'one', label='one', set={'model.depth': 18})
    write(tmp_path / 'tables', 'two', label='two', set={'model.depth': 18})
    assert [row.label for table in read_tables() for row in table.rows] == ['one', 'two']
    for other in (dict(set={'model.depth': 50}), dict(base='y.py'), dict(set={'model.depth': 18}, tests=True)):
        write(tmp_path / 'tables', 'two', **other)
        with pytest.raises(InputError, match=r'two.yaml: row a: .*one.yaml has another row of this key'):
            read_tables()


def test_settings_for_each_protocol_or_for_all(tmp_path):
    base = dict(ours='x.py', demo='y.py')
    write(tmp_path, 'one', base=base, set={'a.b': 1})
    assert read_table(str(tmp_path / 'one.yaml')).rows[0].set == dict(ours={'a.b': 1}, demo={'a.b': 1})
    write(tmp_path, 'one', base=base, set=dict(ours={'a.b': 1}, demo={}))
    row, = read_table(str(tmp_path / 'one.yaml')).rows
    assert row.set == dict(ours={'a.b': 1}, demo={}) and row.base_of('demo') == 'y.py'
    with pytest.raises(InputError, match='one.yaml: row a: it has no base for the protocol paper'):
        row.base_of('paper')


def test_settings_of_all_rows_and_of_one(tmp_path):
    file = tmp_path / 'common.yaml'
    file.write_text(one_table('{key: a, label: a, base: x.py, set: {model.b: 3}}, {key: b, label: b, base: y.py}, '
                              '{label: c}', set='{model.b: 1, model.c: 2}'))
    first, second, not_run = read_table(str(file)).rows
    assert first.set == dict(ours={'model.b': 3, 'model.c': 2})
    assert second.set == dict(ours={'model.b': 1, 'model.c': 2})
    assert not not_run.set


def test_a_rank_is_by_a_column(tmp_path):
    file = tmp_path / 'ranked.yaml'
    file.write_text(one_table(rank='recall_07'))
    assert read_table(str(file)).rank == 'recall_07'
    file.write_text(one_table(rank='found'))
    with pytest.raises(InputError, match="ranked.yaml: .*rank: 'found' is none of mAP_07, recall_07"):
        read_table(str(file))


ROW = '{key: a, label: b, base: x.py}'


def one_table(rows=ROW, **fields):
    """A table as YAML, its fields too."""
    fields = dict(dict(title='t', source='s', rows=f'[{rows}]'), **fields)
    return ''.join(f'{key}: {value}\n' for key, value in fields.items())


def test_a_column_may_be_of_one_class(tmp_path):
    file = tmp_path / 'classes.yaml'
    file.write_text(one_table(metrics='[mAP_12, AP_12_drone, FPPI]'))
    assert read_table(str(file)).columns == ('mAP_12', 'AP_12_drone', 'FPPI')


def test_columns_are_test_by_test(tmp_path):
    file = tmp_path / 'several.yaml'
    tests = '{a: {}, b: {ours: {test_dataloader.batch_size: 2}}}'
    file.write_text(one_table(f'{ROW}, {{label: c}}', metrics='[mAP_12, found]', tests=tests))
    table = read_table(str(file))
    assert table.tests == ('a', 'b') and table.columns == ('a:mAP_12', 'a:found', 'b:mAP_12', 'b:found')
    row, not_run = table.rows
    assert row.tests == dict(a=dict(ours={}), b=dict(ours={'test_dataloader.batch_size': 2})) and not not_run.tests
    assert [settings for _, settings in row.settings('ours', 'b')] == [{}, {'test_dataloader.batch_size': 2}]


MASKS = dict(evaluator='IRSTDMetric')
TOP_HAT = 'method: {name: Top-Hat, rule: A}'


def test_columns_of_target_masks_are_as_the_paper_prints_them(tmp_path):
    file = tmp_path / 'masks.yaml'
    file.write_text(one_table('{label: b, paper: [8.79, 54.77, 92.78, null, 2.74]}', costs='[params, flops, ms]',
                              **MASKS))
    table = read_table(str(file))
    assert table.columns == ('params', 'flops', 'ms', 'IoU', 'P_d', 'F_a', 'F_a_legacy')
    # Seconds of a script over 664 frames.
    assert table.rows[0].paper == dict(params=8.79, ms=pytest.approx(54770 / 664), IoU=92.78, F_a=2.74)
    file.write_text(one_table(metrics='[nIoU, num_alarms]', **MASKS))
    assert read_table(str(file)).columns == ('nIoU', 'num_alarms')


def test_a_row_may_be_a_classical_method(tmp_path):
    file = tmp_path / 'masks.yaml'
    file.write_text(one_table(f'{{key: a, label: b, base: x.py, {TOP_HAT}}}', **MASKS))
    row, = read_table(str(file)).runnable
    assert row.method == ('Top-Hat', 'A') and row.evaluator == 'IRSTDMetric'


BILLION = 'a0: &a0 [x, x]\n' + ''.join(f'a{i}: &a{i} [{", ".join([f"*a{i - 1}"] * 9)}]\n' for i in range(1, 12))


@pytest.mark.parametrize(('text', 'message'), [
    (BILLION, 'a0 is an alias'), (one_table(title='&x [*x]'), 'x is an alias'), ('[' * 100_000, 'nested too deeply'),
    ('# ' + 'x' * 2**18, 'is larger than 0.25 MiB'), (one_table(title='2020-13-45'), 'month must be'),
    (one_table(title='!!python/object/apply:os.system [ls]'), 'could not determine a constructor'),
    (one_table() + 'title: t\n', 'stands there twice'), (one_table(title='3'), 'title must be text and is 3'),
    (one_table(title='2020-01-01'), 'title must be text'), (one_table(source='null'), 'source must be text'),
    (one_table(notes='text'), 'notes must be a list'), (one_table(notes='[1]'), r'notes\[0\] must be text'),
    (one_table(metric='[f1]'), "it has 'metric', which is none of title"), ('{', 'no YAML file'),
    (one_table(metrics='f1'), 'metrics must be a'), ('a: 1', "it has 'a', which is none of title"),
    ('title: a', 'it has no source, rows'),
    ('3', 'must be an object'),
    (one_table(metrics='[[f1]]'), 'is none of mAP_07'), (one_table(metrics='[mAP_13]'), "'mAP_13' is none of mAP_07"),
    (one_table(metrics='["AP_12_a|b"]'), "'AP_12_a|b' is none of mAP_07".replace('|', r'\|')),
    (one_table('{label: b, paper: [1, 1, 1, 1]}', metrics='[f1]'), 'has no numbers of the paper'),
    (one_table(base='{mine: x.py}'), "base has 'mine', which is none of paper, ours, demo"),
    (one_table(base='{}'), 'base names no config'), (one_table(base='{ours: 3}'), 'base.ours must be text'),
    (one_table(base='3'), 'base must be an object'), (one_table(group='a/b'), "group: 'a/b' is no key"),
    (one_table('a'), r'rows\[0\] must be an object'), (one_table('{key: a}'), r'rows\[0\] has no label'),
    (one_table('{key: a, label: 8}'), r'rows\[0\].label must be text'),
    (one_table('{name: no, label: b}'), r'rows\[0\].name must be text and is False'),
    (one_table('{label: b, confg: c.py}'), r"rows\[0\] has 'confg'"),
    (one_table('{label: b, base: x.py}'), r'rows\[0\] has a base and no key'),
    (one_table('{label: b, set: {}}'), r'rows\[0\] has a set and no key'),
    (one_table('{key: a, label: b, set: {}}'), r'rows\[0\] has a set and no base'),
    (one_table('{key: ../a, label: b, base: x.py}'), 'is no key'),
    (one_table('{key: 1, label: b}'), 'key must be text'),
    (one_table('{key: a, label: b, base: x.py, set: 3}'), r'rows\[0\].set must be an object'),
    (one_table('{key: a, label: b, base: x.py, set: {1: 3}}'), r'rows\[0\].set must be an object'),
    (one_table('{key: a, label: b, base: x.py, set: {paper: {}}}'), 'set is for paper, and its base for ours'),
    (one_table('{key: a, label: b, base: x.py, set: {ours: {}, a.b: 1}}'), 'set is for ours, a.b, and its base'),
    (one_table('{key: a, label: b, base: x.py, set: {a.b: 2020-01-01}}'), 'set: a.b must be text, a finite number'),
    (one_table('{key: a, label: b, base: x.py, set: {a.b: [.nan]}}'), 'set: a.b must be text, a finite number'),
    (one_table('{key: a, label: b, base: x.py, set: {a.b: {1: 2}}}'), 'set: a.b must be an object'),
    (one_table('{key: a, label: b, base: x.py, set: {a.b: 010}}'), '010 is no decimal number'),
    (one_table('{key: a, label: b, base: x.py, set: {a.b: [4, 1:30]}}'), '1:30 is no decimal number'),
    (one_table('{key: a, label: b, base: x.py, set: {a.b: 1:30.5}}'), '1:30.5 is no decimal number'),
    (one_table(f'{ROW}, {ROW}'), 'two rows have the key a'),
    (one_table(f'{ROW}, {{key: c, label: c, base: {{demo: x.py}}}}'), 'row c has a base for demo, and the first row'),
    (one_table('{label: b, paper: [0.1]}'), r'rows\[0\].paper has 1 numbers for 4 columns'),
    (one_table('{label: b, paper: ["0.1", "0.2", "0.3", "0.4"]}'), r'rows\[0\].paper: mAP_07 must be a number'),
    (one_table('{label: b, paper: [0.1, 0.2, 0.3, 30]}'), r'rows\[0\].paper: recall_12 must be .* from 0 to 1'),
    (one_table('{label: b, paper: [0.1, 0.2, 0.3, .nan]}'), r'rows\[0\].paper'),
    (one_table('{label: b, paper: [1, 2]}', **MASKS), r'rows\[0\].paper has 2 numbers for 3 columns \(IoU, P_d, F_a'),
    (one_table('{label: b, paper: [101, 2, 3]}', **MASKS), r'rows\[0\].paper: IoU must be a number from 0 to 100'),
    (one_table('{label: b, paper: [1, 2, "3"]}', **MASKS), r'rows\[0\].paper: F_a must be a number'),
    (one_table(evaluator='IRSTD'), "evaluator: 'IRSTD' is none of DenseSIRSTMetric, IRSTDMetric"),
    (one_table(evaluator='[IRSTDMetric]'), 'evaluator: .* is none of DenseSIRSTMetric'),
    (one_table(metrics='[mAP_12]', **MASKS), "'mAP_12' is none of IoU, .*; it is one of DenseSIRSTMetric"),
    (one_table(metrics='[IoU]'), "'IoU' is none of mAP_07, .*; it is one of IRSTDMetric: give evaluator: IRSTDMetric"),
    (one_table(metrics='[AP_12_drone]', **MASKS), "'AP_12_drone' is none of IoU"),
    (one_table(costs='[time]'), "costs: 'time' is none of params, flops, ms"),
    (one_table(costs='[ms]', metrics='[f1]'), 'a table with `metrics` has no `costs`'),
    (one_table(f'{{label: b, {TOP_HAT}}}', **MASKS), r'rows\[0\] has a method and no key'),
    (one_table(f'{{key: a, label: b, {TOP_HAT}}}', **MASKS), r'rows\[0\] has a method: it needs a base'),
    (one_table(f'{{key: a, label: b, base: x.py, {TOP_HAT}}}'), r'rows\[0\] has a method: it needs .* IRSTDMetric'),
    (one_table('{key: a, label: b, base: x.py, method: {name: Top-Hat}}', **MASKS), r'rows\[0\].method has no rule'),
    (one_table('{key: a, label: b, base: x.py, method: {name: Hat, rule: A}}', **MASKS),
     r"rows\[0\].method.name: 'Hat' is none of Top-Hat"),
    (one_table(metrics='[f1]', tests='3'), 'tests must be an object'),
    (one_table(metrics='[f1]', tests='{}'), 'tests names no test; give each its settings'),
    (one_table(metrics='[f1]', tests='{../a: {}}'), "tests: '../a' is no key"),
    (one_table(metrics='[f1]', tests='{a: 3}'), 'tests.a must be an object'),
    (one_table(metrics='[f1]', tests='{a: {ours: 3}}'), 'tests.a must be an object'),
    (one_table(metrics='[f1]', tests='{a: {model.depth: 3}}'), "sets 'model.depth'; a test changes test_dataloader"),
    (one_table(metrics='[f1]', tests='{a: {ours: {test_cfg.x: 3}}}'), "tests.a sets 'test_cfg.x'"),
    (one_table(metrics='[f1]', tests='{a: {demo: {}}}'), 'tests.a is for demo, and its base for ours'),
    (one_table(metrics='[f1]', tests='{a: {test_evaluator.a: 2020-01-01}}'), 'tests.a: test_evaluator.a must be text'),
    (one_table(tests='{a: {}}'), 'a table with `tests` needs `metrics`'),
    (one_table('{label: b, paper: 0.1}'), r'rows\[0\].paper must be a list'),
    ('a: "\\e[31m"\n? [1]\n: 2', 'no YAML file')])
def test_a_table_of_wrong_types_is_one_line(tmp_path, text, message):
    file = tmp_path / 'own.yaml'
    file.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        select_tables(str(file))
    assert str(caught.value).startswith(f'{file}: ') and str(caught.value).isprintable()


def test_a_file_of_a_name_that_is_no_key_is_one_line(tmp_path):
    (tmp_path / 'a b.yaml').write_text(one_table())
    with pytest.raises(InputError, match="the file's name: 'a b' is no key"):
        select_tables(str(tmp_path / 'a b.yaml'))


def test_a_table_in_another_encoding_is_one_line(tmp_path):
    (tmp_path / 'own.yaml').write_bytes('title: é'.encode('latin-1'))
    with pytest.raises(InputError, match='not UTF-8'):
        select_tables(str(tmp_path / 'own.yaml'))
