"""Costs of a row's network: parameters and multiply-adds by hand, and a time."""
from conftest import ROOT

from bafenet.engine.options import load_config
from bafenet.reproduction.costs import costs_note, measure_costs


def test_parameters_and_multiply_adds():
    options = ['model.backbone.widths=[16,24]', 'model.backbone.blocks=[1,1]']
    cfg = load_config(str(ROOT / 'configs/segmentation/additive_unet_nudt.py'), options)
    cfg.input_size = (32, 16)
    found = measure_costs({'small': cfg})['small']

    def block(inner, outer, stride=False):
        """A basic block: two convolutions and a shortcut where channels or size change, each with BatchNorm."""
        shortcut = (inner + 2) * outer if stride or inner != outer else 0
        return 9 * inner * outer + 9 * outer * outer + 4 * outer + shortcut

    # Two rows of the encoder, the lateral with BatchNorm, one block of the decoder, the head with bias.
    assert found['params'] == block(1, 16) + block(16, 24, True) + 24 * 16 + 32 + block(16, 16) + 17
    pixels = 32 * 16
    convolutions = pixels * (9 * 16 + 9 * 256 + 16 + 2 * 9 * 256 + 16) + pixels // 4 * (
        9 * 16 * 24 + 9 * 24 * 24 + 16 * 24 + 24 * 16)
    # Normalisation and interpolation come on top.
    assert convolutions < found['flops'] < 1.1 * convolutions and found['ms'] > 0
    assert costs_note(cfg).startswith('Costs at 32×16 pixels')
