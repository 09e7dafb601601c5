"""A checkpoint is data: nothing in it is executed, nothing outside the run's folder is removed, whatever it says."""
import resource
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from toy_runs import checkpoint_hook, checkpoints_in, toy_runner, validation

from bafenet.engine import checkpoints
from bafenet.engine.network import build_network
from bafenet.engine.options import parse_config
from bafenet.errors import InputError

RUN = {**checkpoint_hook(save_best='toy/a', rule='greater', max_keep_ckpts=2)}
SCORES = [{'a': 1.0}, {'a': 2.0}, {'a': 3.0}]


@pytest.fixture(scope='module')
def first(tmp_path_factory) -> Path:
    """A run of two epochs. Not to be changed."""
    folder = tmp_path_factory.mktemp('first')
    schedule = [{'type': 'MultiStepLR', 'milestones': [1], 'gamma': 0.5}]
    toy_runner(folder, epochs=2, **RUN, **validation(SCORES[:2]), param_scheduler=schedule).train()
    return folder


def craft(first: Path, out: Path, spoil) -> Path:
    """The run's last checkpoint, spoiled."""
    checkpoint = torch.load(first / 'epoch_2.pth', weights_only=True)
    spoil(checkpoint)
    torch.save(checkpoint, out)
    return out


def resume(work_dir: Path, checkpoint: Path, epochs: int = 3):
    """Resume and train on."""
    schedule = [{'type': 'MultiStepLR', 'milestones': [1], 'gamma': 0.5}]
    runner = toy_runner(work_dir, epochs=epochs, **RUN, **validation(SCORES[2:] * 3), resume=True,
                        load_from=str(checkpoint), param_scheduler=schedule)
    runner.train()
    return runner


# --- Nothing is executed ----------------------------------------------------------------------------------------------


def program(marker: Path) -> str:
    return f"x = open({str(marker)!r}, 'w').close()\nmodel = dict(type='ToyModel')\n"


@pytest.mark.parametrize('way', ['resume', 'load_from', 'test', 'pretrained'])
def test_a_program_in_place_of_the_config_is_not_executed(first, tmp_path, way):
    marker = tmp_path / 'executed'

    def spoil(checkpoint):
        checkpoint['meta']['config'] = program(marker)
        checkpoint['message_hub']['runtime_info']['cfg'] = program(marker)

    file = craft(first, tmp_path / 'hostile.pth', spoil)
    if way == 'resume':
        assert resume(tmp_path / 'run', file).epoch == 3
    elif way == 'load_from':
        toy_runner(tmp_path / 'run', load_from=str(file), epochs=1).train()
    elif way == 'test':
        toy_runner(tmp_path / 'run', load_from=str(file)).test()
    else:
        init_cfg = {'type': 'Pretrained', 'checkpoint': str(file), 'prefix': 'backbone.'}
        model = {'type': 'ToyModel', 'backbone': {'type': 'ToyBackbone', 'init_cfg': init_cfg}}
        toy_runner(tmp_path / 'run', model=model, epochs=1).train()
    assert not marker.exists()


def test_mmdets_inferencer_does_not_execute_the_config_of_weights(first, tmp_path):
    from mmdet.apis import DetInferencer
    marker = tmp_path / 'executed'
    call = "model = dict(type='os.system', command='true')"
    for index, (place, text) in enumerate([('meta', program(marker)), ('meta', call), ('hub', program(marker))]):

        def spoil(checkpoint, place=place, text=text):
            checkpoint['message_hub'] = {'runtime_info': {'cfg': text}} if place == 'hub' else {}
            checkpoint['meta'] = {'cfg': text}

        file = craft(first, tmp_path / f'hostile{index}.pth', spoil)
        with pytest.raises(InputError, match='nothing in it was executed|nothing was executed'):
            DetInferencer(weights=str(file), device='cpu')
        assert not marker.exists()


def test_the_text_of_a_config_is_parsed_as_data(tmp_path):
    cfg = Config.fromstring("model = dict(type='FCOS', strides=(8, 16))\n", '.py')
    assert cfg.model.strides == (8, 16)
    for text in (f"import os\nos.mkdir({str(tmp_path / 'x')!r})", "model = dict(type='os.system', command='true')",
                 "custom_imports = dict(imports=['antigravity'])\nmodel = eval('1')"):
        with pytest.raises(InputError):
            Config.fromstring(text, '.py')
    with pytest.raises(InputError, match='only .py'):
        Config.fromstring('!!python/object/apply:os.system [true]', '.yaml')


