"""The stand-in for mmcv's compiled operators: what it has, what it says of those that it lacks, when it stands in."""
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import pytest
import torch

from bafenet.compat import operators

# isort: split
from mmcv import ops

# The maintained fork of mmcv is compiled otherwise.
FORKED = any(one.name == 'onedl-mmcv' for one in distributions())
REMEDY = '--no-build-isolation --force-reinstall --no-deps onedl-mmcv' if FORKED else 'mmcv>=2.0.0,<2.2.0'
REPOSITORY = Path(__file__).resolve().parents[3]


class TestOtherOperators:

    @pytest.mark.parametrize(('call', 'name', 'purpose', 'instead'), [
        (lambda: ops.box_iou_rotated(torch.zeros(1, 5), torch.zeros(1, 5)), 'box_iou_rotated', 'rotated boxes', None),
        (lambda: ops.nms_rotated(torch.zeros(1, 5), torch.zeros(1), 0.5), 'nms_rotated', 'rotated boxes', None),
        (lambda: ops.PrRoIPool(2)(torch.zeros(1, 1, 4, 4), torch.zeros(1, 5)), 'prroi_pool_forward', 'RoI pooling',
         'torchvision.ops.roi_align'),
        (lambda: sys.modules['mmcv._ext'].knn_forward(), 'knn_forward', 'point clouds', None),
        (lambda: sys.modules['mmcv._ext'].of_another_version(), 'of_another_version', None, None),
    ])
    def test_raises_when_called(self, call, name, purpose, instead):
        with pytest.raises(NotImplementedError) as error:
            call()
        message = str(error.value)
        assert f"'{name}'" in message
        assert REMEDY in message
        assert torch.__version__ in message
        assert '\n' not in message
        assert ('which is for' in message) == (purpose is not None)
        assert purpose is None or purpose in message
        assert ('instead' in message) == (instead is not None)
        assert instead is None or instead in message

    def test_compiler_versions_are_answers(self):
        assert (ops.get_compiler_version(), ops.get_compiling_cuda_version()) == ('n/a', 'n/a')

    def test_private_names_are_absent(self):
        assert not hasattr(sys.modules['mmcv._ext'], '__file__')
        assert not hasattr(sys.modules['mmcv._ext'], '_private')

    def test_installing_again_changes_nothing(self):
        before = sys.modules['mmcv._ext']
        operators.install()
        assert sys.modules['mmcv._ext'] is before


def run_python(code, *arguments):
    """Run ``code`` in a fresh interpreter; return what it printed."""
    done = subprocess.run([sys.executable, '-c', code, *map(str, arguments)], cwd=REPOSITORY, capture_output=True,
                          text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_all_of_mmdet_imports():
    printed = run_python('''
import bafenet.compat
bafenet.compat.operators.install()
import mmcv.ops
import mmdet.models, mmdet.datasets, mmdet.evaluation, mmdet.engine, mmdet.apis, mmdet.visualization
from mmdet.registry import MODELS
from mmengine.utils.dl_utils import mmcv_full_available
print(MODELS.get('FCOS').__name__, mmcv_full_available())
''')
    # The fork of mmdet prints more, before that, and mmengine's asks whether the module is there, not its loader.
    assert printed[-2:] == ['FCOS', str(FORKED)]


def test_compiled_operators_are_used_where_they_exist(tmp_path):
    # A fake compiled module within mmcv's search path; the operators are imported without the rest of the package.
    (tmp_path / '_ext.py').write_text('''
import torch

def nms(boxes, scores, iou_threshold, offset):
    return torch.tensor([1])

def __getattr__(name):
    if name.startswith('__'):
        raise AttributeError(name)
    return lambda *args, **kwargs: name
''')
    printed = run_python('''
import sys, types
import mmcv
mmcv.__path__.append(sys.argv[1])
for name in ('bafenet', 'bafenet.compat'):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [name.replace('.', '/')]
from bafenet.compat import operators
operators.install()
import torch
from mmcv import ops
print(sys.modules['mmcv._ext'].__file__, *ops.nms(torch.zeros(2, 4), torch.zeros(2), 0.5)[1].tolist())
''', tmp_path)
    assert printed == [str(tmp_path / '_ext.py'), '1']
