"""Checkpoints are read without executing anything, and written whole."""
import multiprocessing
import os
import pickle
import signal
import zipfile
from pathlib import Path

import mmengine.runner.checkpoint as mmengine_checkpoint
import numpy as np
import pytest
import torch
from mmengine.fileio import get_file_backend
from mmengine.fileio import put as mmengine_put
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader
from toy_runs import toy_runner

from bafenet.compat import checkpoint_loading, checkpoint_types
from bafenet.compat.weights_fit import misfit
from bafenet.engine import checkpoints
from bafenet.errors import InputError

SCHEDULERS = [
    {'type': 'ConstantLR', 'factor': 1 / 3, 'by_epoch': False, 'end': 2},
    {'type': 'LinearLR', 'start_factor': 0.5, 'by_epoch': False, 'begin': 2, 'end': 5},
    {'type': 'MultiStepLR', 'milestones': [1], 'gamma': 0.5},
    {'type': 'CosineAnnealingLR', 'T_max': 3},
]


def same(left, right) -> bool:
    """Whether two nested structures are equal, tensors bit by bit."""
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    return torch.equal(left, right) if isinstance(left, torch.Tensor) else left == right


class Calls:
    """Pickled as the call of a function, which unpickling then makes."""

    def __init__(self, function, *args, state=None):
        self.reduced = (function, args) if state is None else (function, args, state)

    def __reduce__(self):
        return self.reduced


OPTIMIZERS = {
    'SGD': {'lr': 0.01, 'momentum': 0.9, 'weight_decay': 0.05},
    'Adam': {'lr': 0.01, 'weight_decay': 0.05},
    'AdamW': {'lr': 0.01, 'weight_decay': 0.05},
    'DAdaptAdam': {'lr': 1.0, 'weight_decay': 0.05, 'decouple': True},
    'Prodigy': {'lr': 1.0, 'weight_decay': 0.05},
}


@pytest.mark.parametrize(('name', 'schedulers'), [
    *((name, SCHEDULERS) for name in OPTIMIZERS),
    ('SGD', [{'type': 'OneCycleLR', 'eta_max': 0.1, 'total_steps': 9, 'by_epoch': False}]),
], ids=[*OPTIMIZERS, 'OneCycleLR'])
def test_a_resumed_run_ends_where_an_uninterrupted_one_does(tmp_path, name, schedulers):
    overrides = {
        'epochs': 3,
        'optim_wrapper': {
            'optimizer': {'type': name, **OPTIMIZERS[name]},
            'paramwise_cfg': {'norm_decay_mult': 0, 'bias_decay_mult': 0},
        },
        'param_scheduler': schedulers,
        'custom_hooks': [{'type': 'EMAHook', 'ema_type': 'ExponentialMovingAverage', 'momentum': 0.1}],
    }
    toy_runner(tmp_path / 'whole', **overrides).train()
    first = tmp_path / 'whole' / 'epoch_1.pth'
    resumed = toy_runner(tmp_path / 'resumed', **overrides, resume=True, load_from=str(first))
    resumed.train()

    whole_end, resumed_end = (torch.load(tmp_path / run / 'epoch_3.pth', weights_only=True)
                              for run in ('whole', 'resumed'))
    for part in ('state_dict', 'ema_state_dict', 'optimizer', 'param_schedulers'):
        assert same(whole_end[part], resumed_end[part]), part
    start = torch.load(first, weights_only=True)
    assert not same(whole_end['state_dict'], start['state_dict'])
    losses = [end['message_hub']['log_scalars']['train/loss'].data[0] for end in (whole_end, resumed_end)]
    assert len(losses[0]) == 9
    np.testing.assert_array_equal(*losses)


