"""Rows and seeds as runs: what a result depends on, which rows are the same network, where a stopped run goes on."""
import dataclasses
import json
import os
import shutil
from pathlib import Path

import pytest
from conftest import ROOT
from mmengine.config import Config

from bafenet.engine.options import load_config
from bafenet.errors import InputError
from bafenet.reproduction import plan
from bafenet.reproduction.depends import result_settings
from bafenet.reproduction.plan import plan_runs, row_config, set_epochs
from bafenet.reproduction.stored import digest_of, read_result, read_settings
from bafenet.reproduction.table import Row
from bafenet.reproduction.tables import find_row

DEMO = str(ROOT / 'configs/demo/bafenet_r18_demo.py')


@pytest.fixture(autouse=True)
def _in_the_checkout(monkeypatch):
    monkeypatch.chdir(ROOT)


# --- Settings and runs ------------------------------------------------------------------------------------------------


def rows(*names):
    return [find_row(name) for name in names]


@pytest.mark.parametrize('protocol', ['paper', 'ours'])
def test_rows_that_are_the_same_network_are_one_run(devkit, tmp_path, protocol):
    same = ('table2_f', 'table3_d', 'table4_64', 'table6_r50', 'exchange_static')
    runs = plan_runs(rows(*same, 'table3_c', 'table6_r18'), protocol, 2, str(tmp_path), str(devkit))
    assert len(runs) == 7 * 2
    assert len({run.folder for run in runs.values()}) == 3 * 2
    for seed in range(2):
        shared = {runs[name, seed].folder for name in same}
        assert shared == {tmp_path / protocol / 'table2_f' / f'seed_{seed}'}
        assert {run.cfg.randomness.seed for (_, own), run in runs.items() if own == seed} == {seed}


def test_a_run_that_is_there_is_used_by_its_equals(devkit, tmp_path):
    run, = plan_runs(rows('table3_d'), 'ours', 1, str(tmp_path), str(devkit)).values()
    run.write_settings()
    other, = plan_runs(rows('table4_64'), 'ours', 1, str(tmp_path), str(devkit)).values()
    assert other.folder == run.folder == tmp_path / 'ours/table3_d/seed_0' and other.row == 'table3_d'


def test_the_protocol_is_that_of_the_base():
    row = find_row('table3_d')
    assert row_config(row, 'paper').train_dataloader.dataset.ann_file == 'Splits/trainval_v2.txt'
    assert row_config(row, 'ours', data='here').test_dataloader.dataset.data_root == 'here'


def test_other_splits_are_those_of_every_loader():
    def lists(key, protocol, *options):
        cfg = row_config(find_row(key), protocol, options=list(options))
        return [Path(cfg[loader].dataset.ann_file).stem for loader in plan.LOADERS]

    assert lists('tiny', 'ours') == ['train_v2', 'val_v2', 'test_v2']
    assert lists('tiny', 'ours', 'splits=rec') == ['train_rec', 'val_rec', 'test_rec']
    assert lists('table3_d', 'paper', 'splits=rec') == ['trainval_rec', 'test_rec', 'test_rec']
    assert lists('picked_on_test', 'ours', 'splits=rec') == ['train_rec', 'test_rec', 'test_rec']


def own_row(base, **settings):
    return Row('mine', '', 'mine', {}, dict(ours=base), dict(ours=settings), 'mine.yaml')


def test_options_come_after_what_a_row_sets():
    row = find_row('table4_8')
    assert row_config(row, 'ours').model.bbox_head.exchange.adapter.hidden_channels == 8
    options = ['model.bbox_head.exchange.adapter.hidden_channels=12']
    assert row_config(row, 'ours', options=options).model.bbox_head.exchange.adapter.hidden_channels == 12
    assert row_config(find_row('table3_c'), 'ours', options=options[:0]).model.bbox_head.exchange.adapter is None


