"""Where boxes end, on targets that are drawn to end there."""
import json

import numpy as np
import pytest
from conftest import ROOT, load_tool

from bafenet.analysis.box_edges import measure, report, summarize
from bafenet.errors import InputError

TINY = str(ROOT / 'configs/bafenet/bafenet_hr_tiny_densesirst.py')


def test_edges_of_a_target_by_hand():
    image = np.full((20, 24), 50, np.uint8)
    image[8:11, 9:13] = [[50, 60, 70, 52], [60, 150, 80, 70], [50, 90, 75, 50]]
    edges = measure(image, np.array([[10, 8, 13, 11], [1, 8, 4, 11]], np.float32))
    # The second box lies too close to the border.
    assert edges.sizes.tolist() == [[3, 3]]
    np.testing.assert_allclose(edges.inner, [[1, 0.2, 0.2, 0.4]])
    np.testing.assert_allclose(edges.outer, [[0.1, 0, 0, 0]])


def test_faint_targets_are_left_out():
    image = np.full((20, 20), 50, np.uint8)
    image[9, 9] = 57
    edges = measure(image, np.array([[9, 9, 10, 10]], np.float32))
    assert edges.sizes.shape == (0, 2) and edges.inner.shape == edges.outer.shape == (0, 4)
    assert summarize(edges) == dict(dict.fromkeys(
        ('width', 'height', 'inner', 'outer', 'share', 'agreement')), targets=0)


@pytest.mark.parametrize('threshold', [0.1, 0.3])
def test_the_share_at_which_boxes_were_cut_is_found(threshold):
    """Gaussian blobs of different sizes, each boxed where it falls to a share of its peak."""
    rng = np.random.default_rng(0)
    image, boxes = np.full((200, 200), 40.0), []
    grid = np.indices(image.shape)
    for row in range(12, 190, 16):
        for column in range(12, 190, 16):
            centre = np.array([row, column]) + rng.uniform(-1, 1, 2)
            blob = np.exp(-((grid - centre[:, None, None])**2).sum(0) / (2 * rng.uniform(0.8, 1.4)**2))
            image += 150 * blob
            rows, columns = np.nonzero(blob / blob.max() >= threshold)
            boxes.append([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    found = summarize(measure(np.rint(image).astype(np.uint8), np.array(boxes)))
    assert found['targets'] == len(boxes)
    assert found['share'] == pytest.approx(threshold, abs=0.03) and found['agreement'] > 0.97
    assert found['outer'] < threshold < found['inner']


def test_pasted_targets_end_where_the_config_says(devkit, tmp_path, capsys):
    options = [f'train_dataloader.dataset.data_root={devkit}',
               f'train_dataloader.dataset.pipeline.3.library={tmp_path}/library.npz']
    shares = {}
    for share in (0.0, 0.4):
        file = tmp_path / f'{share}.json'
        argv = [TINY, '--out', str(file), '--cfg-options', *options,
                f'train_dataloader.dataset.pipeline.3.visible_share={share}']
        assert load_tool('analysis/box_edges.py').main(argv) == 0
        results = json.loads(file.read_text())
        assert results['split'] == 'Splits/train_v2.txt' and results['present']['targets'] > 10
        assert results['pasted']['targets'] > 50
        shares[share] = results['pasted']
    assert shares[0.4]['share'] > shares[0.0]['share'] and shares[0.4]['width'] < shares[0.0]['width']
    assert shares[0.4]['inner'] > 0.35
    assert 'present' in capsys.readouterr().out


def test_without_paste_only_present_targets_are_measured(devkit):
    results = report(TINY, cfg_options=[f'train_dataloader.dataset.data_root={devkit}',
                                        'train_dataloader.dataset.pipeline.BAGCopyPaste=None'])
    assert 'pasted' not in results and results['present']['targets'] > 10


def test_out_must_be_json(devkit):
    with pytest.raises(InputError, match='must end in .json'):
        report(TINY, out='edges.txt')
