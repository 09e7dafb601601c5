"""The report of a network that marks target pixels: its curves and numbers with units, and nothing of boxes."""
import json

import pytest
from report_runs import CONFIG, Page, write_results

from bafenet.errors import InputError
from bafenet.evaluation.results import read_results
from bafenet.report import write_report

ROC = dict(threshold=[1.1, 0.5, 0], false_positive_rate=[0, 2e-4, 1], true_positive_rate=[0, 0.75, 1])
DETECTION = dict(threshold=[0.25, 0.5, 0.75], P_d=[100, 80, 40], F_a=[500, 20, 0])


def write_masks(file, **more):
    """Results of three frames: of five targets four are detected."""
    images = [dict(img_id=name, shape=[64, 96], target_overlap=[5, 9], targets=targets, detected=detected, alarms=1,
                   alarm_pixels=4) for name, targets, detected in (('a', 2, 2), ('b', 3, 2), ('c', 0, 0))]
    metrics = {'irstd/IoU': 0.5, 'irstd/P_d': 80.0, 'irstd/F_a': 20.0}
    content = dict(config='configs/segmentation/additive_unet_nudt.py', checkpoint='absent.pth',
                   checkpoint_sha256='0' * 64, split='splits/test.txt', training_images=0, metrics=metrics,
                   curves=dict(roc=ROC, detection=DETECTION), images=images,
                   resolved_config=CONFIG.format(depth=1, name='NUDT-SIRST'))
    file.write_text(json.dumps({**content, **more}))
    return str(file)


@pytest.fixture
def work_dir(tmp_path):
    (tmp_path / 'run').mkdir()
    write_masks(tmp_path / 'run/of_test.json')  # found by what it holds
    return str(tmp_path / 'run')


def report(places, out):
    summary = write_report(places, str(out), predict_sky=False)
    return summary, Page(out.read_text(encoding='utf-8'))


def test_curves_and_numbers_of_masks(work_dir, tmp_path):
    summary, page = report([work_dir], tmp_path / 'report.html')
    assert not page.faults and not summary['damaged']
    titles = [text for _, text in page.all('figcaption')]
    assert titles == ['ROC of target pixels', 'Targets detected (P_d) against pixels of false alarms (F_a)']
    found = page.table('Highest P_d, %, at an F_a (1e-6)')['run']
    assert [found[key] for key in ('1', '10', '30', '1000')] == ['40', '40', '80', '100']
    rates = page.table('Highest true positive rate of pixels')['run']
    assert (rates['1e-05'], rates['0.001']) == ('0', '0.75')
    metrics = page.table('Target masks of each run')
    assert (metrics['run']['P_d, %'], metrics['run']['F_a, 1e-6']) == ('80.000', '20.000')
    text = page.all('main')[0][1]
    assert '3 frames with 5 targets, 1 of them without any' in text
    assert 'No worst frames: results of target masks' in text and 'in a million pixels' in text
    # Nothing of boxes, and no paper that measured them.
    assert 'Sides of boxes: “true”' not in text and 'Paper, Table' not in text
    assert '#frames' not in [attrs.get('href') for attrs, _ in page.all('a')]


def test_runs_of_boxes_and_of_masks_stand_in_one_report(work_dir, tmp_path):
    boxes = str(write_results(tmp_path / 'boxes.json', resolved_config=CONFIG.format(depth=1, name='SIRSTdevkit')))
    _, page = report([work_dir, boxes], tmp_path / 'report.html')
    text = page.all('main')[0][1]
    assert 'Sides of boxes: “true”' in text and 'Paper, Table' in text and 'in a million pixels' in text
    assert 'ROC of target pixels' in text and 'Precision against recall, IoU 0.5' in text
    assert set(page.table('Highest P_d, %')) == {'run'}


@pytest.mark.parametrize(('curves', 'message'), [
    ([], 'curves must be'), (dict(roc=3), r'curves\.roc must be'),
    (dict(roc={**ROC, 'threshold': [1]}), r'curves\.roc: its lists differ in length'),
    (dict(detection={**DETECTION, 'P_d': ['<b>', 1, 2]}), r'curves\.detection\.P_d must be a list of finite numbers'),
    (dict(detection={**DETECTION, 'F_a': [-1, 1, 2]}), r'curves\.detection\.F_a must be'),
    (dict(detection=dict(threshold=[], P_d=[])), r'curves\.detection.*F_a'),
])
def test_spoiled_curves_are_named(tmp_path, curves, message):
    with pytest.raises(InputError, match=f'of.json: not what .* writes .*{message}'):
        read_results(write_masks(tmp_path / 'of.json', curves=curves))


def test_counts_of_an_image_are_whole_numbers(tmp_path):
    with pytest.raises(InputError, match=r'images\[0\]\.targets must be a whole number'):
        read_results(write_masks(tmp_path / 'of.json', images=[dict(img_id='a', targets=1.5)]))