@pytest.mark.parametrize(('key', 'value'), [
    ('optim_wrapper.optimizer.lr', '2e-3'), ('optim_wrapper.optimizer.weight_decay', False),
    ('model.bbox_head.box_coding', False), ('model.bbox_head.box_coding', 3), ('model.bbox_head.strides', 4),
    ('train_dataloader.dataset.pipeline.RandomFlip.prob', False),
    ('train_dataloader.dataset.pipeline.RandomFlip.prob', '0.5'),
    ('model.backbone.depth', [18]), ('model.data_preprocessor.mean', 103.5),
    ('train_dataloader.dataset.ann_file', 3), ('train_dataloader.dataset.ann_file', False),
    ('train_cfg.max_epochs', True), ('train_cfg.max_epochs', '3'), ('train_cfg.val_interval', 1.5),
    ('model.bbox_head.bottleneck', 1), ('model.bbox_head.bottleneck', 'no'), ('model.neck.in_channels', '64'),
    ('model.bbox_head.exchange.adapter', 3), ('model.bbox_head.exchange', {'ratio': '2e-1'})])
def test_a_value_of_another_kind_than_the_bases_is_one_line_with_file_row_and_key(key, value):
    with pytest.raises(InputError) as caught:
        row_config(own_row(DEMO, **{key: value}), 'ours')
    message = str(caught.value)
    assert message.startswith('mine.yaml: row mine: ') and key in message and message.isprintable()


@pytest.mark.parametrize(('key', 'message'), [
    ('model.bbox_head.strid', 'did you mean model.bbox_head.strides'),
    ('train_dataloader.dataset.pipeline.BAGCopyPast.prob', 'BAGCopyPast')])
def test_a_key_that_is_no_setting_is_one_line(key, message):
    with pytest.raises(InputError, match=f'^mine.yaml: row mine: .*{message}'):
        row_config(own_row(DEMO, **{key: 1}), 'ours')


def settings(data, *options):
    cfg = load_config(DEMO, list(options))
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.data_root = str(data)
    return result_settings(cfg)


def test_a_result_depends_on_settings_and_data_and_not_on_where_or_how_many_workers(devkit, copy):
    expected = settings(devkit)
    assert settings(copy, 'train_dataloader.num_workers=7', 'default_hooks.logger.interval=3') == expected
    assert settings(devkit, 'model.test_cfg.score_thr=0.1') != expected
    assert settings(devkit, 'default_hooks.checkpoint.save_best=densesirst/mAP_07') != expected


def test_with_several_tests_a_result_depends_on_each_and_not_on_the_configs_own(devkit, copy):
    tests = {name: {'ours': {'test_dataloader.dataset.ann_file': f'Splits/{name}_v2.txt'}} for name in ('val', 'test')}

    def planned(**own):
        row = dataclasses.replace(own_row(DEMO, **own), tests=tests)
        return plan_runs([row], 'ours', 1, str(copy.parent), str(devkit))['mine', 0]

    run = planned()
    assert list(run.tests) == list(run.settings['tests']) == ['val', 'test']
    for name, test in run.tests.items():
        assert test.test_dataloader.dataset.ann_file == f'Splits/{name}_v2.txt'
        assert run.settings['tests'][name]['data']['test_dataloader']['images'] == 2
        assert test.randomness.seed == 0 and test.model.to_dict() == run.cfg.model.to_dict()
    assert 'test_dataloader' not in run.settings['config'] and 'test_dataloader' not in run.settings['data']
    assert planned(**{'test_dataloader.dataset.ann_file': 'Splits/train_v2.txt'}).digest == run.digest
    tests['test']['ours']['test_evaluator.fppi_score'] = 0.1
    assert planned().digest != run.digest
    run.write_settings()
    assert sorted(file.name for file in (run.folder / 'tests').iterdir()) == ['test.py', 'val.py']


@pytest.mark.parametrize('name', ['../x', 'a b', ''])
def test_a_name_of_a_test_that_leads_elsewhere_is_refused(tmp_path, name):
    (tmp_path / 'settings.json').write_text(json.dumps(dict(digest='a', seed=0, settings=dict(tests={name: {}}))))
    with pytest.raises(InputError, match='settings.json: not the settings.json of a run .*is no key'):
        read_settings(tmp_path)


def test_a_result_depends_on_the_boxes(devkit, tmp_path):
    changed = shutil.copytree(devkit, tmp_path / 'changed')
    file = changed / 'SIRST/BBox/scene_0.xml'
    file.write_text(file.read_text().replace('<xmax>', '<xmax>1', 1))
    assert settings(changed)['data']['train_dataloader'] != settings(devkit)['data']['train_dataloader']
    assert settings(changed)['data']['test_dataloader'] == settings(devkit)['data']['test_dataloader']


