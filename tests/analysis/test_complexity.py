"""Parameters and FLOPs: the paper's, and only what runs."""
import json

import pytest
from conftest import ROOT
from mmdet.models.detectors import FCOS
from mmdet.registry import MODELS
from mmengine.config import Config
from torch import nn

from bafenet.analysis.complexity import compare, count, input_shape, paper_numbers, print_comparison
from bafenet.engine.options import load_config
from bafenet.errors import InputError

# FLOPs: the paper's Table VII and its release's board. Parameters: what runs, counted by hand.
PAPER_NETWORKS = {
    'baselines/fcos_r50_paper_densesirst.py': (32.113, 50.29),
    'bafenet/bafenet_r50_paper_densesirst.py': (34.479, 69.11),
    'bafenet/bafenet_dynamic_r50_paper_densesirst.py': (34.732, 71.64),
}


def config(name):
    return str(ROOT / 'configs' / name)


@pytest.mark.parametrize(('name', 'expected'), PAPER_NETWORKS.items())
def test_the_papers_networks_cost_what_the_paper_says(name, expected):
    row, = compare([config(name)])
    assert (round(row['params'] / 1e6, 3), round(row['flops'] / 1e9, 2)) == expected
    assert row['shape'] == (512, 512) and not row['idle']
    assert row['paper']['flops_g'] == pytest.approx(row['flops'] / 1e9, abs=5e-3)


@pytest.mark.parametrize(('name', 'params', 'flops'), [
    ('tiny', 0.6e6, 9e9),
    ('small', 3e6, 25e9),
    ('base', 12e6, 70e9),
])
def test_native_networks_keep_to_their_budgets_on_the_commonest_frame(name, params, flops):
    row, = compare([config(f'bafenet/bafenet_hr_{name}_densesirst.py')])
    assert row['shape'] == (512, 640) and not row['idle']
    assert 0.5 * params < row['params'] <= params and 0.5 * flops < row['flops'] <= flops


def test_the_scalar_adapter_costs_128_multiplications_a_value():
    def measure(*options):
        return count(load_config(config('bafenet/bafenet_r18_densesirst.py'), options), 64, 96)
    full, plain = measure(), measure('model.bbox_head.exchange.adapter=None')
    values = 2 * 128 * (8 * 12 + 4 * 6 + 2 * 3)
    assert full['flops'] - plain['flops'] == 128 * values
    assert full['params'] - plain['params'] == 1 * 64 + 64 + 64 * 1 + 1
    assert full['flops_by_operator'].get('linear') == 128 * values and 'linear' not in plain['flops_by_operator']


@MODELS.register_module()
class _IdleFCOS(FCOS):
    """FCOS with a convolution that nothing calls, and weights that are read without calling their module."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.idle = nn.Conv2d(10, 10, 3)
        self.scale = nn.BatchNorm1d(7)

    def _forward(self, batch_inputs, batch_data_samples=None):
        return super()._forward(batch_inputs * self.scale.weight[0], batch_data_samples)


def test_what_never_runs_does_not_count():
    cfg = load_config(config('baselines/fcos_r18_densesirst.py'))
    plain = count(cfg, 64, 64)
    cfg.model.type = '_IdleFCOS'
    with_idle = count(cfg, 64, 64)
    assert with_idle['idle'] == {'idle': 910, 'scale': 7}
    assert with_idle['params'] == plain['params'] + 7
    assert with_idle['flops'] == plain['flops']


def test_a_convolution_costs_its_multiplications():
    """FCOS's towers on one level against the formula."""
    def measure(stacked_convs):
        return count(load_config(config('bafenet/bafenet_r18_densesirst.py'),
                                 [f'model.bbox_head.stacked_convs={stacked_convs}']), 64, 64)
    cells = 8 * 8 + 4 * 4 + 2 * 2
    difference = measure(2)['flops'] - measure(1)['flops']
    # Three towers; group normalisation costs 5 a value in mmengine's count.
    assert difference == 3 * cells * (256 * 256 * 9 + 5 * 256)


def test_inputs_follow_the_config_or_the_command_line(capsys):
    assert input_shape(Config(dict(input_size=(640, 480)))) == (480, 640)
    assert input_shape(Config()) == (512, 512)
    row, = compare([config('bafenet/bafenet_r18_densesirst.py')], shape=(64, 96))
    assert row['shape'] == (64, 96)
    # ResNet-18's cost is not in the paper, and its FLOPs are those of 512x512.
    assert row['paper'] == paper_numbers('fcos_r50_densesirst.py', (64, 96)) == dict(params_m=None, flops_g=None)
    printed_there = dict(params_m=32.113, flops_g=50.291)
    assert paper_numbers('configs/fcos_r50_densesirst.py', (512, 512)) == pytest.approx(printed_there)
    row['idle'] = {'neck.unused': 2500}
    print_comparison([row])
    printed = capsys.readouterr().out
    assert f'{row["params"] / 1e6:.3f}' in printed and 'n/a' in printed and '64x96' in printed
    assert '0.003 M' in printed.replace('\n', ' ') and 'neck.unused' in printed
    json.dumps([row])


def test_a_shape_without_pixels_is_refused():
    with pytest.raises(InputError, match='--shape 0 64'):
        compare([config('bafenet/bafenet_r18_densesirst.py')], shape=(0, 64))

    with pytest.raises(InputError, match='--shape 64 8193'):
        compare([config('bafenet/bafenet_r18_densesirst.py')], shape=(64, 8193))


@pytest.mark.parametrize('size', [5, '512', (512, ), (512, 0), (512, 10**6), (512, 1.5), None, (True, 512)])
def test_an_input_size_that_is_none_is_refused(size):
    with pytest.raises(InputError, match='a.py: input_size is'):
        input_shape(Config(dict(input_size=size)), 'a.py')


@pytest.mark.parametrize('text', ['{', '[]', 'rows: 5', 'rows: [{key: a}]', 'rows: [{key: a, params: 1, flops: 1G}]',
                                  'rows: [{key: a, params: "", flops: 1G}]'])
def test_the_papers_numbers_in_a_file_that_holds_none(tmp_path, monkeypatch, text):
    (tmp_path / 'configs/tables').mkdir(parents=True)
    (tmp_path / 'configs/tables/VII.yaml').write_text(text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match='configs/tables/VII.yaml: '):
        paper_numbers('fcos_r50_densesirst.py', (512, 512))
