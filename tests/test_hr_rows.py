"""The rows of the tables of bafenet_hr_tiny: each differs from it in what it says, and its epochs cost as much."""
import functools
import json

import pytest
from conftest import ROOT

from bafenet.devkit import image_size
from bafenet.reproduction.plan import row_config
from bafenet.reproduction.tables import find_row, select_tables

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
CROP, PASTE = 'BalancedCrop', 'BAGCopyPaste'
RESIZE = dict(type='Resize', scale=(512, 512), keep_ratio=False)
HEAD, NECK, BACKBONE = 'model.bbox_head', 'model.neck', 'model.backbone'

# What each row sets that tiny does not; pipelines by the steps that they lose and gain.
ROWS = {
    'tiny': {},
    'tiny_box_origin_1': {f'{loader}.dataset.box_origin': 1 for loader in LOADERS},
    'tiny_resize_512': {'without': CROP, 'with': RESIZE, 'batch': 2, 'repeats': 0.5,
                        f'{HEAD}.side_knots': (0, 0.25, 0.5, 1, 1.5, 2, 3, 4, 6, 8, 16)},
    'tiny_stride_4': {f'{BACKBONE}.out_indices': (1, 2, 3, 4, 5), 'levels': 1, f'{HEAD}.strides': [4]},
    'tiny_stride_8': {f'{BACKBONE}.out_indices': (2, 3, 4, 5), 'levels': 2, f'{HEAD}.strides': [8]},
    **{f'tiny_{name}': {f'{HEAD}.assign': assign, f'{HEAD}.box_coding': 'centre_size',
                        f'{HEAD}.loss_bbox.type': 'GIoULoss'}
       for name, assign in (('nearest', 'nearest'), ('receptive_field', 'receptive_field'),
                            ('simota', 'simota'))},
    'tiny_nwd': {f'{HEAD}.loss_bbox.type': 'NormalisedWassersteinLoss'},
    'tiny_giou': {f'{HEAD}.loss_bbox.type': 'GIoULoss'},
    'tiny_whole_frames': {'without': CROP, 'batch': 1, 'repeats': 0.25},
    'tiny_no_paste': {'without': PASTE},
    'tiny_paper_paste': {'paste': dict(sigma=(0.3, 0.6), visible_share=0.0)},
    'tiny_paste_always': {'paste': dict(prob=1.0)},
    'tiny_distances': {f'{HEAD}.box_coding': 'distances'},
    'tiny_no_stem': {f'{BACKBONE}.stem_channels': None, f'{BACKBONE}.stem_kernel': 5},
    'tiny_no_sky': {f'{HEAD}.with_seg': False},
    'tiny_sky': {f'{HEAD}.exchange': None},
    'tiny_exchange': {f'{HEAD}.exchange.adapter': None},
    'tiny_residual': {f'{HEAD}.exchange.adapter.residual': True},
    'tiny_dynamic': {f'{HEAD}.refine': 'lsk', f'{HEAD}.exchange.type': 'DynamicChannelExchange',
                     f'{HEAD}.exchange.adapter.mix_channels': True},
}


@pytest.fixture(autouse=True)
def _in_the_checkout(monkeypatch):
    monkeypatch.chdir(ROOT)


@functools.cache
def read(name):
    return row_config(find_row(name), 'ours')


def settings(name):
    return {key: value for key, value in read(name).to_dict().items() if key in (
        'model', *LOADERS, 'optim_wrapper', 'param_scheduler', 'train_cfg', 'val_cfg', 'test_cfg', 'val_evaluator',
        'test_evaluator', 'default_hooks', 'custom_hooks', 'load_from')}


def changed(values, without=None, paste=None, levels=0, batch=None, repeats=None, **paths):
    """Tiny's settings with the differences of a row put in."""
    extra = paths.pop('with', None)
    train, *tests = (values[loader]['dataset'] for loader in LOADERS)
    train['pipeline'] = [step for step in train['pipeline'] if step['type'] != without]
    for step in train['pipeline']:
        if step['type'] == PASTE:
            step.update(paste or {})
    if extra:
        kinds = [step['type'] for step in train['pipeline']]
        train['pipeline'].insert(kinds.index(PASTE) + 1, extra)
        for test in tests:
            # Before the sky map is loaded: the truth stays in native pixels.
            test['pipeline'].insert(1, extra)
    if batch:
        values['train_dataloader']['batch_size'] = batch
        values['train_dataloader']['sampler']['repeats'] = repeats
    values['model']['neck']['in_channels'] = values['model']['neck']['in_channels'][levels:]
    for path, value in paths.items():
        *parents, last = path.split('.')
        node = values
        for parent in parents:
            node = node[parent]
        node[last] = value
    return values


def test_every_row_is_listed_and_no_other():
    assert {row.key for table in select_tables('hr') for row in table.runnable} == set(ROWS)


@pytest.mark.parametrize('name', ROWS)
def test_each_row_differs_from_tiny_in_what_it_says(name):
    # A table has lists where a config may have tuples.
    there, expected = (json.loads(json.dumps(one)) for one in (settings(name), changed(settings('tiny'), **ROWS[name])))
    assert there == expected


@pytest.mark.parametrize('name', ROWS)
def test_an_epoch_of_every_row_has_tinys_steps(name):
    tiny, loader = (settings(one)['train_dataloader'] for one in ('tiny', name))
    assert loader['sampler']['repeats'] / loader['batch_size'] == tiny['sampler']['repeats'] / tiny['batch_size']


@pytest.mark.parametrize('name', ['tiny', 'tiny_stride_4', 'tiny_stride_8'])
def test_the_head_is_told_the_stride_of_the_finest_stage(name):
    row = settings(name)
    # Stage i of the backbone has stride 2^(i + 1).
    finest = min(row['model']['backbone'].get('out_indices') or range(4))
    assert row['model']['bbox_head']['strides'] == [2**(finest + 1)]


def test_whole_and_resized_frames_have_a_quarter_more_pixels_than_tinys_windows(real_data):
    names = (real_data / 'Splits/train_v2.txt').read_text().split()
    sizes = [image_size(str(real_data / f'PNGImages/{name}.png')) for name in names]
    crop = next(step for step in settings('tiny')['train_dataloader']['dataset']['pipeline'] if step['type'] == CROP)
    late = crop['late_epoch'] / settings('tiny')['train_cfg']['max_epochs']
    pixels = {
        'tiny': sum(share * min(width, window) * min(height, window) for width, height in sizes
                    for share, (window, _) in ((late, crop['size']), (1 - late, crop['late_size']))),
        'tiny_whole_frames': sum(width * height for width, height in sizes),
        'tiny_resize_512': len(sizes) * RESIZE['scale'][0] * RESIZE['scale'][1],
    }
    epochs = {name: settings(name)['train_dataloader']['sampler']['repeats'] * number
              for name, number in pixels.items()}
    assert epochs['tiny_whole_frames'] / epochs['tiny'] == pytest.approx(1.23, abs=0.01)
    assert epochs['tiny_resize_512'] / epochs['tiny'] == pytest.approx(1.28, abs=0.01)
