"""Exported weights: half precision, the same bytes each time, loadable by anyone; their name; their card."""
import copy
import json
import os
import subprocess
from pathlib import Path

import pytest
import torch
from conftest import ROOT, load_tool
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.model import BaseModule
from mmengine.runner import CheckpointLoader
from small_checkpoints import NAME, PROVENANCE, write_checkpoint, write_config
from torch import nn

from bafenet import weights
from bafenet.engine import prepare, test
from bafenet.engine.checkpoints import load_from_local, require_checkpoint
from bafenet.engine.options import parse_config, require_known_types
from bafenet.errors import InputError
from bafenet.release.export import compare, export, shipped_config


@pytest.fixture(scope='module')
def config(devkit, tmp_path_factory):
    return write_config(tmp_path_factory.mktemp('exported') / 'tiny.py', devkit)


@pytest.fixture(scope='module')
def checkpoint(config):
    return write_checkpoint(config)


@pytest.fixture(scope='module')
def exported(checkpoint, tmp_path_factory):
    """A folder of shipped weights, and what the export said."""
    folder = tmp_path_factory.mktemp('weights')
    return folder, export(checkpoint, str(folder / f'{NAME}.pth'), **PROVENANCE)


@pytest.fixture
def shipped(exported, monkeypatch):
    monkeypatch.setattr(weights, 'FOLDER', exported[0])
    return exported[0]


def test_weights_are_the_checkpoints_in_float16(checkpoint, exported):
    folder, report = exported
    file = folder / f'{NAME}.pth'
    source, content = torch.load(checkpoint), torch.load(file, weights_only=True)
    assert content.keys() == {'meta', 'state_dict'}
    assert content['state_dict'].keys() == source['state_dict'].keys()
    for name, value in source['state_dict'].items():
        ours = content['state_dict'][name]
        assert ours.is_contiguous() and ours.untyped_storage().nbytes() == ours.nbytes
        assert torch.equal(ours, value.half() if value.is_floating_point() else value), name
    assert content['meta']['provenance'] == dict(PROVENANCE, seed=3, epochs=14, hardware=None)
    assert content['meta']['dataset_meta'] == dict(classes=['Target'], palette=[[255, 64, 64]])
    assert report['bytes'] == file.stat().st_size < 2.5 * report['parameters']
    assert 0 < report['relative_difference'] < 0.01 and report['max_difference'] > 0


def test_the_config_inside_is_the_runs_without_its_machine(config, exported):
    text = torch.load(exported[0] / f'{NAME}.pth')['meta']['cfg']
    inside, ours = parse_config(text, 'text'), Config.fromfile(config)
    assert inside.model == ours.model and inside.optim_wrapper == ours.optim_wrapper
    assert inside.test_dataloader.dataset.data_root == 'data/SIRSTdevkit'
    assert 'work_dir' not in inside and str(Path(config).parent.parent) not in text
    # An absolute path that is not the dataset's cannot be replaced.
    with pytest.raises(InputError, match='/else/library.npz'):
        shipped_config(Config(dict(library='/else/library.npz')), 'a.pth')


def test_the_same_checkpoint_gives_the_same_bytes_under_any_name(checkpoint, exported, tmp_path):
    folder, report = exported
    again = export(checkpoint, str(tmp_path / 'other.pth'), **PROVENANCE)
    assert (tmp_path / 'other.pth').read_bytes() == (folder / f'{NAME}.pth').read_bytes()
    assert again['sha256'] == report['sha256']
    # And whatever the layout in memory.
    content = torch.load(checkpoint)
    content['state_dict'] = {name: value.contiguous() for name, value in content['state_dict'].items()}
    torch.save(content, tmp_path / 'contiguous.pth')
    assert export(str(tmp_path / 'contiguous.pth'), str(tmp_path / 'third.pth'), **PROVENANCE)['sha256'] == \
        report['sha256']


def test_an_existing_file_is_kept_unless_forced(checkpoint, tmp_path):
    out = tmp_path / 'out.pth'
    out.write_text('precious')
    with pytest.raises(InputError, match='--force'):
        export(checkpoint, str(out), **PROVENANCE)
    assert out.read_text() == 'precious'
    tool = load_tool('export.py')
    assert tool.main([checkpoint, str(out), '--command', 'train', '--commit', 'c', '--seed', '5', '--force']) == 0
    assert torch.load(out)['meta']['provenance']['seed'] == 5


def no_config(content):
    del content['meta']['cfg']


def a_program(content):
    content['meta']['cfg'] += '\nx = __import__("os").getcwd()\n'


