"""The rows of the ablation tables: what each differs in, under every protocol, and that each trains."""
import pytest
import torch
from conftest import ROOT, a_third
from mmdet.registry import DATASETS, MODELS

from bafenet.engine.options import load_config
from bafenet.errors import InputError
from bafenet.reproduction.plan import row_config
from bafenet.reproduction.tables import find_row, select_tables

BASES = {
    'ours': 'bafenet/bafenet_r50_densesirst.py',
    'paper': 'bafenet/bafenet_r50_paper_densesirst.py',
    'demo': 'demo/bafenet_r18_demo_bagcp.py',
}
HEAD, BACKBONE, NECK = 'model.bbox_head', 'model.backbone', 'model.neck'
CHANNEL = dict(type='ChannelExchange', ratio=0.5, adapter=dict(type='MLPAdapter', hidden_channels=64))
SPATIAL = dict(CHANNEL, type='SpatialExchange')
DYNAMIC = {
    f'{HEAD}.refine': 'lsk',
    f'{HEAD}.exchange.type': 'DynamicChannelExchange',
    f'{HEAD}.exchange.adapter.mix_channels': True,
}
NOTHING = {}


def paste(**switches):
    return {f'paste.{key}': value for key, value in switches.items()}


def sequence(*exchanges):
    return {f'{HEAD}.exchange': dict(type='SequentialExchange', exchanges=list(exchanges))}


# What each row sets that the protocol's BAFE-Net does not, from the paper's tables.
ROWS = {
    'table2_a': {'paste': None},
    'table2_b': paste(clustered=False, gaussian=False, background='any'),
    'table2_c': paste(gaussian=False, background='any'),
    'table2_d': paste(clustered=False, background='any'),
    'table2_e': paste(background='any'),
    'table2_f': NOTHING,
    'table3_a': {f'{HEAD}.with_seg': False},
    'table3_b': {f'{HEAD}.exchange': None},
    'table3_c': {f'{HEAD}.exchange.adapter': None},
    'table3_d': NOTHING,
    'table4_none': {f'{HEAD}.exchange.adapter': None},
    'table4_8': {f'{HEAD}.exchange.adapter.hidden_channels': 8},
    'table4_16': {f'{HEAD}.exchange.adapter.hidden_channels': 16},
    'table4_32': {f'{HEAD}.exchange.adapter.hidden_channels': 32},
    'table4_64': NOTHING,
    'table4_128': {f'{HEAD}.exchange.adapter.hidden_channels': 128},
    'table5_none': {f'{HEAD}.exchange': None},
    'table5_channel': NOTHING,
    'table5_spatial': {f'{HEAD}.exchange.type': 'SpatialExchange'},
    'table5_channel_spatial': sequence(CHANNEL, SPATIAL),
    'table5_spatial_channel': sequence(SPATIAL, CHANNEL),
    'table6_r18': {f'{BACKBONE}.depth': 18, f'{BACKBONE}.init_cfg.checkpoint': 'torchvision://resnet18',
                   f'{NECK}.in_channels': (1, 2, 4, 8)},
    'table6_r34': {f'{BACKBONE}.depth': 34, f'{BACKBONE}.init_cfg.checkpoint': 'torchvision://resnet34',
                   f'{NECK}.in_channels': (1, 2, 4, 8)},
    'table6_r50': {f'{BACKBONE}.depth': 50, f'{BACKBONE}.init_cfg.checkpoint': 'torchvision://resnet50',
                   f'{NECK}.in_channels': (4, 8, 16, 32)},
    'table6_r101': {f'{BACKBONE}.depth': 101, f'{BACKBONE}.init_cfg.checkpoint': 'torchvision://resnet101',
                    f'{NECK}.in_channels': (4, 8, 16, 32)},
    'exchange_static': NOTHING,
    'exchange_dynamic': DYNAMIC,
    'exchange_dynamic_index': {**DYNAMIC, f'{HEAD}.exchange.gate': 'index'},
}
# Parameters of the rows' networks under our protocol; design.md derives those of the static exchange.
FULL = 34_478_859
SELECTIVE_KERNEL = 256 * 26 + 256 * 50 + 2 * 128 * 257 + 2 * 99 + 256 * 129
PARAMETERS = {
    'table3_a': 30_933_065,
    'table3_b': FULL - 193,
    'table3_c': FULL - 193,
    'table4_none': FULL - 193,
    'table4_8': FULL - 193 + 25,
    'table4_16': FULL - 193 + 49,
    'table4_32': FULL - 193 + 97,
    'table4_128': FULL - 193 + 385,
    'table5_none': FULL - 193,
    'table5_channel_spatial': FULL + 193,
    'table5_spatial_channel': FULL + 193,
    # Adapter over 128 channels and the two selective-kernel modules.
    'exchange_dynamic': FULL - 193 + 64 * 129 + 128 * 65 + 2 * SELECTIVE_KERNEL,
    'exchange_dynamic_index': FULL - 193 + 64 * 129 + 128 * 65 + 2 * SELECTIVE_KERNEL,
}


