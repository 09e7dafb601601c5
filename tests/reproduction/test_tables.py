"""The tables as data: the paper's numbers, our own tables, and files that are no tables."""
import pytest
from conftest import ROOT

from bafenet.errors import InputError
from bafenet.reproduction.tables import COLUMNS, choose_protocol, select_tables

TABLES = str(ROOT / 'configs/tables.yaml')
HEAD = 'columns: [mAP_07, recall_07, mAP_12, recall_12]\n'


@pytest.fixture(autouse=True)
def _in_the_checkout(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_the_papers_numbers():
    # Typed from the paper once more: the same network three times, and others.
    expected = {
        ('III', '(a) detection alone'): (.225, .311, .180, .314), ('III', '(d) + adapter'): (.262, .318, .208, .305),
        ('IV', '(d) 64'): (.266, .336, .230, .323), ('VI', '(c) ResNet-50'): (.270, .332, .236, .329),
        ('VI', '(d) ResNet-101'): (.256, .324, .241, .336), ('exchange', 'static'): (.270, .332, .236, .329)}
    tables = {table.key: table for table in [*select_tables('all', TABLES), *select_tables('exchange', TABLES)]}
    paper = {(key, row.title): row.paper for key, table in tables.items() for row in table.rows}
    for row, numbers in expected.items():
        assert paper[row] == dict(zip(COLUMNS, numbers, strict=True))
    # Our copy lacks the bodies of II and V.
    assert not any(numbers for (key, _), numbers in paper.items() if key in ('II', 'V'))
    assert sum(bool(numbers) for numbers in paper.values()) == 4 + 4 + 4 + 1


def test_every_config_of_a_table_is_there():
    configs = [row.config for name in ('all', 'exchange') for table in select_tables(name, TABLES)
               for row in table.rows if row.config]
    assert len(configs) == len(set(configs)) == 6 + 4 + 6 + 5 + 4 + 3
    assert all((ROOT / config).is_file() for config in configs)


def test_our_own_tables():
    chosen = {table.key: table for name in ('native', 'differences') for table in select_tables(name, TABLES)}
    assert list(chosen) == ['native_parts', 'native_exchange', 'differences']
    assert chosen['differences'].columns == ('mAP_07', 'mAP_12', 'recall')
    assert {'mAP_12', 'mAP_12_iou75', 'FPPI_other', 'FPPI_other_recall90'} <= set(chosen['native_exchange'].columns)
    for table in chosen.values():
        assert all((ROOT / row.config).is_file() for row in table.rows)
        assert choose_protocol([table]) == 'ours'
        with pytest.raises(InputError, match=f'{table.key}: no table of the protocol paper; give --protocol ours'):
            choose_protocol([table], 'paper')
    assert choose_protocol(select_tables('all', TABLES)) == 'paper'
    assert choose_protocol(select_tables('all', TABLES), 'demo') == 'demo'


def test_no_two_configs_share_a_folder_for_their_runs():
    names = ('all', 'exchange', 'native', 'differences')
    rows = [row for name in names for table in select_tables(name, TABLES) for row in table.rows]
    configs = {row.config for row in rows if row.config}
    assert len({config.rsplit('/', 1)[-1] for config in configs}) == len(configs)


@pytest.mark.parametrize('name', ['3', 'III', 'iii'])
def test_a_table_by_number_or_key(name):
    assert [table.key for table in select_tables(name, TABLES)] == ['III']


@pytest.mark.parametrize(('name', 'message'), [('8', 'no such table; choose from II'), ('1', 'no such table'),
                                               ('7', 'VII: not here yet')])
def test_a_table_that_cannot_be_had(name, message):
    with pytest.raises(InputError, match=message):
        select_tables(name, TABLES)


@pytest.mark.parametrize(('text', 'message'), [
    ('{', 'no YAML file'), ('a: 1', 'no file of tables'),
    ('columns: [mAP_12, mAP_07]\ntables: {}', '`columns` must be'),
    (HEAD + 'groups: {all: [I]}\ntables: {}', '`groups` has I under all'),
    (HEAD + 'groups: {all: I}\ntables: {}', '`groups` must give a list'),
    (HEAD + 'tables: {I: {title: t, source: s, rows: [{name: a}]}}', 'label'),
    (HEAD + 'tables: {I: {title: t, source: s, rows: [{name: a, label: b, paper: [0.1]}]}}', 'table I is not written'),
    (HEAD + 'tables: {I: {title: t, source: s, metrics: [mAP_13], rows: []}}', "'mAP_13' is none of mAP_07"),
    (HEAD + 'tables: {I: {title: t, source: s, protocols: [mine], rows: []}}', "'mine' is none of paper, ours, demo"),
    (HEAD + 'tables: {I: {title: t, source: s, metrics: [f1], rows: [{name: a, label: b, paper: [1, 1, 1, 1]}]}}',
     'has no numbers of the paper'),
])
def test_a_file_of_tables_that_is_none(tmp_path, text, message):
    (tmp_path / 'tables.yaml').write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        select_tables('I', str(tmp_path / 'tables.yaml'))
    assert '\n' not in str(caught.value)


ROW = '{name: a, label: b}'


def one_table(rows=ROW, **fields):
    """A file of one table, its fields as YAML."""
    fields = dict(dict(title='t', source='s', rows=f'[{rows}]'), **fields)
    return HEAD + 'tables:\n  I: {' + ', '.join(f'{key}: {value}' for key, value in fields.items()) + '}\n'


BILLION = 'a0: &a0 [x, x]\n' + ''.join(f'a{i}: &a{i} [{", ".join([f"*a{i - 1}"] * 9)}]\n' for i in range(1, 12))


@pytest.mark.parametrize(('text', 'message'), [
    (BILLION, 'a0 is an alias'), (one_table(title='&x [*x]'), 'x is an alias'), ('[' * 100_000, 'nested too deeply'),
    ('# ' + 'x' * 2**18, 'is larger than 0.25 MiB'), (one_table(title='2020-13-45'), 'month must be'),
    (one_table(title='!!python/object/apply:os.system [ls]'), 'could not determine a constructor'),
    (one_table() + 'columns: []\n', 'stands there twice'), (one_table(title='3'), 'title must be text and is 3'),
    (one_table(title='2020-01-01'), 'title must be text'), (one_table(source='null'), 'source must be text'),
    (one_table(notes='text'), 'notes must be a list'), (one_table(notes='[1]'), r'notes\[0\] must be text'),
    (one_table(metric='[f1]'), "it has 'metric', which is none of title"),
    (one_table(metrics='f1'), 'metrics must be a'),
    (one_table(metrics='[[f1]]'), 'is none of mAP_07'), (one_table(protocols='ours'), 'protocols must be a list'),
    (one_table('a'), r'rows\[0\] must be an object'),
    (one_table('{name: a, label: 8}'), r'rows\[0\].label must be text'),
    (one_table('{name: no, label: b}'), r'rows\[0\].name must be text and is False'),
    (one_table('{name: a, label: b, confg: c.py}'), r"rows\[0\] has 'confg'"),
    (one_table('{name: a, label: b, config: 5}'), r'rows\[0\].config must be text'),
    (one_table('{name: a, label: b, paper: ["0.1", "0.2", "0.3", "0.4"]}'), r'rows\[0\].paper must be a list'),
    (one_table('{name: a, label: b, paper: [0.1, 0.2, 0.3, 30]}'), r'rows\[0\].paper must be a list .* from 0 to 1'),
    (one_table('{name: a, label: b, paper: [0.1, 0.2, 0.3, .nan]}'), r'rows\[0\].paper'),
    (one_table('{name: a, label: b, paper: 0.1}'), r'rows\[0\].paper must be a list'),
    (one_table().replace('I:', '../../I:'), 'is no name of a table'),
    (one_table().replace('I:', '1:'), 'is no name of a table'),
    (one_table() + 'more: 1\n', "it has 'more'"), (HEAD + 'groups: {a: [[]]}\ntables: {}', 'which is no table'),
    (HEAD + 'groups: {a: [I, 5]}\ntables: {I: {}}', 'which is no table'),
    (HEAD + 'tables: {I: null}', 'must be an object'),
    ('a: "\\e[31m"\n? [1]\n: 2', 'no YAML file')])
def test_a_table_of_wrong_types_is_one_line(tmp_path, text, message):
    file = tmp_path / 'tables.yaml'
    file.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        select_tables('I', str(file))
    assert str(caught.value).startswith(f'{file}: ') and str(caught.value).isprintable()


def test_a_file_of_tables_in_another_encoding_is_one_line(tmp_path):
    (tmp_path / 'tables.yaml').write_bytes('columns: [é]'.encode('latin-1'))
    with pytest.raises(InputError, match='not UTF-8'):
        select_tables('I', str(tmp_path / 'tables.yaml'))