# --- Nothing is removed -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize('kind', ['file', 'folder', 'relative', 'other checkpoint'])
def test_a_best_checkpoint_that_names_another_file_removes_nothing(first, tmp_path, kind):
    victim = tmp_path / 'victim'
    victim.mkdir()
    (victim / 'thesis.txt').write_text('years of work')
    (victim / 'best_toy_a_epoch_1.pth').write_text('of another run')
    run = tmp_path / 'run'
    run.mkdir()
    path = {'file': victim / 'thesis.txt', 'folder': victim, 'relative': '../victim/thesis.txt',
            'other checkpoint': victim / 'best_toy_a_epoch_1.pth'}[kind]

    def spoil(checkpoint):
        hub = checkpoint['message_hub']
        hub['runtime_info'].update(best_ckpt=str(path), best_score=-1.0)
        hub['resumed_keys'].update(best_ckpt=True, best_score=True)

    resume(run, craft(first, run / 'epoch_2.pth', spoil))
    assert sorted(file.name for file in victim.iterdir()) == ['best_toy_a_epoch_1.pth', 'thesis.txt']
    assert 'best_toy_a_epoch_3.pth' in checkpoints_in(run)


@pytest.mark.parametrize('ids', [['x/../../victim', 'x', 'y'], [-1, 0], [1.5], ['1'], 'epoch', {'a': 1}, [True]])
def test_ids_that_leave_the_folder_remove_nothing(first, tmp_path, ids):
    run = tmp_path / 'run'
    (run / 'epoch_x').mkdir(parents=True)
    (tmp_path / 'victim.pth').write_text('of another run')
    (run / 'epoch_True.pth').write_text('of the user')

    def spoil(checkpoint):
        checkpoint['message_hub']['runtime_info']['keep_ckpt_ids'] = ids
        checkpoint['message_hub']['resumed_keys']['keep_ckpt_ids'] = True

    resume(run, craft(first, run / 'epoch_2.pth', spoil))
    assert (tmp_path / 'victim.pth').is_file() and (run / 'epoch_True.pth').is_file()


def test_resuming_into_another_work_dir_leaves_the_first_run_alone(first, tmp_path):
    before = shutil.copytree(first, tmp_path / 'C')
    (tmp_path / 'D').mkdir()
    # Of a run that was here before, under names that the first run's checkpoint knows.
    for name in ('epoch_1.pth', 'best_toy_a_epoch_2.pth'):
        (tmp_path / 'D' / name).write_text('of another run')
    resume(tmp_path / 'D', before / 'epoch_2.pth', epochs=4)
    assert checkpoints_in(before) == checkpoints_in(first)
    assert {'epoch_1.pth', 'best_toy_a_epoch_2.pth'} <= checkpoints_in(tmp_path / 'D')


def test_a_copied_work_dir_removes_its_own_files(first, tmp_path):
    original, copied = (shutil.copytree(first, tmp_path / name) for name in ('original', 'copied'))
    runner = toy_runner(copied, epochs=3, **RUN, **validation(SCORES[2:]), resume=True,
                        param_scheduler=[{'type': 'MultiStepLR', 'milestones': [1], 'gamma': 0.5}])
    runner.train()
    assert checkpoints_in(original) == checkpoints_in(first)
    assert checkpoints_in(copied) == {'epoch_2.pth', 'epoch_3.pth', 'best_toy_a_epoch_3.pth'}


@pytest.mark.parametrize('score', [float('nan'), float('inf'), 'high', None, [1.0]])
def test_a_best_score_that_is_no_number_is_forgotten(first, tmp_path, score):
    shutil.copy(first / 'best_toy_a_epoch_2.pth', tmp_path)

    def spoil(checkpoint):
        checkpoint['message_hub']['runtime_info']['best_score'] = score

    resume(tmp_path, craft(first, tmp_path / 'epoch_2.pth', spoil))
    assert 'best_toy_a_epoch_3.pth' in checkpoints_in(tmp_path)
    assert 'is forgotten' in next(tmp_path.glob('*/*.log')).read_text()