def test_numpy_numbers_and_histories_survive(tmp_path):
    history = HistoryBuffer()
    for value in (3.0, 1.0, 2.0):
        history.update(value)
    saved = {
        'history': history,
        'scalars': [np.float64(0.1), np.float32(0.1), np.int64(-3), np.bool_(True)],
        'palette': np.arange(6, dtype=np.uint8).reshape(2, 3),
        'weights': np.asfortranarray(np.random.default_rng(0).normal(size=(3, 4))),
    }
    torch.save(saved, tmp_path / 'saved.pth')
    loaded = torch.load(tmp_path / 'saved.pth', weights_only=True)
    assert [loaded['history'].statistics(name) for name in ('min', 'max', 'mean', 'current')] == [1, 3, 2, 2]
    for name in ('palette', 'weights'):
        assert loaded[name].dtype == saved[name].dtype
        np.testing.assert_array_equal(loaded[name], saved[name])
    assert [(type(value), value) for value in loaded['scalars']] == [(type(v), v) for v in saved['scalars']]


@pytest.mark.parametrize('module', [b'numpy.core.multiarray', b'numpy._core.multiarray'])
def test_both_names_of_numpys_functions_are_known(tmp_path, module):
    saved = {'array': np.arange(4.0), 'scalar': np.float64(0.1)}
    torch.save(saved, tmp_path / 'saved.pth')
    renamed = tmp_path / 'renamed.pth'
    with zipfile.ZipFile(tmp_path / 'saved.pth') as source, zipfile.ZipFile(renamed, 'w') as target:
        for name in source.namelist():
            data = source.read(name)
            if name.endswith('data.pkl'):
                assert b'core.multiarray\n' in data
                data = data.replace(b'numpy._core.multiarray', module).replace(b'numpy.core.multiarray', module)
            target.writestr(name, data)
    loaded = checkpoints.load_from_local(renamed)
    np.testing.assert_array_equal(loaded['array'], saved['array'])
    assert loaded['scalar'] == saved['scalar']


def hostile_objects(marker: Path) -> dict:
    """Objects that do harm when unpickled, by name."""
    reconstruct = np.zeros(0).__reduce__()[0]
    return {
        'os.system': Calls(os.system, f'touch {marker}'),
        'eval': Calls(eval, f"open({str(marker)!r}, 'w')"),
        'getattr of NumPy': Calls(getattr, np.ndarray, 'tofile'),
        'getattr of the history': Calls(getattr, HistoryBuffer, '__init__'),
        'getattr of a getter': Calls(getattr, HistoryBuffer.register_statistics, '__func__'),
        'object array from bytes': Calls(np.ndarray, (1,), 'O', b'A' * 8),
        'object dtype': Calls(np.dtype, 'O'),
        'object array by state': Calls(reconstruct, np.ndarray, (0,), b'b', state=(1, (1,), np.dtype('O'), False, [1])),
    }


@pytest.mark.parametrize('zipped', [True, False], ids=['zip', 'legacy'])
@pytest.mark.parametrize('name', list(hostile_objects(Path())))
def test_a_hostile_file_is_refused_and_not_executed(tmp_path, monkeypatch, name, zipped):
    # The variable that switches PyTorch's protection off does not switch off ours.
    monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
    marker, file = tmp_path / 'marker', tmp_path / 'hostile.pth'
    torch.save({'state_dict': hostile_objects(marker)[name]}, file, _use_new_zipfile_serialization=zipped)
    with pytest.raises(InputError, match='hostile.pth .*nothing in it was executed') as caught:
        CheckpointLoader.load_checkpoint(str(file), map_location='cpu')
    assert '\n' not in str(caught.value)
    assert not marker.exists()


