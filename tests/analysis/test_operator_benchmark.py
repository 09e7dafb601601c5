"""The benchmark of the operators: what it times, and how compiled mmcv comes beside them."""
import sys
from importlib.machinery import ModuleSpec

import pytest
import torch
from mmcv.ops import roi_align

from bafenet.analysis import operator_benchmark
from bafenet.analysis.benchmark import print_results
from bafenet.analysis.operator_benchmark import benchmark_operators
from bafenet.compat.operators import COVERED, stand_in
from bafenet.errors import InputError


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    for name, value in dict(WARMUP=0, CHANNELS=8, REGIONS=4, BOXES=6, CLASSES=3).items():
        monkeypatch.setattr(operator_benchmark, name, value)


@pytest.fixture
def compiled(monkeypatch):
    """A module that passes for compiled mmcv: it has all but RoIAlign on this device."""
    ext = stand_in()
    ext.__spec__ = ModuleSpec('mmcv._ext', loader=object())

    def only_on_cuda(*args, **kwargs):
        raise RuntimeError('implementation for device cpu not found')
    ext.roi_align_forward = only_on_cuda
    monkeypatch.setitem(sys.modules, 'mmcv._ext', ext)


def test_times_every_operator_and_its_gradient(capsys):
    results = benchmark_operators(2, 'cpu', 64)
    named = {name.split(',')[0] for name in results} - {'machine'}
    # One name of each row; the naive CARAFE is the same function.
    assert all(named & set(row.names) for row in COVERED if row.names[0] != 'CARAFENaive')
    assert {results[f'DeformConv2d, {part}']['runs'] for part in ('forward', 'forward and backward')} == {2}
    for row in COVERED:
        for name in named & set(row.names):
            assert (f'{name}, forward and backward' in results) == row.backward.startswith('yes')
    print_results(results)
    assert 'MultiScaleDeformableAttention' in capsys.readouterr().out


def test_compiled_mmcv_comes_beside_them(compiled, capsys):
    before = sys.modules['mmcv.ops.nms'].ext_module
    results = benchmark_operators(1, 'cpu', 64)
    assert results['RoIAlign, forward, compiled mmcv'] == 'not on this device'
    ours, theirs = (results[f'CARAFE, forward{end}']['median_ms'] for end in ('', ', compiled mmcv'))
    assert results['CARAFE, forward, ours / compiled mmcv'] == pytest.approx(ours / theirs)
    print_results(results)
    assert 'not on this device' in capsys.readouterr().out
    # Networks go on with what they had.
    assert sys.modules['mmcv.ops.nms'].ext_module is before
    assert roi_align(torch.ones(1, 1, 4, 4), torch.tensor([[0, 0., 0, 2, 2]]), 1).item() == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
def test_a_missing_gpu_is_named():
    with pytest.raises(InputError, match='--device cuda'):
        benchmark_operators(1, 'cuda', 64)