def too_large(content):
    content['state_dict']['bbox_head.conv_cls.weight'][0, 0, 0, 0] = 1e5


def diverged(content):
    content['state_dict']['bbox_head.conv_cls.weight'][0, 0, 0, 0] = float('nan')


def of_another_network(content):
    content['state_dict']['more.weight'] = torch.ones(1)


@pytest.mark.parametrize(('spoil', 'message'), [
    (no_config, 'holds no config'), (a_program, 'more than plain values'), (too_large, 'values up to 1e'),
    (diverged, 'cannot hold'), (of_another_network, 'does not fit the network')])
def test_what_cannot_be_shipped_is_refused_in_one_line(checkpoint, tmp_path, spoil, message):
    content = torch.load(checkpoint)
    spoil(content)
    torch.save(content, tmp_path / 'spoiled.pth')
    with pytest.raises(InputError, match=message) as caught:
        export(str(tmp_path / 'spoiled.pth'), str(tmp_path / 'out.pth'), **PROVENANCE)
    assert '\n' not in str(caught.value) and not (tmp_path / 'out.pth').exists()


def test_weights_that_predict_otherwise_are_refused(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr('bafenet.release.export._MAX_DIFFERENCE', 1e-7)
    with pytest.raises(InputError, match='in float16 the network predicts otherwise'):
        export(checkpoint, str(tmp_path / 'out.pth'), **PROVENANCE)
    assert not (tmp_path / 'out.pth').exists()


def test_the_largest_difference_of_any_output_is_found(config):
    torch.manual_seed(0)
    network = MODELS.build(Config.fromfile(config).model).eval()
    other = copy.deepcopy(network)
    assert compare(network, other) == dict(max_difference=0, relative_difference=0)
    with torch.no_grad():
        other.bbox_head.conv_cls.bias += 0.5
    result = compare(network, other)
    assert result['max_difference'] == pytest.approx(0.5, rel=1e-5)
    with torch.no_grad():
        network.bbox_head.conv_cls.weight.zero_()
        other.bbox_head.conv_cls.weight.zero_()
        network.bbox_head.conv_cls.bias.fill_(-4)
        other.bbox_head.conv_cls.bias.fill_(-5)
    assert compare(network, other) == dict(max_difference=1, relative_difference=0.25)


@pytest.mark.parametrize('text', ['open("x")', 'a = open("x")', 'a = dict(1)', 'a = dict(**b)', 'a = b = 1', 'a =',
                                  'a = [i for i in ()]', 'import os', 'a.b = 1', 'a = ' + '[' * 500])
def test_a_config_that_is_a_program_is_not_read(text):
    with pytest.raises(InputError, match='a.pth: its config'):
        parse_config(text, 'a.pth')


@pytest.mark.parametrize('place', ['model', 'model.bbox_head.loss_cls', 'model.bbox_head.exchange.adapter',
                                   'model.bbox_head.init_cfg.override'])
@pytest.mark.parametrize('kind', ['subprocess.Popen', 'mmdet.subprocess.Popen', 'scope', 'antigravity', 'list'])
def test_a_config_builds_nothing_but_parts_of_networks(checkpoint, tmp_path, monkeypatch, place, kind):
    monkeypatch.chdir(tmp_path)
    content = torch.load(checkpoint)
    values = parse_config(content['meta']['cfg'], 'a.pth').to_dict()
    *parents, last = place.split('.')
    node = values
    for parent in parents:
        node = node[parent]
    hostile = dict(type='subprocess.Popen' if kind == 'scope' else kind, args=['touch', 'marker'])
    if kind == 'scope':
        hostile = dict(type='FCOS', _scope_='subprocess', args=hostile)
    node[last] = [hostile] if kind == 'list' else hostile
    content['meta']['cfg'] = Config(values).pretty_text
    torch.save(content, tmp_path / 'hostile.pth')
    with pytest.raises(InputError, match='hostile.pth: its config names .*nothing was executed'):
        export('hostile.pth', 'out.pth', **PROVENANCE)
    assert [file.name for file in tmp_path.iterdir()] == ['hostile.pth']


@pytest.mark.parametrize('path', sorted((ROOT / 'configs').rglob('*_densesirst.py')), ids=lambda path: path.stem)
def test_every_network_of_ours_is_of_known_parts(path):
    require_known_types(Config.fromfile(path, import_custom_modules=False).model.to_dict(), str(path))


def test_only_the_datasets_own_root_is_replaced():
    cfg = Config(dict(train_dataloader=dict(dataset=dict(data_root='/d/SIRST', library='/d/SIRST/a/b.npz'))))
    assert shipped_config(cfg, 'a.pth').train_dataloader.dataset == dict(
        data_root='data/SIRSTdevkit', library='data/SIRSTdevkit/a/b.npz')
    cfg.other = '/d/SIRST2/b.npz'
    with pytest.raises(InputError, match='names a place of the machine that trained it, /d/SIRST2/b.npz'):
        shipped_config(cfg, 'a.pth')


def test_a_config_of_plain_values_is_read():
    assert parse_config("a = dict(b=(1, -2.5, None), c={'0': [True, dict(d='x')]})\ne = 'f'\n", 'a.pth').to_dict() == \
        dict(a=dict(b=(1, -2.5, None), c={'0': [True, dict(d='x')]}), e='f')


# --- The name ---------------------------------------------------------------------------------------------------------


def test_a_name_loads_wherever_a_checkpoint_is_asked_for(checkpoint, shipped, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    require_checkpoint(NAME)
    loaded = CheckpointLoader.load_checkpoint(NAME)
    original = torch.load(checkpoint)['state_dict']

    class Stem(BaseModule):
        def __init__(self):
            super().__init__(dict(type='Pretrained', checkpoint=NAME, prefix='bbox_head.conv_cls.'))
            self.register_parameter('weight', nn.Parameter(torch.zeros(original['bbox_head.conv_cls.weight'].shape)))
            self.register_parameter('bias', nn.Parameter(torch.zeros(1)))

    stem = Stem()
    stem.init_weights()
    assert stem.weight.dtype == torch.float32
    assert torch.equal(stem.weight, loaded['state_dict']['bbox_head.conv_cls.weight'].float())
    assert torch.allclose(stem.weight, original['bbox_head.conv_cls.weight'], atol=1e-4) and stem.weight.any()
    # A file of that name comes first.
    torch.save(dict(mine=torch.ones(1)), NAME)
    assert load_from_local(NAME).keys() == {'mine'}


def test_an_unknown_name_is_told_the_known_ones(shipped):
    for load in (require_checkpoint, CheckpointLoader.load_checkpoint):
        with pytest.raises(InputError, match=f'bafenet_tset does not exist.*{NAME}') as caught:
            load('bafenet_tset')
        assert '\n' not in str(caught.value)
    # A name, and not a path.
    for path in (f'../{NAME}', f'./{NAME}', f'{NAME}.pth', ''):
        with pytest.raises(InputError, match='does not exist'):
            require_checkpoint(path)


def test_shipped_weights_test_and_fine_tune_and_cannot_be_resumed(config, checkpoint, shipped, tmp_path):
    test.test(config, NAME, work_dir=str(tmp_path), out=str(tmp_path / 'out.json'))
    written = json.loads((tmp_path / 'out.json').read_text())
    assert written['checkpoint'] == NAME and all(image['scores'] for image in written['images'])
    runner = prepare.build_runner(prepare.prepare_config(config, str(tmp_path), [f'load_from={NAME}'], 'none'))
    runner.load_or_resume()
    assert {parameter.dtype for parameter in runner.model.parameters()} == {torch.float32}
    assert torch.equal(runner.model.bbox_head.conv_cls.weight,
                       torch.load(checkpoint)['state_dict']['bbox_head.conv_cls.weight'].half().float())
    runner._resume, runner._has_loaded = True, False
    with pytest.raises(InputError, match='cannot be resumed'):
        runner.load_or_resume()


# --- The repository --------------------------------------------------------------------------------------------------


def test_git_keeps_the_weights_of_the_package_and_no_others():
    if not (ROOT / '.git').exists():
        pytest.skip('not a checkout')
    ignored = [subprocess.run(['git', 'check-ignore', '-q', path], cwd=ROOT).returncode == 0
               for path in ('bafenet/weights/bafenet_hr_tiny.pth', 'bafenet/weights/bafenet_hr_tiny.json', 'other.pth')]
    assert ignored == [False, False, True]


def test_no_part_of_a_hostile_checkpoint_is_executed(tmp_path):
    class Hostile:
        """Pickled as a command, which unpickling then runs."""

        def __reduce__(self):
            return os.system, (f'touch {tmp_path / "marker"}', )

    torch.save(dict(meta=Hostile(), state_dict={}), tmp_path / 'hostile.pth')
    with pytest.raises(InputError, match='nothing in it was executed'):
        export(str(tmp_path / 'hostile.pth'), str(tmp_path / 'out.pth'), **PROVENANCE)
    assert not (tmp_path / 'marker').exists()