def test_a_name_of_any_characters_is_refused_in_one_printable_line(tmp_path):
    torch.save({'state_dict': {'weight': torch.ones(2)}}, tmp_path / 'whole.pth')
    with zipfile.ZipFile(tmp_path / 'whole.pth') as whole, zipfile.ZipFile(tmp_path / 'hostile.pth', 'w') as hostile:
        for name in whole.namelist():
            content = whole.read(name).replace(b'_rebuild_tensor_v2', b'_rebuild_\x1b[31m\x00\xe2\x80\xae' + b'x' * 500)
            hostile.writestr(name, content)
    with pytest.raises(InputError, match=r'hostile.pth .*it holds torch\._utils\._rebuild_.*is no part') as caught:
        CheckpointLoader.load_checkpoint(str(tmp_path / 'hostile.pth'))
    assert str(caught.value).isprintable() and len(str(caught.value)) < 500


def test_a_bare_pickle_is_refused_and_not_executed(tmp_path):
    marker, file = tmp_path / 'marker', tmp_path / 'hostile.pth'
    file.write_bytes(pickle.dumps(Calls(os.system, f'touch {marker}')))
    with pytest.raises(InputError, match='hostile.pth'):
        CheckpointLoader.load_checkpoint(str(file))
    assert not marker.exists()


def test_a_dtype_keeps_its_own_state(tmp_path):
    # Fields of objects and cleared flags, which would turn the bytes of a file into addresses.
    state = (3, '<', None, ('a',), {'a': (np.dtype('f4'), 0)}, 8, 8, 0)
    torch.save({'dtype': Calls(np.dtype, 'f8', False, True, state=state)}, tmp_path / 'dtype.pth')
    loaded = checkpoints.load_from_local(tmp_path / 'dtype.pth')['dtype']
    assert loaded == np.dtype('f8')
    assert loaded.fields is None and np.dtype('f8').fields is None


def test_only_the_four_statistics_can_be_got():
    assert checkpoint_types.history_method(HistoryBuffer, 'mean') is HistoryBuffer.mean
    for owner, name in ((HistoryBuffer, '__init__'), (HistoryBuffer, 'update'), (np.ndarray, 'min'), (os, 'system')):
        with pytest.raises(pickle.UnpicklingError):
            checkpoint_types.history_method(owner, name)