@pytest.fixture(autouse=True)
def _in_the_checkout(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.fixture(params=BASES)
def protocol(request):
    """Each protocol."""
    return request.param


def row(name, protocol='ours'):
    return row_config(find_row(name), protocol)


def leaves(node, path=''):
    """Dotted paths of a config's values; lists are values."""
    if isinstance(node, dict) and node:
        return {key: value for name, child in node.items()
                for key, value in leaves(child, f'{path}.{name}' if path else name).items()}
    return {path: node}


def settings(cfg):
    """What a run is built from, with the paste as ``paste.*`` wherever the protocol has it."""
    values = {key: value for key, value in cfg.to_dict().items() if key in (
        'model', 'train_dataloader', 'val_dataloader', 'test_dataloader', 'optim_wrapper', 'param_scheduler',
        'train_cfg', 'val_evaluator', 'test_evaluator', 'default_hooks', 'custom_hooks')}
    pipeline = values['train_dataloader']['dataset']['pipeline']
    values['paste'] = next((step for step in pipeline if step['type'] == 'BAGCopyPaste'), None)
    values['train_dataloader']['dataset']['pipeline'] = [step for step in pipeline if step is not values['paste']]
    return values


def at(node, path):
    for name in path.split('.'):
        node = node[name]
    return node


def expected_settings(values, differences, protocol, channels):
    """The protocol's settings with the differences of a row put in."""
    for path, value in differences.items():
        *parents, last = path.split('.')
        if protocol == 'demo' and 'init_cfg' in parents:
            # It trains from scratch.
            continue
        if last == 'in_channels':
            value = [channels * width for width in value]
        (at(values, '.'.join(parents)) if parents else values)[last] = value
    return values


def test_every_row_is_listed_and_no_other():
    assert {row.key for name in ('all', 'exchange') for table in select_tables(name) for row in table.runnable} == set(
        ROWS)


def test_each_row_differs_from_its_protocol_in_what_the_table_says(protocol):
    base = load_config(str(ROOT / 'configs' / BASES[protocol]))
    channels = base.model.backbone.get('base_channels', 64)
    for name, differences in ROWS.items():
        expected = expected_settings(settings(base), differences, protocol, channels)
        assert leaves(settings(row(name, protocol))) == leaves(expected), name


def test_a_protocol_that_is_none_gives_one_line():
    with pytest.raises(InputError, match='II.yaml: row table2_b: it has no base for the protocol theirs; give'):
        row('table2_b', 'theirs')


def test_parameters_of_every_network():
    # Those of Table II differ in their pipelines alone.
    for name in ['table2_f', *(name for name in ROWS if 'table2' not in name and ROWS[name] is not NOTHING)]:
        with torch.device('meta'):
            network = MODELS.build(row(name).model)
        count = sum(p.numel() for p in network.parameters())
        if name.startswith('table6') and name != 'table6_r50':
            # The neck's lateral convolutions fit the backbone's channels, else the network would not run.
            widths = [conv.conv.in_channels for conv in network.neck.lateral_convs]
            assert widths == ([512, 1024, 2048] if name == 'table6_r101' else [128, 256, 512])
        else:
            assert count == PARAMETERS.get(name, FULL), name


def make_batch(dataset, devkit):
    """Two samples through a row's own pipeline, shrunk."""
    for step in dataset.pipeline:
        if step.type == 'Resize':
            step.scale = (64, 64)
    samples = DATASETS.build({**dataset, 'data_root': str(devkit)})
    samples = samples[0], samples[1]
    return {key: [sample[key] for sample in samples] for key in samples[0]}


@pytest.mark.parametrize('name', a_third(ROWS))
def test_every_row_trains_a_step_of_the_demo_and_predicts(name, devkit):
    cfg = row(name, 'demo')
    torch.manual_seed(0)
    batch = make_batch(cfg.train_dataloader.dataset, devkit)
    network = MODELS.build(cfg.model)
    network.init_weights()
    total, losses = network.train().parse_losses(network(**network.data_preprocessor(batch, True), mode='loss'))
    total.backward()
    assert torch.isfinite(total) and ('loss_seg' in losses) == (name != 'table3_a')
    # Distributed training stops at a parameter that asks for a gradient and gets none.
    idle = {key for key, p in network.named_parameters() if p.requires_grad and p.grad is None}
    assert not idle
    with torch.no_grad():
        sample, _ = network.eval().test_step(batch)
    assert sample.pred_instances.bboxes.shape[1] == 4
    assert ('pred_sem_seg' in sample) == (name != 'table3_a')
