"""The frames and skies of a report, from a run that tools/test.py has tested."""
import json

import numpy as np
import pytest
from report_runs import Page
from small_checkpoints import write_checkpoint, write_config

from bafenet.engine.test import test as run_test
from bafenet.report import write_report
from bafenet.report.collect import collect
from bafenet.report.sources import Sources

pytestmark = pytest.mark.faults  # a network is built, run and loaded


@pytest.fixture(scope='module')
def tested(devkit, tmp_path_factory):
    """A work dir with results, and the results file."""
    folder = tmp_path_factory.mktemp('tested')
    config = write_config(folder / 'tiny.py', devkit)
    run_test(config, write_checkpoint(config), work_dir=str(folder), out=str(folder / 'results.json'))
    return folder, folder / 'results.json'


def test_the_predicted_sky_is_the_one_that_was_tested(tested):
    run, = collect([str(tested[0])])
    sources = Sources(run)
    assert not sources.note and len(run.images) == 2
    for image in run.images:
        source = sources.read(image)
        both, either = (source.sky == 1) & (source.true_sky == 1), (source.sky == 1) | (source.true_sky == 1)
        assert [np.count_nonzero(both), np.count_nonzero(either)] == image['sky_overlap']
        assert source.image.shape == tuple(image['shape'])


def test_a_report_of_a_test_has_its_frames_and_says_what_it_is(tested, tmp_path):
    done = write_report([str(tested[0])], str(tmp_path / 'a.html'), worst=2)
    assert done['runs'] == 1 and done['pictures'] == 2 and done['without'] == 0
    page = Page((tmp_path / 'a.html').read_text())
    text = page.all('main')[0][1]
    assert 'the true sky and the predicted sky outlined' in str(page.all('img')) and 'not drawn' not in text
    results = json.loads(tested[1].read_text())
    assert results['checkpoint_sha256'] in text and results['started'] in text
    assert page.table('False alarms')[tested[0].name]['sky IoU'] == f'{results["metrics"]["densesirst/sky_iou"]:.3f}'
    found = page.table('Targets found')[tested[0].name]
    assert found['found by centre, at scores ≥ 0.3'] == f'{results["metrics"]["densesirst/found"]:.3f}'


@pytest.mark.parametrize(('change', 'reason'), [
    (dict(checkpoint_sha256='0' * 64), 'is not the one that was tested'),
    (dict(checkpoint='https://example.org/a.pth'), 'does not exist'), (dict(checkpoint='/'), 'does not exist')])
def test_another_checkpoint_is_not_asked_for_the_sky(tested, tmp_path, change, reason):
    (tmp_path / 'r.json').write_text(json.dumps({**json.loads(tested[1].read_text()), **change}))
    run, = collect([str(tmp_path / 'r.json')])
    sources = Sources(run)
    assert reason in sources.note and sources.read(run.images[0]).sky is None


def test_a_frame_that_is_another_is_not_shown(tested, tmp_path):
    content = json.loads(tested[1].read_text())
    content['images'][0]['shape'] = [65, 64]
    (tmp_path / 'r.json').write_text(json.dumps(content))
    write_report([str(tmp_path / 'r.json')], str(tmp_path / 'a.html'), worst=2, predict_sky=False)
    text = Page((tmp_path / 'a.html').read_text()).all('main')[0][1]
    assert 'the frame here has 64×64 pixels, the tested one 64×65' in text
