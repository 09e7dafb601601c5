"""What tables there are, and the rows of one."""
import pytest
from conftest import load_tool

from bafenet.reproduction.listing import describe_tables
from bafenet.reproduction.tables import read_tables


def test_all_tables_are_listed_with_their_protocols_and_rows():
    head, *lines = describe_tables().splitlines()
    assert head.split() == ['table', 'group', 'protocols', 'rows', 'title']
    assert [line.split()[0] for line in lines] == [table.key for table in read_tables()]
    three = next(line for line in lines if line.startswith('III '))
    assert three.split('  ', 1)[1].split() == ['all', 'paper,', 'ours,', 'demo', '4', 'Background-Aware', 'Feature',
                                               'Exchange']


def test_the_rows_of_a_table_are_listed_by_key_and_label(capsys):
    assert load_tool('reproduce.py').main(['3', '--list']) == 0
    head, columns, *rows = capsys.readouterr().out.splitlines()
    assert head == 'III: Background-Aware Feature Exchange (protocols: paper, ours, demo)'
    assert columns.split() == ['key', 'label'] and rows[0] == 'table3_a  (a) detection alone' and len(rows) == 4
    # One of another paper, whose first table has rows that are not run, and a group.
    assert len(describe_tables('VII').splitlines()) == 2 + 25
    assert describe_tables('hr').count('key ') == 2


def test_help_names_the_tables_and_the_groups(capsys):
    with pytest.raises(SystemExit, match='0'):
        load_tool('reproduce.py').main(['--help'])
    text = ' '.join(capsys.readouterr().out.split())
    for table in read_tables():
        assert table.key in text and table.group in text
    assert 'hr (hr_exchange, hr_parts)' in text


def test_a_table_or_the_list_is_asked_for(capsys):
    with pytest.raises(SystemExit, match='2'):
        load_tool('reproduce.py').main([])
    assert 'give a TABLE, or --list' in capsys.readouterr().err
