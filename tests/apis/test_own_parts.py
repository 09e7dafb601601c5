"""Networks with parts of a user's own: the config that the user names imports them, a checkpoint alone never does."""
import sys

import numpy as np
import pytest
import torch
from conftest import ROOT, load_tool
from mmdet.registry import MODELS

import bafenet
from bafenet import weights
from bafenet.engine.options import load_config
from bafenet.errors import InputError

MODULE = '''
import torch
from mmdet.registry import MODELS


@MODELS.register_module()
class OwnExchange(torch.nn.Module):

    def __init__(self, channels, start):
        super().__init__()
        self.shares = torch.nn.Parameter(torch.full((2, channels, 1, 1), float(start)))

    def forward(self, x1, x2):
        return x1 + self.shares[0] * x2, x2 + self.shares[1] * x1
'''
CONFIG = '''
_base_ = 'configs/bafenet/bafenet_hr_tiny_densesirst.py'
custom_imports = dict(imports=['bafenet', 'own_exchange'])
model = dict(bbox_head=dict(exchange=dict(_delete_=True, type='OwnExchange', start=0.0)))
'''


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module, a config that imports it, and a checkpoint of the network, whose exchange exchanges nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / 'own_exchange.py').write_text(MODULE)
    (tmp_path / 'own.py').write_text(CONFIG.replace('configs/', f'{ROOT}/configs/'))
    cfg = load_config('own.py')
    shipped = torch.load(weights.find('bafenet_hr_tiny'), weights_only=True)['state_dict']
    network = MODELS.build(cfg.model)
    network.load_state_dict({name: value for name, value in shipped.items() if '.exchange.' not in name}, strict=False)
    checkpoint = dict(meta=dict(cfg=cfg.pretty_text, dataset_meta=dict(classes=('Target', ))),
                      state_dict=network.state_dict())
    torch.save(checkpoint, 'own.pth')
    torch.save(checkpoint['state_dict'], 'bare.pth')
    forget()
    yield
    forget()


def forget() -> None:
    """As in a process that has not imported the module."""
    MODELS.module_dict.pop('OwnExchange', None)
    sys.modules.pop('own_exchange', None)


def frame() -> np.ndarray:
    image = np.random.default_rng(0).integers(20, 40, (64, 96), dtype=np.uint8)
    image[20:23, 8:11] = image[30:33, 60:63] = 200
    return image


def test_the_config_brings_the_parts_and_the_checkpoint_alone_does_not(own):
    with pytest.raises(InputError, match=r"'OwnExchange', .* nothing was executed\..* import .* or give a config .*"
                       r'--config, in Python config='):
        bafenet.load('own.pth')
    assert 'own_exchange' not in sys.modules
    # Without the exchange that they were trained with the shipped weights are not sure of much.
    found = bafenet.load('own.pth', config='own.py')(frame(), score=0.001)
    # The module is imported by now.
    again = bafenet.load('own.pth')(frame(), score=0.001)
    bare = bafenet.load('bare.pth', config='own.py')(frame(), score=0.001)
    nothing_exchanged = bafenet.load('own.pth')
    nothing_exchanged.model.bbox_head.exchange.forward = lambda x1, x2: (x1, x2)
    for result in (again, bare, nothing_exchanged(frame(), score=0.001)):
        np.testing.assert_array_equal(result.scores, found.scores)
        np.testing.assert_array_equal(result.sky_probability, found.sky_probability)
    assert len(found.scores) > 0


@pytest.mark.faults
def test_predict_takes_the_config(own, capsys):
    np.save('frame.npy', frame())
    arguments = ['frame.npy', '--weights', 'own.pth', '--out', 'out']

    def call(*more):
        try:
            return load_tool('predict.py').main([*arguments, *more])
        except SystemExit as end:
            return end.code

    assert call() == 2 and '(--config' in capsys.readouterr().err
    assert call('--config', 'absent.py') == 2 and 'absent.py: no such config' in capsys.readouterr().err
    assert call('--config', 'own.py') == 0
    # Another threshold in the config gives other results.
    with open('own.py', 'a') as file:
        file.write('model.update(test_cfg=dict(score_thr=0.2))\n')
    assert call('--config', 'own.py') == 2 and 'other settings (config_sha256=' in capsys.readouterr().err
