"""A row as a command of tools/train.py: the printed line gives the same settings; ``train.py --row`` does too."""
import json
import shlex
import subprocess
from types import SimpleNamespace

import pytest
from conftest import ROOT, a_third, load_tool

from bafenet.engine.options import load_config
from bafenet.errors import InputError
from bafenet.reproduction.depends import result_settings
from bafenet.reproduction.plan import row_config
from bafenet.reproduction.reproduce import reproduce
from bafenet.reproduction.tables import find_row, read_tables
from bafenet.reproduction.train_commands import train_command

ROWS = {(table.key, protocol, row.key): row
        for table in read_tables() for row in table.runnable if row.method is None for protocol in row.base}


@pytest.fixture(autouse=True)
def _in_the_checkout(monkeypatch):
    monkeypatch.chdir(ROOT)


def parsed(line):
    """The arguments of a printed command, by train.py's own parser."""
    python, tool, *arguments = shlex.split(line)
    assert (python, tool) == ('python', 'tools/train.py')
    return load_tool('train.py').parse_args(arguments)


def test_there_are_rows_of_every_table():
    heads = 10 + 17 + 4
    assert len(ROWS) == (28 * 3 + (18 + 25) * 2 + 9 + 33 + 16 + 7 + 7 + 10 + 3 + 4 + 4 + 12 + heads
                         + (4 + 3 + 6 + 5 + 6) * 3)


@pytest.mark.parametrize('place', a_third(ROWS), ids='-'.join)
def test_the_command_of_every_row_gives_its_settings(place, devkit):
    table, protocol, key = place
    # Rows of several datasets say themselves where these lie, and need not have them here; nor those of target masks.
    data = None if table in ('sparse', 'bridge', 'across', 'semantics', 'synthesis') or 'sirst5k' in table \
        else str(devkit)
    args = parsed(train_command(ROWS[place], protocol, data))
    assert args.work_dir == f'work_dirs/{protocol}/{key}'
    expected, cfg = row_config(ROWS[place], protocol, data), load_config(args.config, args.cfg_options)
    assert cfg.to_dict() == expected.to_dict()
    assert data is None or result_settings(cfg) == result_settings(expected)


def test_a_table_is_printed_as_commands_with_what_every_run_is_given(devkit, capsys):
    options = ['model.bbox_head.exchange.adapter.hidden_channels=12', 'default_hooks.logger.interval=3']
    assert reproduce('4', protocol='ours', commands=True, data=str(devkit), cfg_options=options,
                     rows=['table4_8', 'table4_64']) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and [line.split(':')[0] for line in lines[::2]] == ['# table4_8', '# table4_64']
    for line in lines[1::2]:
        args = parsed(line)
        cfg = load_config(args.config, args.cfg_options)
        assert cfg.model.bbox_head.exchange.adapter.hidden_channels == 12 and cfg.default_hooks.logger.interval == 3
        assert cfg.train_dataloader.dataset.data_root == str(devkit)


@pytest.mark.parametrize('key', ['across_nudt', 'semantics_no_sky'])
def test_a_row_with_tests_has_a_command_for_each(key, capsys):
    row = find_row(key)
    options = ['splits=rec', 'model.test_cfg.score_thr=0.1']
    assert reproduce(key.split('_')[0], commands=True, rows=[key], cfg_options=options) == 0
    _, train, *tests = capsys.readouterr().out.splitlines()
    assert parsed(train).work_dir == f'work_dirs/ours/{key}_rec' and len(tests) == len(row.tests)
    for test, line in zip(row.tests, tests, strict=True):
        python, tool, *arguments = shlex.split(line)
        args = load_tool('test.py').parse_args(arguments)
        assert (python, tool, args.checkpoint) == ('python', 'tools/test.py', f'work_dirs/ours/{key}_rec')
        assert args.out == f'work_dirs/ours/{key}_rec/results_{test}.json'
        cfg = load_config(args.config, args.cfg_options)
        assert cfg.to_dict() == row_config(row, 'ours', options=options, test=test).to_dict()
        assert cfg.test_dataloader.dataset.data_root == row.tests[test]['ours']['test_dataloader.dataset.data_root']


@pytest.mark.parametrize('value', ["it's", 'a "b" \'c\'', '$HOME `ls` !x', 'a\\b', "'$HOME'", '*', "'!'"])
def test_what_a_shell_would_read_is_quoted(value):
    options = ['train_dataloader.dataset.data_root=' + value]
    line = train_command(find_row('table3_d'), 'ours', options=options)
    assert parsed(line).cfg_options == options
    read = subprocess.run(['bash', '-c', f'printf "%s\\n" {line}'], capture_output=True, text=True, check=True).stdout
    assert read.splitlines()[-1] == options[0]


def test_a_number_of_epochs_is_no_command():
    with pytest.raises(InputError, match='--commands: with --epochs'):
        reproduce('4', commands=True, epochs=3)


def test_a_row_without_changes_is_its_config_alone():
    line = train_command(find_row('table3_d'), 'paper')
    assert line == ('python tools/train.py configs/bafenet/bafenet_r50_paper_densesirst.py --work-dir '
                    'work_dirs/paper/table3_d')


