"""Classical methods over frames with masks: numbers by hand, curves, the picture, and what is refused."""
import json

import cv2
import numpy as np
import pytest
from conftest import load_tool

from bafenet.analysis.classical_methods import draw, measure
from bafenet.classical import METHODS
from bafenet.errors import InputError


@pytest.fixture
def data(tmp_path):
    """Four black frames: in each a bright target of 3×3 pixels; in the last three a fainter blob that is none."""
    for folder in ('images', 'masks', 'splits'):
        (tmp_path / 'data' / folder).mkdir(parents=True)
    for number in range(4):
        frame, mask = np.zeros((2, 64, 64), np.uint8)
        frame[10:13, 20:23] = 200
        if number:
            frame[40:43, 40:43] = 150
        mask[10:13, 20:23] = 255
        cv2.imwrite(str(tmp_path / f'data/images/{number}.png'), frame)
        cv2.imwrite(str(tmp_path / f'data/masks/{number}.png'), mask)
    (tmp_path / 'data/splits/test.txt').write_text('0\n1\n2\n3\n')
    return tmp_path / 'data'


def test_numbers_of_top_hat(data, tmp_path, capsys):
    results = measure(str(data), 'splits/test.txt', ['Top-Hat', 'MPCM'], out=str(tmp_path / 'out.json'))
    assert json.loads((tmp_path / 'out.json').read_text()) == results
    top_hat = results['methods']['Top-Hat']
    # The blob has 0.75 of the frame's largest response: above both thresholds, 0.7 and 0.5.
    for rule in 'AB':
        values = top_hat['rules'][rule]
        assert values['IoU'] == pytest.approx(36 / (36 + 27)) and values['P_d'] == 100
        assert values['F_a'] == pytest.approx(1e6 * 27 / (4 * 64 * 64))
        assert (values['found'], values['alarms']) == (1, 0.75)
    # All targets have a stronger response than any blob, and each is one peak, though its pixels are equal.
    assert top_hat['curve'] == dict(found=[0.25, 0.5, 0.75, 1, 1], alarms=[0, 0, 0, 0, 0.75])
    printed = capsys.readouterr().out
    assert '0.5714' in printed and '100.00' in printed and 'MPCM' in printed


def test_the_tool_knows_all_methods():
    assert tuple(METHODS) == load_tool('classical.py').METHODS


def test_processes_change_nothing_and_a_limit_takes_frames_evenly(data):
    numbers = [measure(str(data), 'splits/test.txt', ['MPCM'], workers=workers)['methods']['MPCM']
               for workers in (1, 2)]
    assert numbers[0]['rules'] == numbers[1]['rules'] and numbers[0]['curve'] == numbers[1]['curve']
    assert measure(str(data), '', ['MPCM'], limit=2)['frames'] == 2


def test_the_picture_has_a_panel_for_each_file(data, tmp_path):
    files = [str(tmp_path / f'{name}.json') for name in 'ab']
    for file in files:
        measure(str(data), 'splits/test.txt', ['Top-Hat', 'MPCM'], out=file)
    draw(files, str(tmp_path / 'curves.png'), ['clustered', 'sparse'])
    height, width = cv2.imread(str(tmp_path / 'curves.png')).shape[:2]
    assert width > 1.5 * height
    with pytest.raises(InputError, match='--labels: 1 for 2'):
        draw(files, str(tmp_path / 'curves.png'), ['clustered'])


@pytest.mark.parametrize('content', [{}, [], dict(data_root='a', methods={'M': {}}), dict(data_root=1, methods={}),
                                     dict(data_root='a', methods={'M': dict(curve=dict(found=[1], alarms=['x']))}),
                                     dict(data_root='a', methods={'M': dict(curve=dict(found=[1], alarms=[1, 2]))})])
def test_other_files_are_refused(tmp_path, content):
    file = tmp_path / 'other.json'
    file.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r'other.json: not what .*classical.* measure --out writes'):
        draw([str(file)], str(tmp_path / 'a.png'))