def test_a_split_that_lies_elsewhere_is_known_by_its_names(devkit, copy, tmp_path):
    def on_list(folder, data, *names):
        folder.mkdir()
        (folder / 'mine.txt').write_text('\n'.join(names) + '\n')
        return settings(data, f'train_dataloader.dataset.ann_file={folder / "mine.txt"}')

    expected = on_list(tmp_path / 'a', devkit, 'scene_1', 'scene_2')
    assert on_list(tmp_path / 'b', copy, 'scene_1', 'scene_2') == expected != settings(devkit)
    assert on_list(tmp_path / 'c', devkit, 'scene_1', 'scene_3') != expected


def test_a_config_survives_being_written(devkit, tmp_path):
    run, = plan_runs(rows('table2_d'), 'paper', 1, str(tmp_path), str(devkit)).values()
    run.write_settings()
    assert result_settings(Config.fromfile(run.folder / 'config.py')) == run.settings
    assert json.loads((run.folder / 'settings.json').read_text())['settings'] == run.settings


def test_other_settings_under_the_same_name_are_refused(devkit, tmp_path):
    run, = plan_runs(rows('table3_a'), 'ours', 1, str(tmp_path), str(devkit), epochs=5).values()
    run.write_settings()
    with pytest.raises(InputError) as caught:
        plan_runs(rows('table3_a'), 'ours', 1, str(tmp_path), str(devkit))
    message = str(caught.value)
    # The first of the settings that differ, in alphabetical order: the schedule is as long as the training.
    assert str(run.folder) in message and 'config.param_scheduler.1.end: 5 there, 20 asked for' in message
    assert '\n' not in message


def test_a_shorter_training_shortens_the_steps_of_the_learning_rate():
    cfg = load_config('configs/bafenet/bafenet_r50_densesirst.py')
    set_epochs(cfg, 10)
    assert cfg.train_cfg.max_epochs == 10 and cfg.param_scheduler[1].milestones == [4, 8]
    assert cfg.param_scheduler[1].end == 10 and cfg.param_scheduler[0].end == 500
    cfg = load_config(DEMO)
    set_epochs(cfg, 7)
    assert cfg.param_scheduler[1].T_max == cfg.param_scheduler[1].end == 7 and cfg.param_scheduler[1].begin == 0


@pytest.mark.parametrize(('epochs', 'late', 'ends'), [(58, 52, [52, 58]), (10, 9, [9, 10]), (3, 3, [3])])
def test_a_shorter_training_has_fewer_late_windows_and_none_without_an_epoch_for_them(epochs, late, ends):
    cfg = load_config('configs/bafenet/bafenet_hr_tiny_densesirst.py')
    assert cfg.train_cfg.max_epochs == 29
    set_epochs(cfg, epochs)
    window, = (step for step in cfg.train_dataloader.dataset.pipeline if step.type == 'BalancedCrop')
    assert window.late_epoch == late
    cosines = [step for step in cfg.param_scheduler if step.type == 'CosineAnnealingLR']
    assert [step.end for step in cosines] == ends
    assert [step.begin for step in cosines] == [0, late][:len(ends)]


def test_a_row_that_could_not_be_picked_by_validation_is_refused():
    with pytest.raises(InputError, match='bafenet_r18_demo.py: it has no val_dataloader; a row is trained'):
        row_config(own_row(DEMO, val_dataloader=None, val_cfg=None, val_evaluator=None), 'ours', data='x')


@pytest.mark.parametrize('name', ['settings.json', 'result.json'])
@pytest.mark.parametrize('content', [
    b'', b'[]', b'5', b'{}', b'{"digest": 5}', b'{"digest": "a", "settings": [], "seed": 0, "columns": []}',
    b'{"digest": "a", "settings": {}, "seed": "0", "columns": {"mAP_07": "1"}, "commits": [], "environment": {}}',
    b'{"digest": NaN}', b'\xff\xfe', b'[' * 100_000, None])
def test_files_that_no_run_has_written_are_named_with_what_to_do(devkit, tmp_path, name, content):
    run, = plan_runs(rows('table3_a'), 'ours', 1, str(tmp_path), str(devkit)).values()
    run.write_settings()
    file = run.folder / name
    if content is None:
        file.unlink(missing_ok=True)
        os.mkfifo(file)
    else:
        file.write_bytes(content)
    with pytest.raises(InputError) as caught:
        again, = plan_runs(rows('table3_a'), 'ours', 1, str(tmp_path), str(devkit)).values()
        again.result()
    message = str(caught.value)
    assert message.startswith(f'{file}: not the {name} of a run') and f'delete the folder {run.folder}' in message
    assert message.isprintable()