@pytest.mark.parametrize('kind', ['truncated', 'text', 'empty', 'foreign zip', 'list', 'missing', 'folder'])
def test_a_file_that_is_no_checkpoint_is_one_line(tmp_path, kind):
    file = tmp_path / 'broken.pth'
    torch.save({'state_dict': {'weight': torch.ones(1000)}}, file)
    if kind == 'truncated':
        file.write_bytes(file.read_bytes()[:file.stat().st_size // 2])
    elif kind == 'text':
        file.write_text('<html>404</html>')
    elif kind == 'empty':
        file.write_bytes(b'')
    elif kind == 'foreign zip':
        with zipfile.ZipFile(file, 'w') as archive:
            archive.writestr('readme.txt', 'hello')
    elif kind == 'list':
        torch.save([1, 2], file)
    else:
        file.unlink()
        if kind == 'folder':
            file.mkdir()
    with pytest.raises(InputError, match='broken.pth') as caught:
        CheckpointLoader.load_checkpoint(str(file))
    assert '\n' not in str(caught.value)


def test_downloads_are_read_safely(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    weights = {'weight': torch.arange(3.0)}
    torch.save(weights, tmp_path / 'weights.pth')
    loaded = checkpoints.load_url((tmp_path / 'weights.pth').as_uri(), progress=False)
    assert torch.equal(loaded['weight'], weights['weight'])

    marker, cached = tmp_path / 'marker', tmp_path / 'cache' / 'hub' / 'checkpoints' / 'hostile.pth'
    torch.save({'state_dict': Calls(os.system, f'touch {marker}')}, cached)
    with pytest.raises(InputError, match='hostile.pth.*delete it'):
        CheckpointLoader.load_checkpoint('https://example.invalid/hostile.pth')
    assert not marker.exists()


def test_what_the_fork_of_mmengine_would_unpickle_is_refused(tmp_path, monkeypatch):
    def unpickle(file, map_location=None):
        return torch.load(file, map_location=map_location, weights_only=False)

    monkeypatch.setattr(mmengine_checkpoint, '_safe_torch_load', unpickle, raising=False)
    checkpoint_loading.install()
    marker = tmp_path / 'marker'
    torch.save({'state_dict': Calls(os.system, f'touch {marker}')}, tmp_path / 'hostile.pth')
    with pytest.raises(pickle.UnpicklingError):
        mmengine_checkpoint._safe_torch_load(tmp_path / 'hostile.pth', map_location='cpu')
    assert not marker.exists()


def test_a_failed_download_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    monkeypatch.setenv('no_proxy', '*')
    with pytest.raises(InputError, match='cannot download http://127.0.0.1:1/weights.pth') as caught:
        CheckpointLoader.load_checkpoint('http://127.0.0.1:1/weights.pth')
    assert '\n' not in str(caught.value)


def test_a_failed_write_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    file = tmp_path / 'file.pth'
    backend = get_file_backend(file)
    backend.put(b'old', file)

    def fail(source, target):
        raise OSError('disk full')

    monkeypatch.setattr(os, 'replace', fail)
    for write in (backend.put, mmengine_put):
        with pytest.raises(OSError, match='disk full'):
            write(b'new', file)
    with pytest.raises(OSError, match='disk full'):
        backend.put_text('new', file)
    assert file.read_bytes() == b'old'


def train_until_killed(work_dir: Path, victim: str) -> None:
    """Train three epochs; die half-way through writing the checkpoint of that name."""
    write = Path.write_bytes

    def write_half(self: Path, data: bytes) -> int:
        if self.name.startswith(f'.{victim}-'):
            write(self, data[:len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        return write(self, data)

    Path.write_bytes = write_half
    toy_runner(work_dir, epochs=3).train()


@pytest.mark.parametrize('victim', ['epoch_1', 'epoch_3'])
def test_a_run_killed_while_writing_resumes_from_the_checkpoint_before(tmp_path, victim):
    toy_runner(tmp_path / 'whole', epochs=3).train()
    killed = tmp_path / 'killed'
    process = multiprocessing.get_context('fork').Process(target=train_until_killed, args=(killed, victim))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert not (killed / f'{victim}.pth').exists()

    resumed = toy_runner(killed, epochs=3, resume=True)
    resumed.load_or_resume()
    assert resumed.epoch == int(victim[-1]) - 1
    resumed = toy_runner(killed, epochs=3, resume=True)
    resumed.train()
    ends = [torch.load(run / 'epoch_3.pth', weights_only=True) for run in (tmp_path / 'whole', killed)]
    assert same(ends[0]['state_dict'], ends[1]['state_dict'])


def test_weights_from_a_parallel_run_load():
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    state = {f'module.{name}': torch.full_like(value, 2) for name, value in model.state_dict().items()}
    report = checkpoints.load_weights(model, {'state_dict': state})
    assert report.fits and report.loaded == len(state)
    assert all((value == 2).all() for value in model.state_dict().values())


def test_weights_that_the_head_lends_to_another_part_are_known():
    model = torch.nn.ModuleDict({'bbox_head': torch.nn.Linear(2, 3), 'decoder': torch.nn.Linear(2, 3)})
    state = {f'{part}.aux.{name}': value for part in model for name, value in model['bbox_head'].state_dict().items()}
    model['bbox_head'] = torch.nn.ModuleDict({'aux': model['bbox_head']})
    state |= {f'decoder.{name}': value for name, value in model['decoder'].state_dict().items()}
    assert checkpoints.load_weights(model, state).fits and not misfit(model.state_dict(), state)
    state['decoder.aux.bias'] = state['decoder.aux.bias'] + 1
    report = checkpoints.load_weights(model, state)
    assert report.unexpected == ['decoder.aux.bias'] and not report.fits
    assert misfit(model.state_dict(), state) == '1 unknown to the network (decoder.aux.bias)'