@pytest.fixture
def trained(monkeypatch):
    """What ``train.py`` would train."""
    calls = []
    monkeypatch.setattr('bafenet.engine.train.train', lambda **arguments: calls.append(arguments))

    def run(*arguments):
        assert load_tool('train.py').main(list(arguments)) == 0
        return calls.pop()

    return run


@pytest.mark.parametrize(('given', 'protocol'), [((), 'ours'), (('--protocol', 'paper'), 'paper')])
def test_a_row_is_trained_as_its_command_says(trained, given, protocol):
    for key in ('table3_b', 'table5_channel_spatial', 'table2_a'):
        one = trained('--row', key, *given, '--seed', '3')
        args = parsed(train_command(find_row(key), protocol))
        assert (one['config'], one['default_work_dir'], one['work_dir']) == (args.config, args.work_dir, None)
        cfg = load_config(one['config'], settings=one['settings'])
        assert cfg.to_dict() == load_config(args.config, args.cfg_options).to_dict()
        assert one['seed'] == 3 and 'row' not in one and 'protocol' not in one


def test_a_row_is_trained_with_changes_of_ones_own(trained):
    mine = 'model.bbox_head.exchange.adapter.hidden_channels=12'
    one = trained('--row', 'table4_8', '--work-dir', 'mine', '--cfg-options', mine)
    assert one['work_dir'] == 'mine'
    cfg = load_config(one['config'], one['cfg_options'], settings=one['settings'])
    assert cfg.model.bbox_head.exchange.adapter.hidden_channels == 12
    # What is below a key that is given goes with it.
    one = trained('--row', 'table4_8', '--cfg-options', 'model.bbox_head.exchange=None')
    assert load_config(one['config'], one['cfg_options'], settings=one['settings']).model.bbox_head.exchange is None


def test_other_splits_have_another_folder():
    assert parsed(train_command(find_row('tiny'), 'ours', options=['splits=rec'])).work_dir == 'work_dirs/ours/tiny_rec'


def test_a_row_is_trained_on_both_splits_and_from_scratch_in_a_folder_of_its_own(monkeypatch, tmp_path):
    from bafenet.engine import train
    configs = []
    monkeypatch.setattr(train, 'build_runner', lambda cfg: configs.append(cfg) or SimpleNamespace(
        train=lambda: None, log_dir=str(tmp_path)))
    monkeypatch.chdir(tmp_path)
    arguments = ['--row', 'table6_r18', '--protocol', 'paper', '--trainval', '--scratch', '--splits', 'rec']
    assert load_tool('train.py').main(arguments) == 0
    cfg, = configs
    assert cfg.work_dir == 'work_dirs/paper/table6_r18_scratch_trainval_rec'
    assert cfg.model.backbone.depth == 18 and cfg.model.backbone.init_cfg is None and cfg.val_dataloader is None
    assert cfg.train_dataloader.dataset.ann_file == 'Splits/trainval_rec.txt'


@pytest.mark.parametrize(('arguments', 'message'), [
    ([], 'give a config file, or the row of a table by --row KEY'),
    (['a.py', '--row', 'table3_b'], 'CONFIG a.py and --row table3_b: give one of them, not both'),
    (['--row', 'III'], '--row III: is a table, and no row; its rows: table3_a, '),
    (['--row', 'all'], '--row all: is a group of tables, and no row; its rows: table2_a, '),
    (['a.py', '--protocol', 'demo'], '--protocol is for --row'),
    (['--row', 'table3_bb'], '--row table3_bb: no table has such a row; close: table3_b'),
    (['--row', 'tiny', '--protocol', 'paper'], 'row tiny: it has no base for the protocol paper; give --protocol')])
def test_a_row_that_cannot_be_trained_is_one_line(arguments, message, capsys):
    with pytest.raises(SystemExit) as caught:
        load_tool('train.py').main(arguments)
    assert caught.value.code == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert message in line


def test_no_command_is_printed_that_would_be_refused(capsys):
    with pytest.raises(InputError, match="splits='../x' must be a text"):
        reproduce('4', protocol='ours', commands=True, splits='../x')
    with pytest.raises(InputError, match="has no 'nope'"):
        reproduce('4', protocol='ours', commands=True, cfg_options=['nope=3'])
    assert not capsys.readouterr().out


def test_options_that_are_parts_of_what_a_row_sets_are_no_command(tmp_path, capsys):
    exchange = {'_delete_': True, 'type': 'ChannelExchange', 'ratio': 0.5}
    table = dict(title='t', source='s', base='configs/bafenet/bafenet_r18_densesirst.py',
                 rows=[dict(key='a', label='a', set={'model.bbox_head.exchange': exchange})])
    file = tmp_path / 'own.yaml'
    file.write_text(json.dumps(table))
    with pytest.raises(InputError, match='row a: no one command gives what it sets and these options .*is given too'):
        reproduce(str(file), commands=True, cfg_options=['model.bbox_head.exchange.ratio=0.25'])
    assert not capsys.readouterr().out
    assert reproduce(str(file), commands=True, cfg_options=['model.bbox_head.stacked_convs=2']) == 0
