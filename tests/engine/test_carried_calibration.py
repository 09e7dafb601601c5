"""A test takes the calibration of its weights: metrics of boxes stay, scores become shares, and the file says so."""
import json

import numpy as np
import pytest
import torch
from conftest import ROOT, load_tool
from small_checkpoints import write_checkpoint, write_config

import bafenet
from bafenet.analysis.calibration import read_source
from bafenet.engine import test
from bafenet.engine.carried_calibration import carry_calibration
from bafenet.engine.options import load_config
from bafenet.errors import InputError
from bafenet.evaluation.detection_curves import numbers
from bafenet.evaluation.results import read_results

MAP = dict(scores=[0.002, 0.01, 0.4], shares=[0.1, 0.7, 0.9], likely=0.8)
RAW = 'model.test_cfg.calibration=False'


@pytest.fixture(scope='module')
def files(devkit, tmp_path_factory):
    """A config, and a checkpoint whose own config has the map."""
    config = write_config(tmp_path_factory.mktemp('carried') / 'tiny.py', devkit)
    checkpoint = write_checkpoint(config)
    content = torch.load(checkpoint, weights_only=False)
    assert content['meta']['cfg'].count('test_cfg=dict(') == 1
    content['meta']['cfg'] = content['meta']['cfg'].replace('test_cfg=dict(', f'test_cfg=dict(calibration={MAP!r},')
    torch.save(content, checkpoint)
    return config, checkpoint


def results(files, folder, *options):
    out = folder / 'out.json'
    test.test(*files, work_dir=str(folder / 'work'), out=str(out), cfg_options=list(options) or None)
    return read_results(str(out))


def test_the_map_of_the_weights_is_taken_and_no_ap_changes(files, tmp_path, capsys):
    calibrated = results(files, tmp_path)
    assert 'scores are calibrated as the config in the weights says' in capsys.readouterr().out
    with pytest.raises(InputError, match=r'out\.json: its scores are calibrated already; test again with '
                                         r'--cfg-options model\.test_cfg\.calibration=False'):
        read_source(str(tmp_path / 'out.json'))
    raw = results(files, tmp_path, RAW)
    assert 'scores are calibrated' not in capsys.readouterr().out and read_source(str(tmp_path / 'out.json'))
    assert sum(len(image['boxes']) for image in raw['images']) > 10
    for own, other in zip(calibrated['images'], raw['images'], strict=True):
        assert own['boxes'] == other['boxes']
        np.testing.assert_allclose(own['scores'], np.interp(other['scores'], [0, *MAP['scores'], 1],
                                                            [0, *MAP['shares'], 1]), rtol=0, atol=1e-12)
    kept = ('mAP', 'recall', 'f1', 'precision', 'found_02', 'sky_iou')
    same = [key for key in raw['metrics'] if any(name in key for name in kept) and 'score' not in key]
    assert len(same) > 8 and {key: raw['metrics'][key] for key in same} == {key: calibrated['metrics'][key]
                                                                           for key in same}
    curves = [numbers(one).precision_recall[0.5] for one in (calibrated, raw)]
    assert curves[0].ap_12 == curves[1].ap_12 and np.array_equal(curves[0].precision, curves[1].precision)


def test_a_config_with_a_map_of_its_own_keeps_it(files, tmp_path):
    other = dict(scores=[0.3], shares=[0.5])
    cfg = load_config(files[0], [f'model.test_cfg.calibration=dict(scores={other["scores"]},shares={other["shares"]})'])
    assert not carry_calibration(cfg, files[1]) and cfg.model.test_cfg.calibration == other
    cfg = load_config(files[0], [])
    assert carry_calibration(cfg, files[1]) and cfg.model.test_cfg.calibration == MAP
    cfg = load_config(str(ROOT / 'configs/baselines/fcos_r18_densesirst.py'), [])
    assert not carry_calibration(cfg, files[1]) and 'calibration' not in cfg.model.test_cfg


def test_a_head_that_knows_no_map_refuses_one():
    with pytest.raises(InputError, match=r'model\.test_cfg\.calibration=.* is for heads that calibrate') as caught:
        load_config(str(ROOT / 'configs/baselines/fcos_r18_densesirst.py'),
                    ['model.test_cfg.calibration=dict(scores=[0.2],shares=[0.5])'])
    assert '\n' not in str(caught.value)


def test_a_spoiled_map_in_weights_is_one_line_that_names_them(files, tmp_path):
    cfg, file = load_config(files[0], []), tmp_path / 'bad.pth'
    meta = dict(cfg="model = dict(test_cfg=dict(calibration=dict(scores=[0.5], shares=[2])))")
    torch.save(dict(meta=meta, state_dict={}), file)
    with pytest.raises(InputError, match=r'bad\.pth: its config: model\.test_cfg\.calibration: shares=\[2\] must'):
        carry_calibration(cfg, str(file))
    for meta in (dict(cfg='import os'), dict(cfg='model = 3'), {}):
        torch.save(dict(meta=meta, state_dict={}), file)
        assert not carry_calibration(cfg, str(file))


def test_export_puts_a_map_into_the_config_of_the_weights(files, tmp_path, capsys):
    (tmp_path / 'map.json').write_text(json.dumps(dict(calibration=dict(scores=[0.3], shares=[0.6]), files=[])))
    argv = [files[1], str(tmp_path / 'a.pth'), '--command', 'c', '--commit', 'c', '--score-map']
    assert load_tool('export.py').main([*argv, str(tmp_path / 'map.json')]) == 0
    own = bafenet.load(tmp_path / 'a.pth').model.bbox_head.test_cfg.calibration
    assert own == dict(scores=[0.3], shares=[0.6])  # and not the one that was there
    for text, message in (('{}', 'it has no calibration'), ('[]', 'it has no calibration'),
                          ('{', 'Expecting property name'),
                          ('{"calibration": {"scores": [3], "shares": [0.5]}}', 'must ascend')):
        (tmp_path / 'bad.json').write_text(text)
        capsys.readouterr()
        with pytest.raises(SystemExit, match='2'):
            load_tool('export.py').main([*argv[:1], str(tmp_path / 'b.pth'), *argv[2:], str(tmp_path / 'bad.json')])
        error, = capsys.readouterr().err.splitlines()
        assert 'bad.json' in error and message in error
    assert not (tmp_path / 'b.pth').exists()
