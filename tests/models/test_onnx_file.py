"""ONNX files of strangers: foreign, damaged and hostile ones, each one line; onnxruntime that is not installed."""
import sys

import numpy as np
import onnx
import pytest
from conftest import load_tool
from onnx import TensorProto, helper

import bafenet
from bafenet.compat.checkpoint_loading import load_from_local
from bafenet.errors import InputError
from bafenet.models.onnx_file import OnnxMeta, read_onnx

CONFIG = """
model = dict(type='BAFENet', test_cfg=dict(nms_pre=100, score_thr=0.05, nms=dict(type='nms', iou_threshold=0.5),
                                           max_per_img=100))
test_dataloader = dict(dataset=dict(pipeline=[dict(type='LoadInfraredImage'), dict(type='PackInfraredInputs')]))
"""
OUTPUTS = ('boxes', 'scores', 'class_scores', 'labels')


def small_model(op='Identity', domain='', config=CONFIG, inputs=('frames', ), **changes):
    """A file with our metadata and a graph of one operator."""
    values = [helper.make_tensor_value_info(name, TensorProto.UINT8, [None] * 4) for name in (*inputs, *OUTPUTS)]
    nodes = [helper.make_node(op, [inputs[0]], [name], domain=domain) for name in OUTPUTS]
    graph = helper.make_graph(nodes, 'g', values[:len(inputs)], values[len(inputs):])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17), helper.make_opsetid('foreign', 1)],
                              ir_version=8)
    props = OnnxMeta(config, ('Target', ), 'float32', False).to_props()
    helper.set_model_props(model, {**props, **{f'bafenet.{key}': value for key, value in changes.items()}})
    return model


def of_another_tool():
    model = small_model()
    del model.metadata_props[:]
    return model


def from_another_file(inside_a_graph=False):
    model = small_model()
    tensor = helper.make_tensor('w', TensorProto.FLOAT, [1], [1.0])
    tensor.ClearField('float_data')
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key='location', value='../../etc/passwd')
    if inside_a_graph:
        body = helper.make_graph([helper.make_node('Constant', [], ['c'], value=tensor)], 'b', [], [])
        model.graph.node.append(helper.make_node('If', ['frames'], ['o'], then_branch=body, else_branch=body))
    else:
        model.graph.initializer.append(tensor)
    return model


HOSTILE = {
    'none of ours': (of_another_tool, 'is none of our networks'),
    'a later format': (lambda: small_model(format='2'), 'is of the format 2'),
    'no JSON': (lambda: small_model(classes='[Target'), 'metadata are damaged'),
    'no precision': (lambda: small_model(precision='"float8"'), 'metadata are damaged'),
    'hashes of another length': (lambda: small_model(training_images='{"names": ["a"], "sha256": ["00"]}'), 'damaged'),
    'operators of others': (lambda: small_model(op='Steal', domain='foreign'), 'needs operators of foreign'),
    'another file': (from_another_file, 'takes weights from another file'),
    'another file, deep inside': (lambda: from_another_file(True), 'takes weights from another file'),
    'a program as config': (lambda: small_model(config='import os'), 'more than plain values'),
    'a foreign type': (lambda: small_model(config=CONFIG.replace("'nms'", "'os.system'")), 'no part of a network'),
    'no test_cfg': (lambda: small_model(config='model = dict(type="BAFENet")'), 'no model.test_cfg'),
    'settings of another kind': (lambda: small_model(config=CONFIG.replace('0.05', "'high'")), 'score_thr'),
    'an unknown operator': (lambda: small_model(op='Steal'), 'cannot be loaded'),
    'other inputs': (lambda: small_model(inputs=('frames', 'more')), 'does not take frames alone'),
    'other outputs': (small_model, 'cannot be used'),
}


@pytest.mark.parametrize('kind', HOSTILE)
def test_a_hostile_file_is_one_line(kind, tmp_path):
    make, message = HOSTILE[kind]
    file = tmp_path / 'x.onnx'
    file.write_bytes(make().SerializeToString())
    with pytest.raises(InputError, match=message) as caught:
        bafenet.load(file)(np.zeros((64, 64), np.uint8))
    assert '\n' not in str(caught.value) and 'x.onnx' in str(caught.value)


@pytest.mark.parametrize('data', [b'', b'PK\x03\x04', b'\x08\x08' + b'\xff' * 100, None])
def test_a_damaged_file_is_one_line(data, tmp_path):
    file = tmp_path / 'x.onnx'
    file.write_bytes(small_model().SerializeToString()[:-40] if data is None else data)
    with pytest.raises(InputError, match=r'x\.onnx (cannot be read|is none of our)'):
        bafenet.load(file)
    with pytest.raises(InputError, match='no such file'):
        read_onnx(tmp_path / 'absent.onnx')


def test_without_onnxruntime_one_line_says_what_to_install(tmp_path, monkeypatch, capsys):
    (tmp_path / 'x.onnx').write_bytes(small_model().SerializeToString())
    for absent in ('onnx', 'onnxruntime'):
        with monkeypatch.context() as context:
            context.setitem(sys.modules, absent, None)
            with pytest.raises(InputError, match=rf"ONNX files need {absent}.*pip install 'bafenet\[onnx\]'"):
                bafenet.load(tmp_path / 'x.onnx')
            with pytest.raises(SystemExit, match='2'):
                load_tool('export.py').main(['bafenet_hr_tiny', '--onnx', str(tmp_path / 'y.onnx')])
            assert 'bafenet[onnx]' in capsys.readouterr().err
    assert not (tmp_path / 'y.onnx').exists()


def test_tools_that_want_weights_say_so(tmp_path):
    file = tmp_path / 'x.onnx'
    file.write_bytes(small_model().SerializeToString())
    with pytest.raises(InputError, match='is an ONNX file, which predict, test and bafenet.load take'):
        load_from_local(str(file))
    assert onnx.load(str(file)).graph.name == 'g'
