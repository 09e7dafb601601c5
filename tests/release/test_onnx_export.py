"""``export.py --onnx``: what it writes and prints, what it refuses; a file that fails its check is not there."""
import importlib.util
import json

import numpy as np
import onnx
import pytest
import torch
from conftest import load_tool
from onnx import numpy_helper
from onnx_networks import write_network

import bafenet
from bafenet.errors import InputError
from bafenet.release import onnx_export
from bafenet.release.onnx_build import build_onnx
from bafenet.release.onnx_export import export_onnx


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    """A narrow network."""
    return str(write_network('hr_tiny', tmp_path_factory.mktemp('network') / 'a.pth'))


@pytest.fixture
def _no_data(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures('_no_data')
@pytest.mark.parametrize('options', [
    ['--nms'], pytest.param(['--precision', 'float16', '--nms'], marks=pytest.mark.faults)])
def test_it_writes_a_file_and_prints_what_was_compared(checkpoint, tmp_path, capsys, options):
    assert load_tool('export.py').main([checkpoint, '--onnx', 'a.onnx', *options]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report['frames'] == '3 made frames' and report['boxes'] > 0 and report['missing'] == 0
    assert report['difference'] <= (0.01 if 'float16' in options else 1e-4)
    assert report['torch_ms'] > 0 and report['onnx_ms'] > 0
    assert report['bytes'] == (tmp_path / 'a.onnx').stat().st_size
    assert sorted(path.name for path in tmp_path.iterdir()) == ['a.onnx']
    assert len(bafenet.load(tmp_path / 'a.onnx')(np.full((64, 64), 80, np.uint8)).boxes) <= 100


def change_a_weight(name):
    """An export that loses a little of one layer."""

    def build(trained, precision='float32', nms=False):
        model = onnx.load_model_from_string(build_onnx(trained, precision, nms))
        for tensor in model.graph.initializer:
            if name in tensor.name:
                tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(1.01), tensor.name))
        return model.SerializeToString()

    return build


@pytest.mark.faults
@pytest.mark.usefixtures('_no_data')
@pytest.mark.parametrize('layer', ['conv_cls.weight', 'conv_reg.weight', 'conv_seg.weight', 'conv_centerness.weight'])
def test_a_file_that_gives_other_results_is_not_written(checkpoint, tmp_path, monkeypatch, layer):
    monkeypatch.setattr(onnx_export, 'build_onnx', change_a_weight(layer))
    with pytest.raises(InputError, match='other results than PyTorch on 3 made frames.*nothing was written'):
        export_onnx(checkpoint, 'a.onnx')
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures('_no_data')
def test_what_it_refuses(checkpoint, tmp_path, capsys):
    (tmp_path / 'there.onnx').write_text('precious')
    bare = torch.load(checkpoint)['state_dict']
    torch.save(bare, tmp_path / 'bare.pth')
    for argv, message in [(['--onnx', 'there.onnx'], '--force'), (['--onnx', 'a.pth'], 'must end in .onnx'),
                          ([], 'either the name of a .pth file or --onnx'),
                          (['a.pth', '--onnx', 'a.onnx'], 'either the name of a .pth file or --onnx'),
                          (['a.pth', '--command', 'c'], 'required: --commit'),
                          (['a.pth', '--command', 'c', '--commit', 'c', '--nms'], '--nms belongs to --onnx'),
                          (['--onnx', 'a.onnx', '--hardware', 'x'], '--hardware belongs to NAME.pth'),
                          (['--onnx', 'a.onnx', '--data-root', 'absent'], 'there is no such folder'),
                          (['--onnx', 'absent/../there.onnx/a.onnx'], 'there.onnx')]:
        try:
            status = load_tool('export.py').main([checkpoint, *argv])
        except SystemExit as end:
            status = end.code
        assert status == 2 and message in capsys.readouterr().err, argv
    for source, message in (('bare.pth', 'holds no config'), ('there.onnx', 'is an ONNX file already'),
                            ('absent', 'does not exist')):
        with pytest.raises(InputError, match=message):
            export_onnx(source, 'a.onnx')
    assert (tmp_path / 'there.onnx').read_text() == 'precious' and not (tmp_path / 'a.onnx').exists()


needs_int8 = pytest.mark.skipif(importlib.util.find_spec('bafenet.release.onnx_quantize') is None,
                                reason='bafenet.release.onnx_quantize is not there')


@pytest.mark.faults
@needs_int8
def test_int8_is_calibrated_and_compared_on_a_devkit(checkpoint, devkit, tmp_path, monkeypatch):
    report = export_onnx(checkpoint, str(tmp_path / 'a.onnx'), precision='int8', data_root=str(devkit), calibration=3)
    assert report['calibrated_on'] == 3 and report['split'] == 'val_v2' and report['images'] == 2
    assert report['before'].keys() == report['after'].keys() == {'mAP_12', 'mAP_12_iou75', 'recall'}
    model = onnx.load(str(tmp_path / 'a.onnx'))
    assert any(node.op_type == 'QuantizeLinear' for node in model.graph.node)
    assert {item.key: item.value for item in model.metadata_props}['bafenet.precision'] == '"int8"'
    assert bafenet.load(tmp_path / 'a.onnx')(np.full((64, 64), 80, np.uint8)).sky.shape == (64, 64)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['a.onnx']
    # A network that loses more than is allowed.
    measured = iter([dict(mAP_12=0.9, recall=0.9), dict(mAP_12=0.896, recall=0.88)])
    monkeypatch.setattr(onnx_export, 'accuracy', lambda *args: next(measured))
    with pytest.raises(InputError, match=r'recall \(IoU 0.5\) 0.900 → 0.880, at most 0.01 less; nothing was written'):
        export_onnx(checkpoint, str(tmp_path / 'b.onnx'), precision='int8', data_root=str(devkit), calibration=3)
    with pytest.raises(InputError, match='calibrated on training frames, and there are none'):
        export_onnx(checkpoint, str(tmp_path / 'b.onnx'), precision='int8', data_root=str(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ['a.onnx']
