"""Training curves from logs that the test writes."""
import json

import cv2
import numpy as np
import pytest
from conftest import load_tool

from bafenet.errors import InputError
from bafenet.visualization.curves import draw, find_log, read_scalars


def write_log(folder, started, values, metrics=()):
    file = folder / started / 'vis_data/scalars.json'
    file.parent.mkdir(parents=True)
    lines = [dict(lr=1e-3, loss=value, loss_cls=value / 2, step=25 * (i + 1)) for i, value in enumerate(values)]
    lines += [{'densesirst/mAP_12': value, 'densesirst/precision': 1, 'step': epoch} for epoch, value in metrics]
    file.write_text(''.join(json.dumps(line) + '\n' for line in lines))
    return file


def test_the_newest_log_of_a_work_dir_is_read(tmp_path):
    write_log(tmp_path, '20260101_000000', [9])
    newest = write_log(tmp_path, '20260102_000000', [4, 2, 1], [(3, 0.5), (6, 0.75)])
    assert find_log(str(tmp_path)) == newest == find_log(str(newest))
    series = read_scalars(newest)
    assert series['loss'].tolist() == [[25, 4], [50, 2], [75, 1]]
    assert series['loss_cls'].tolist() == [[25, 2], [50, 1], [75, 0.5]]
    assert series['mAP_12'].tolist() == [[3, 0.5], [6, 0.75]]
    assert 'lr' not in series


def test_curves_of_two_runs_are_drawn(tmp_path):
    runs = []
    for name, values in (('full', [4, 2, 1]), ('bare', [4, 3, 2])):
        write_log(tmp_path / name, '20260101_000000', values, [(3, 0.5)])
        runs.append(str(tmp_path / name))
    one, two = (str(tmp_path / name) for name in ('one.png', 'two.png'))
    assert load_tool('analysis/curves.py').main([runs[0], '--out', one]) == 0
    assert load_tool('analysis/curves.py').main([*runs, '--out', two, '--labels', 'a', 'b']) == 0
    one, two = cv2.imread(one), cv2.imread(two)
    assert one.shape == two.shape and one.std() > 5 and not np.array_equal(one, two)


@pytest.mark.parametrize(('content', 'message'), [
    ('not json', 'not a training log'), ('[1]', 'not a training log'), ('{"lr": 1, "step": 1}', 'holds no loss'),
    ('{"loss": 1}', 'not a training log')])
def test_files_that_are_no_logs_are_refused(tmp_path, content, message):
    file = tmp_path / 'scalars.json'
    file.write_text(content)
    with pytest.raises(InputError, match=message):
        draw([str(file)], str(tmp_path / 'curves.png'))
    assert not (tmp_path / 'curves.png').exists()


def test_arguments_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(InputError, match='no training log here'):
        draw([str(tmp_path)], 'curves.png')
    with pytest.raises(InputError, match='end in .png or .svg'):
        draw([str(tmp_path)], 'curves.txt')
    with pytest.raises(InputError, match='2 for 1 runs'):
        draw([str(write_log(tmp_path, 'a', [1]))], 'curves.png', labels=['a', 'b'])