# --- Every field ------------------------------------------------------------------------------------------------------


def put(*path_and_value):
    *path, key, value = path_and_value

    def spoil(checkpoint):
        node = checkpoint
        for part in path:
            node = node[part]
        node[key] = value

    return spoil


def history(values) -> HistoryBuffer:
    buffer = HistoryBuffer([1.0], [1])
    buffer._log_history = values
    return buffer


def cyclic() -> list:
    item: list = []
    item.append(item)
    return item


MALFORMED = {
    'meta': put('meta', 'text'),
    'epoch of text': put('meta', 'epoch', '2'),
    'epoch below 0': put('meta', 'epoch', -1),
    'no epoch': lambda checkpoint: checkpoint['meta'].pop('epoch'),
    'iter of a list': put('meta', 'iter', [1]),
    'huge iter': put('meta', 'iter', 2**62),
    'seed of text': put('meta', 'seed', 'zero'),
    'cfg of numbers': put('meta', 'cfg', 3),
    'dataset_meta of text': put('meta', 'dataset_meta', 'text'),
    'classes of numbers': put('meta', 'dataset_meta', {'classes': [1, 2]}),
    'training images of text': put('meta', 'training_images', {'names': ['a'], 'sha256': 'b'}),
    'training images of another number': put('meta', 'training_images',
                                             {'names': ['a'], 'sha256': torch.zeros(2, 8, dtype=torch.uint8)}),
    'message hub of a list': put('message_hub', []),
    'no runtime_info': lambda checkpoint: checkpoint['message_hub'].pop('runtime_info'),
    'runtime_info of a list': put('message_hub', 'runtime_info', []),
    'cyclic info': put('message_hub', 'runtime_info', 'x', cyclic()),
    'scalars of text': put('message_hub', 'log_scalars', 'train/loss', 'text'),
    'history of two dimensions': put('message_hub', 'log_scalars', 'train/loss', history(np.zeros((2, 2)))),
    'history of another length': put('message_hub', 'log_scalars', 'train/loss', history(np.zeros(5))),
    'resumed keys of text': put('message_hub', 'resumed_keys', 'epoch', 'yes'),
    'weights of a list': put('state_dict', [1]),
    'weights of text': put('state_dict', 'head.bias', 'text'),
    'sparse weights': put('state_dict', 'head.bias', torch.zeros(1).to_sparse()),
    'weights without memory': put('state_dict', 'head.bias', torch.zeros(1).expand(2**40)),
    'weights of another shape': put('state_dict', 'head.bias', torch.zeros(7)),
    'NaN weights': put('state_dict', 'head.bias', torch.full((1, ), torch.nan)),
    'infinite weights': put('state_dict', 'head.bias', torch.full((1, ), torch.inf)),
    'complex weights': put('state_dict', 'head.bias', torch.zeros(1, dtype=torch.complex64)),
    'whole numbers as weights': put('state_dict', 'head.bias', torch.zeros(1, dtype=torch.int8)),
    'weights beyond float32': put('state_dict', 'head.bias', torch.full((1, ), 1e300, dtype=torch.float64)),
    'weights of None': put('state_dict', None),
    'a name of a million letters': put('state_dict', 'x' * 10**6, torch.zeros(1)),
    'epochs beyond the end': put('meta', 'epoch', 100),
    'optimizer of a list': put('optimizer', [1]),
    'groups of text': put('optimizer', 'param_groups', 'text'),
    'learning rate of text': put('optimizer', 'param_groups', 0, 'lr', 'high'),
    'NaN learning rate': put('optimizer', 'param_groups', 0, 'lr', float('nan')),
    'one group less': lambda checkpoint: checkpoint['optimizer']['param_groups'].clear(),
    'state of text': put('optimizer', 'state', 0, 'text'),
    'moments of another shape': put('optimizer', 'state', 0, 'exp_avg', torch.zeros(9, 9)),
    'NaN moments': put('optimizer', 'state', 0, 'exp_avg', torch.full((3, 4), torch.nan)),
    'schedulers of text': put('param_schedulers', 'text'),
    'scheduler of numbers': put('param_schedulers', [1]),
    'scheduler without optimizer': put('param_schedulers', 0, 'optimizer', 'text'),
    'scheduler of nothing': put('param_schedulers', 0, 'param_name', None),
    'scheduler of a tensor': put('param_schedulers', 0, 'param_name', torch.zeros(())),
    'scheduler that begins twice': put('param_schedulers', 0, 'begin', torch.full((2, ), 1e30)),
    'scheduler of something else': put('param_schedulers', 0, 'param_name', 'momentum'),
    'scheduler whose step is text': put('param_schedulers', 0, 'last_step', 'text'),
}