@pytest.mark.parametrize(('key', 'value'), [
    ('columns', [1]), ('columns', {'mAP_07': None}), ('commits', 'abc'), ('commits', [1]), ('environment', {}),
    ('environment', dict(device=1)), ('tests', []), ('tests', dict(a=1)), ('tests', dict(a={})),
    ('tests', dict(a=dict(metrics={'m': '1'}))), ('digest', None)])
def test_a_field_of_a_result_is_named(tmp_path, key, value):
    result = dict(digest='a', columns={}, commits=['abc'], environment=dict(device='d'), tests={})
    (tmp_path / 'result.json').write_text(json.dumps(result))
    assert read_result(tmp_path) == result
    (tmp_path / 'result.json').write_text(json.dumps({**result, key: value}))
    with pytest.raises(InputError, match=key):
        read_result(tmp_path)


def test_settings_that_were_changed_are_told_from_the_same(devkit, tmp_path):
    run, = plan_runs(rows('table3_a'), 'ours', 1, str(tmp_path), str(devkit)).values()
    run.write_settings()
    stored = json.loads((run.folder / 'settings.json').read_text())
    (run.folder / 'settings.json').write_text(json.dumps(dict(stored, digest='other')))
    with pytest.raises(InputError, match='was run with other settings'):
        plan_runs(rows('table3_a'), 'ours', 1, str(tmp_path), str(devkit))


def test_a_row_of_wrong_types_is_one_line():
    with pytest.raises(InputError, match=r'test_evaluator=\[\] must be'):
        row_config(find_row('table3_a'), 'ours', options=['test_evaluator=[]'])


def test_a_number_of_epochs_that_is_none_is_one_line():
    for value in (0, 'many', None, 1.5):
        with pytest.raises(InputError, match='max_epochs is'):
            set_epochs(Config(dict(train_cfg=dict(max_epochs=value))), 3)


def test_a_run_from_before_a_value_was_renamed_is_the_same_run(devkit, tmp_path):
    row = find_row('tiny_simota')
    run, = plan_runs([row], 'ours', 1, str(tmp_path), str(devkit)).values()
    former = json.loads(json.dumps(run.settings).replace('"assign": "simota"', '"assign": "dynamic"'))
    folder = run.folder.parent.parent / 'tiny_dynamic_assigner' / 'seed_0'
    folder.mkdir(parents=True)
    stored = dict(digest=digest_of(former), row='tiny_dynamic_assigner', seed=0, settings=former)
    (folder / 'settings.json').write_text(json.dumps(stored))
    result = dict(digest=stored['digest'], columns=dict(mAP_12=0.5), commits=['a'], environment=dict(device='cpu'))
    (folder / 'result.json').write_text(json.dumps(result))
    found, = plan_runs([row], 'ours', 1, str(tmp_path), str(devkit)).values()
    assert found.digest == run.digest != stored['digest']
    assert found.folder == folder and found.result()['columns'] == dict(mAP_12=0.5)
    (folder / 'result.json').write_text(json.dumps(dict(result, digest='another')))
    assert found.result() is None


@pytest.mark.parametrize('given', ['row', 'options', 'dict'])
def test_a_seed_among_the_settings_is_refused(given):
    settings = {'row': {'randomness.seed': 3}, 'dict': {'randomness': {'seed': 3}}, 'options': {}}[given]
    with pytest.raises(InputError, match='randomness.seed changes nothing: .* --seeds'):
        row_config(own_row(DEMO, **settings), 'ours', options=['randomness.seed=3'] if given == 'options' else None)


@pytest.mark.parametrize('value', [None, 'auto', ['auto']])
def test_a_row_that_picks_no_epoch_is_refused_before_it_is_trained(value):
    with pytest.raises(InputError, match='save_best=.* must name the metrics'):
        row_config(own_row(DEMO, **{'default_hooks.checkpoint.save_best': value}), 'ours')


def test_a_base_that_is_not_there_is_said_with_its_row():
    with pytest.raises(InputError, match='^mine.yaml: row mine: configs/nope.py: no such config'):
        row_config(own_row('configs/nope.py'), 'ours')
