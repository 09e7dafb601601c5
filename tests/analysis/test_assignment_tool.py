"""Counts of the targets that get a point, against counts by hand."""
import json

import numpy as np
import pytest
from conftest import ROOT, load_tool, write_devkit

from bafenet.analysis.assignment import report
from bafenet.errors import InputError

PAPERS = str(ROOT / 'configs/bafenet/bafenet_r50_densesirst.py')
NEAREST = ['model.bbox_head.assign=nearest', 'model.bbox_head.box_coding=centre_size']
NEAREST_4 = [NEAREST[1], 'model.bbox_head.assign.type=NearestAssigner', 'model.bbox_head.assign.topk=4']


@pytest.fixture(scope='module')
def scenes():
    """Images of several sizes with boxes from one pixel to half the image, the last one without any."""
    rng = np.random.default_rng(0)
    samples = {}
    for i, (height, width) in enumerate([(96, 128), (100, 75), (256, 320), (64, 64)]):
        low = rng.integers(0, (width - 1, height - 1), (30 if i < 3 else 0, 2))
        sides = np.where(rng.random((len(low), 1)) < 0.8, rng.integers(1, 6, low.shape), rng.integers(1, 60, low.shape))
        high = np.minimum(low + sides, (width, height))
        samples[f'scene_{i}'] = height, width, np.concatenate([low, high], axis=1)
    return samples


@pytest.fixture(scope='module')
def data_root(scenes, tmp_path_factory):
    files = {name: (np.zeros((height, width), np.uint8), boxes.tolist(), np.zeros((height, width)))
             for name, (height, width, boxes) in scenes.items()}
    return write_devkit(tmp_path_factory.mktemp('devkit') / 'SIRSTdevkit', files,
                        {f'{split}_v2': list(files) for split in ('train', 'val', 'test')})


def options(data_root, split, size):
    """Options by which a config reads a split of the devkit at an input size."""
    resize = {'train': 3, 'val': 1, 'test': 1}[split]
    return [f'{split}_dataloader.dataset.data_root={data_root}',
            f'{split}_dataloader.dataset.pipeline.{resize}.scale=({size[0]},{size[1]})']


def count_by_hand(scenes, size, strides, ranges):
    """For each target the points of each level inside it that no smaller box takes, and its size in the input."""
    counts, sizes = [], []
    for height, width, boxes in scenes.values():
        boxes = boxes * np.tile([size[0] / width, size[1] / height], 2)
        areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        mine = np.zeros((len(boxes), len(strides)), int)
        for level, (stride, (low, high)) in enumerate(zip(strides, ranges, strict=True)):
            for y in np.arange(stride / 2, -(-size[1] // 32) * 32, stride):
                for x in np.arange(stride / 2, -(-size[0] // 32) * 32, stride):
                    sides = np.stack([x - boxes[:, 0], y - boxes[:, 1], boxes[:, 2] - x, boxes[:, 3] - y], axis=1)
                    fits = (sides > 0).all(1) & (sides.max(1, initial=0) >= low) & (sides.max(1, initial=0) <= high)
                    if fits.any():
                        mine[np.flatnonzero(fits)[areas[fits].argmin()], level] += 1
        counts.append(mine)
        sizes.append(np.sqrt(areas).round(3))
    return np.concatenate(counts), np.concatenate(sizes)


@pytest.mark.parametrize(('config', 'split', 'size', 'strides'), [
    (PAPERS, 'test', (128, 96), (8, 16, 32)),
    # Not a multiple of the padding, and five levels of mmdet's own head.
    (str(ROOT / 'configs/baselines/fcos_r18_densesirst.py'), 'val', (200, 120), (8, 16, 32, 64, 128)),
])
def test_counts_are_those_by_hand(config, split, size, strides, scenes, data_root, capsys):
    result = report(config, split_from=split, cfg_options=options(data_root, split, size))
    bounds = [-1, 64, 128, 256, 512, 1e8]
    counts, sizes = count_by_hand(scenes, size, strides, [*zip(bounds, bounds[1:], strict=False)][:len(strides)])
    assert result['targets'] == len(sizes) == 90
    assert result['assigned'] == (counts.sum(1) > 0).sum() and 0 < result['share'] < 1
    assert result['points'] == result['points_inside'] == counts.sum()
    assert [level['assigned'] for level in result['by_level']] == (counts > 0).sum(0).tolist()
    assert [level['points'] for level in result['by_level']] == counts.sum(0).tolist()
    for row in result['by_size']:
        chosen = (sizes >= row['low']) & (sizes < (row['high'] or np.inf))
        assert (row['targets'], row['assigned']) == (chosen.sum(), (counts[chosen].sum(1) > 0).sum())
    assert sum(row['targets'] for row in result['by_size']) == 90
    assert f'{result["assigned"]} of 90' in capsys.readouterr().out


def test_nearest_gives_more_targets_a_point(data_root):
    here = options(data_root, 'train', (128, 96))
    pasting = str(ROOT / 'configs/bafenet/bafenet_r18_densesirst.py')
    inside, nearest, more = (report(pasting, 'train', cfg_options=here + extra) for extra in ([], NEAREST, NEAREST_4))
    assert inside['points'] == nearest['points_inside'] and nearest['assign'] == 'nearest'
    assert inside['assigned'] < nearest['assigned'] < more['assigned']
    # One point for each target that had none.
    assert nearest['points'] - inside['points'] == nearest['assigned'] - inside['assigned']


def test_the_tool_writes_json_and_says_errors_in_one_line(data_root, tmp_path):
    out = tmp_path / 'counts.json'
    tool = load_tool('analysis/assignment.py')
    assert tool.main([PAPERS, '--out', str(out), '--cfg-options', *options(data_root, 'test', (128, 96))]) == 0
    written = json.loads(out.read_text())
    assert written['targets'] == 90 and len(written['by_level']) == 3 and written['split'] == 'Splits/test_v2.txt'
    with pytest.raises(SystemExit) as end:
        tool.main([PAPERS, '--cfg-options', 'model.bbox_head.assign=nearest'])
    assert end.value.code == 2


def test_a_head_of_another_kind_and_a_bad_file_are_named(tmp_path):
    config = tmp_path / 'other.py'
    config.write_text("model = dict(bbox_head=dict(type='RetinaHead'))")
    with pytest.raises(InputError, match='other.py: model.bbox_head is RetinaHead'):
        report(str(config))
    with pytest.raises(InputError, match=r'must end in \.json'):
        report(PAPERS, out='counts.txt')


@pytest.mark.parametrize(('origin', 'assigned', 'share'), [(0, 1209, '0.350'), (1, 1200, '0.347')])
def test_real_targets_of_the_papers_network(real_data, origin, assigned, share, capsys):
    options = [f'test_dataloader.dataset.{key}' for key in (f'data_root={real_data}', f'box_origin={origin}')]
    assert report(PAPERS, cfg_options=options)['assigned'] == assigned
    assert f'{share} ({assigned} of 3454)' in capsys.readouterr().out
