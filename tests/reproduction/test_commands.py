"""A row as a command of tools/train.py: the printed line gives the same settings; ``train.py --row`` does too."""
import shlex

import pytest
from conftest import ROOT, load_tool

from bafenet.engine.options import load_config
from bafenet.errors import InputError
from bafenet.reproduction.command import reproduce
from bafenet.reproduction.commands import train_command
from bafenet.reproduction.plan import result_settings, row_config
from bafenet.reproduction.tables import find_row, read_tables

ROWS = {(table.key, protocol, row.key): row
        for table in read_tables() for row in table.runnable for protocol in row.base}


@pytest.fixture(autouse=True)
def _in_the_checkout(monkeypatch):
    monkeypatch.chdir(ROOT)


def parsed(line):
    """The arguments of a printed command, by train.py's own parser."""
    python, tool, *arguments = shlex.split(line)
    assert (python, tool) == ('python', 'tools/train.py')
    return load_tool('train.py').parse_args(arguments)


def test_there_are_rows_of_every_table_but_the_comparison():
    assert len(ROWS) == 28 * 3 + 18 * 2 + 16 + 7


@pytest.mark.parametrize('place', ROWS, ids='-'.join)
def test_the_command_of_every_row_gives_its_settings(place, devkit):
    _, protocol, key = place
    args = parsed(train_command(ROWS[place], protocol, str(devkit)))
    assert args.work_dir == f'work_dirs/{protocol}/{key}'
    expected = result_settings(row_config(ROWS[place], protocol, str(devkit)))
    assert result_settings(load_config(args.config, args.cfg_options)) == expected


def test_a_table_is_printed_as_commands_with_what_every_run_is_given(devkit, capsys):
    options = ['model.bbox_head.exchange.adapter.hidden_channels=12', 'default_hooks.logger.interval=3']
    assert reproduce('4', protocol='ours', commands=True, data=str(devkit), cfg_options=options,
                     rows=['table4_8', 'table4_64']) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    for line in lines:
        args = parsed(line)
        cfg = load_config(args.config, args.cfg_options)
        assert cfg.model.bbox_head.exchange.adapter.hidden_channels == 12 and cfg.default_hooks.logger.interval == 3
        assert cfg.train_dataloader.dataset.data_root == str(devkit)


def test_a_number_of_epochs_is_no_command():
    with pytest.raises(InputError, match='--commands: with --epochs'):
        reproduce('4', commands=True, epochs=3)


def test_a_row_without_changes_is_its_config_alone():
    line = train_command(find_row('table3_d'), 'paper')
    assert line == ('python tools/train.py configs/bafenet/bafenet_r50_paper_densesirst.py --work-dir '
                    'work_dirs/paper/table3_d')