@pytest.mark.parametrize('kind', MALFORMED)
def test_a_malformed_field_is_one_line(first, tmp_path, kind):
    file = craft(first, tmp_path / 'spoiled.pth', MALFORMED[kind])
    with pytest.raises(InputError, match=r'spoiled\.pth') as caught:
        resume(tmp_path / 'run', file)
    assert '\n' not in str(caught.value) and len(str(caught.value)) < 500
    assert not checkpoints_in(tmp_path / 'run')


# --- Memory -----------------------------------------------------------------------------------------------------------


def rezip(source: Path, target: Path, compression: int) -> None:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, 'w', compression) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))


def test_a_compressed_checkpoint_is_refused(tmp_path):
    torch.save({'state_dict': {'weight': torch.zeros(2**20)}}, tmp_path / 'plain.pth')
    rezip(tmp_path / 'plain.pth', tmp_path / 'stored.pth', zipfile.ZIP_STORED)
    assert checkpoints.load_from_local(tmp_path / 'stored.pth')['state_dict']['weight'].shape == (2**20, )
    for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        rezip(tmp_path / 'plain.pth', tmp_path / 'packed.pth', method)
        with pytest.raises(InputError, match='packed.pth holds compressed entries'):
            checkpoints.load_from_local(tmp_path / 'packed.pth')


def test_weights_that_share_their_memory_many_times_are_refused(tmp_path):
    weights = torch.zeros(2**18)
    torch.save({'state_dict': {f'weight{index}': weights.view(-1) for index in range(100)}}, tmp_path / 'views.pth')
    with pytest.raises(InputError, match='take more than'):
        checkpoints.load_from_local(tmp_path / 'views.pth')
    torch.save({'state_dict': {'a': weights, 'b': weights}}, tmp_path / 'tied.pth')
    assert len(checkpoints.load_from_local(tmp_path / 'tied.pth')['state_dict']) == 2


# --- Networks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('model', [
    "dict(type='CameraMotionCompensation', warp_mode='__import__(\"os\").getpid()')",
    "dict(type='FCOS', backbone=dict(type='BertModel'))", "dict(type='subprocess.Popen', args='true')"])
def test_what_evaluates_or_downloads_is_no_part_of_a_network(model):
    with pytest.raises(InputError, match='nothing was executed'):
        build_network(parse_config(f'model = {model}', 'x.pth'), {}, 'x.pth')


HUGE = {
    'wide': {'backbone.base_channels': 4096}, 'many layers': {'bbox_head.stacked_convs': 10**6},
    'far too wide': {'neck.out_channels': 10**9}, 'deep in a list': {'bbox_head.strides': [2] * 10**4},
}


@pytest.mark.parametrize('kind', HUGE)
def test_a_network_larger_than_its_weights_is_not_built(kind):
    """The memory is bounded by the process's address space: more would end the test."""
    shipped = checkpoints.load_from_local('bafenet_hr_tiny')
    cfg = parse_config(shipped['meta']['cfg'], 'shipped')
    plain = {'type': 'ResNet', 'depth': 50, 'num_stages': 4, 'out_indices': (1, 2, 3)}
    if kind == 'wide':
        cfg.model.backbone = plain
    for key, value in HUGE[kind].items():
        part, name = key.split('.')
        cfg.model[part][name] = value
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, before[1]))
    try:
        with pytest.raises(InputError) as caught:
            build_network(cfg, shipped, 'huge.pth')
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    assert 'memory' not in str(caught.value).lower() and '\n' not in str(caught.value)
