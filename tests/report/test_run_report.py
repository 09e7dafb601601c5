"""The report as a file: structure, escaping, numbers, size, what is absent, refusals; no browser."""
import base64
import hashlib
import json
import re

import pytest
from conftest import load_tool
from report_runs import CONFIG, COUNTS, HOSTILE, Page, write_frames, write_results, write_work_dir

from bafenet.errors import InputError
from bafenet.report import write_report
from bafenet.report.collect import collect
from bafenet.report.figures import short_names
from bafenet.report.frames import tally, worst
from bafenet.report.numbers import columns_of, metric_rows


@pytest.fixture(scope='module')
def places(tmp_path_factory):
    """Two runs: a work dir with everything, and a results file of the paper's sides whose frames are elsewhere."""
    root = tmp_path_factory.mktemp('runs')
    write_frames(root / 'SIRSTdevkit')
    full = write_work_dir(root / HOSTILE)
    write_results(full / 'results.json', root / 'SIRSTdevkit')
    (full / 'other.json').write_text('{"images": [], "annotations": []}')
    return [str(full), str(write_results(root / 'legacy.json', ending='_legacy', resolved_config=CONFIG.format(
        depth=50, name='SIRSTdevkit')))]


@pytest.fixture(scope='module')
def report(places, tmp_path_factory):
    """The report of both, as text."""
    out = tmp_path_factory.mktemp('out') / 'report.html'
    assert load_tool('report.py').main([*places, '--out', str(out), '--title', f'All {HOSTILE}']) == 0
    return out.read_text(encoding='utf-8')


@pytest.fixture(scope='module')
def page(report):
    return Page(report)


@pytest.fixture
def without_curves(monkeypatch):
    """Where they are not what is tested: matplotlib takes a second."""
    for part in ('training_part', 'detection_part'):
        monkeypatch.setattr(f'bafenet.report.build.{part}', lambda *_: None)


# --- Structure --------------------------------------------------------------------------------------------------------


@pytest.mark.faults
def test_elements_are_closed_ids_are_unique_and_links_lead_somewhere(page):
    assert not page.faults
    ids = [attrs['id'] for _, attrs, _ in page.elements if 'id' in attrs]
    assert len(set(ids)) == len(ids)
    named = [attrs[key].removeprefix('#') for _, attrs, _ in page.elements for key in ('href', 'aria-labelledby')
             if attrs.get(key, 'data:')[:5] != 'data:']
    assert named and set(named) <= set(ids)


@pytest.mark.faults
def test_a_screen_reader_finds_landmarks_headings_headers_and_descriptions(page):
    tags = [tag for tag, _, _ in page.elements]
    assert all(tags.count(tag) == 1 for tag in ('header', 'nav', 'main', 'footer', 'h1', 'title'))
    levels = [int(tag[1]) for tag in tags[:tags.index('footer')] if re.fullmatch('h[1-6]', tag)]
    assert levels[0] == 1 and all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False))
    assert all(attrs.get('scope') in ('col', 'row') for attrs, _ in page.all('th'))
    pictures = [attrs for attrs, _ in page.all('img') if attrs.get('id') != 'zoom-picture']
    assert len(pictures) > 8
    assert all(len(attrs['alt']) > 20 and attrs['width'] and attrs['height'] for attrs in pictures)
    assert dict(page.all('html')[0][0])['lang'] == 'en'
    scrollers = [attrs for attrs, _ in page.all('div', 'pre') if attrs.get('class') == 'scroll']
    assert scrollers and all(attrs['tabindex'] == '0' and attrs['aria-label'] for attrs in scrollers)


@pytest.mark.faults
def test_nothing_is_fetched_and_only_this_style_and_script_may_run(page, report):
    addresses = [attrs[key] for _, attrs, _ in page.elements for key in ('src', 'href', 'action', 'srcset', 'poster')
                 if key in attrs]
    assert addresses and all(address.startswith(('data:', '#')) for address in addresses)
    policy = next(attrs['content'] for attrs, _ in page.all('meta') if 'http-equiv' in attrs)
    for tag in ('style', 'script'):
        text, = re.findall(f'<{tag}>(.*?)</{tag}>', report, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
        assert 'url(' not in text and '@import' not in text and 'http' not in text
    assert "default-src 'none'" in policy and "img-src data:" in policy
    assert not [attrs for _, attrs, _ in page.elements if any(key.startswith('on') or key == 'style' for key in attrs)]


@pytest.mark.faults
def test_text_of_files_is_text(page, report):
    assert HOSTILE not in report and report.count('&lt;img src=x onerror=alert(1)&gt;') > 5
    assert page.all('h1')[0][1] == f'All {HOSTILE}' and any(text == HOSTILE for _, text in page.all('h3'))
    assert f'a {HOSTILE} machine' in page.all('main')[0][1]


@pytest.mark.faults
def test_the_same_runs_give_the_same_bytes(places, report, tmp_path):
    write_report(places, str(tmp_path / 'again.html'), title=f'All {HOSTILE}')
    assert (tmp_path / 'again.html').read_text(encoding='utf-8') == report


# --- Numbers ----------------------------------------------------------------------------------------------------------


@pytest.mark.faults
def test_metrics_stand_beside_the_papers_each_with_its_sides(page):
    rows = page.table('Accuracy')
    ours, legacy = rows[HOSTILE], rows['legacy']
    assert ours['mAP_12 (IoU 0.5)'] == '0.456' and ours['recall (IoU 0.5)'] == '0.571'
    assert legacy['mAP_12 (IoU 0.5)'] == '0.456 +1' and legacy['mAP_07 (IoU 0.5)'] == '0.500 +1'
    assert [row['Sides of boxes'] for row in rows.values()] == ['true', '+1', '+1', '+1']
    assert ours['Tested on'] == 'SIRSTdevkit test_v2'
    paper = rows['Paper, Table VII: BAFE-Net R50']
    assert paper['mAP_07 (IoU 0.5)'] == '0.270 +1' and paper['recall (IoU 0.5)'] == '0.332 and 0.329 +1'
    assert paper['Tested on'] == 'DenseSIRST test_v2'
    # The paper has no false alarms, and no row where they stand.
    others = page.table('False alarms')
    assert set(others) == {HOSTILE, 'legacy'} and others['legacy']['sky IoU'] == '0.900'
    alarms = [text for heading, text in others['legacy'].items() if heading.startswith('false alarms per image, in')]
    assert alarms == ['0.400 +1']


def test_what_is_found_by_centres_knows_no_sides(tmp_path):
    file = write_results(tmp_path / 'a.json', metrics={'densesirst/found_02': 0.75, 'densesirst/mAP_12_legacy': 0.5})
    row = next(iter(metric_rows(collect([str(file)]))))
    assert (row.sides, row.values) == ('+1', {'found_02': 0.75, 'mAP_12': 0.5})
    write_report([str(file)], str(tmp_path / 'a.html'))
    own, = Page((tmp_path / 'a.html').read_text()).table('Targets found').values()
    assert '0.750' in own.values()


def test_how_far_scores_are_shares_is_said_of_each_run(page):
    # By hand: boxes of 0.4, 0.8, 0.9 and 0.95 are right, of 0.6 and 0.9 wrong; each is a bin.
    rows = page.table('Share of right boxes by score, legacy: expected calibration error 0.408')
    assert [(row['Mean score'], row['Share right']) for row in rows.values()] == [
        ('0.4', '1'), ('0.6', '0'), ('0.8', '1'), ('0.9', '1'), ('0.9', '0'), ('0.95', '1')]
    assert {row['Boxes'] for row in rows.values()} == {'1'}


@pytest.mark.parametrize(('scores', 'said'), [
    ((None, None), 'at scores ≥ 0.3'), ((0.1, 0.1), 'at scores ≥ 0.1'), ((0.1, None), "at the config's fppi_score"),
    (('none', 0.3), "at the config's fppi_score")])
def test_the_heading_says_at_which_score_false_alarms_count(tmp_path, scores, said):
    files = []
    for number, score in enumerate(scores):
        own = '' if score is None else f', fppi_score={score}'
        text = '' if score == 'none' else f"test_evaluator = dict(type='DenseSIRSTMetric'{own})\n"
        files.append(str(write_results(tmp_path / f'{number}.json', resolved_config=text)))
    assert columns_of(metric_rows(collect(files)))['FPPI_sky'] == f'false alarms per image, in the sky, {said}'


CLASSES = {'densesirst/mAP_12': 0.5, 'densesirst/FPPI': 0.25, 'densesirst/targets_drone': 7.0,
           'densesirst/AP_12_drone': 0.75, 'densesirst/targets_bird': 3.0, 'densesirst/AP_12_bird': 0.125}


@pytest.mark.parametrize('curves', [False, pytest.param(True, marks=pytest.mark.faults)])
def test_classes_are_rows_and_a_run_without_sky_has_all_its_false_alarms(tmp_path, monkeypatch, curves):
    if not curves:
        for part in ('training_part', 'detection_part'):
            monkeypatch.setattr(f'bafenet.report.build.{part}', lambda *_: None)
    file = write_results(tmp_path / 'run.json', metrics=CLASSES)
    legacy = write_results(tmp_path / 'old.json', metrics={f'{key}_legacy': value for key, value in CLASSES.items()})
    content = json.loads(file.read_text())
    for image in content['images']:
        image.pop('in_sky'), image.pop('sky_overlap')
    file.write_text(json.dumps(content))
    out = tmp_path / 'report.html'
    write_report([str(file), str(legacy)], str(out), worst=2)
    page = Page(out.read_text(encoding='utf-8'))
    rows = page.table('Each class')
    assert {name: (row['targets'], row['AP_12 (IoU 0.5)']) for name, row in rows.items()} == {
        'run: drone': ('7', '0.750'), 'run: bird': ('3', '0.125'),
        'old: drone': ('7', '0.750 +1'), 'old: bird': ('3', '0.125 +1')}
    alarms = page.table('False alarms')['run']
    assert [text for heading, text in alarms.items() if heading.startswith('false alarms')] == ['0.250']
    assert 'sky' not in ' '.join(alarms)
    assert not any('drone' in heading for heading in page.table('Accuracy')['run'])


def test_classes_of_a_validation_are_rows_too(tmp_path):
    folder = write_work_dir(tmp_path / 'run')
    log, = folder.glob('*/vis_data/scalars.json')
    log.write_text(log.read_text() + json.dumps({**CLASSES, 'step': 3}) + '\n')
    row = metric_rows(collect([str(folder)]))[0]
    assert row.kind == 'validation' and row.values['FPPI'] == 0.25
    assert row.classes == {'drone': {'targets': 7, 'AP_12': 0.75}, 'bird': {'targets': 3, 'AP_12': 0.125}}


@pytest.mark.faults
def test_what_a_run_is_and_in_what_configs_differ(page):
    facts = {text for _, text in page.all('div')}
    assert {'Commit feedbeef', 'Commit 0123abc', 'Time 1 h 2 min', 'Time 1 min 1 s', 'Seed 3', 'Trained on SIRSTdevkit '
            'train_v2', 'Frames and targets 5 frames with 7 targets', 'Ended after its last epoch'} <= facts
    assert page.table('Settings in which') == {'model.depth': {HOSTILE: '18', 'legacy': '50'}}
    assert "type='BAFENet', depth=18" in page.all('pre')[0][1]
    curves = page.table('First, lowest')
    assert curves[f'{HOSTILE}: loss'] == {'First': '4', 'Lowest': '0.5', 'Highest': '4', 'Last': '0.5',
                                          'Last step or epoch': '8'}


def test_frames_are_counted_as_by_hand_and_the_worst_come_first(places):
    run = collect(places)[0]
    tallies = tally(run, 0.5)
    names = [image['img_id'] for image in run.images]
    assert {names[one.index]: (one.missed, one.alarms, pytest.approx(one.highest_alarm)) for one in tallies.frames} \
        == COUNTS
    order = {kind: [names[one.index] for one in worst(tallies, kind, 3)] for kind in ('misses', 'alarms', 'sky')}
    assert order == dict(misses=['missing', 'alarmed', 'low'], alarms=['alarmed'], sky=['alarmed', 'missing'])
    assert [one.wrong_sky for one in worst(tallies, 'sky', 2)] == [500 / (64 * 96), 10 / (64 * 96)]
    # Of 7 targets: 4 found and 2 false alarms at 0.4, F1 8/13; 3 and 2 at 0.5; 2 at 0.95 to 0.9 with one false alarm.
    assert tally(run).threshold == pytest.approx(0.4)


@pytest.mark.faults
def test_a_frame_on_two_sheets_has_one_picture(page):
    captions = [text for _, text in page.all('figcaption') if text.startswith('alarmed')]
    assert len(captions) == 6
    # Of the run whose frames are elsewhere there is none to show.
    assert sum('Shown above' in text for text in captions) == 2
    assert len([attrs for attrs, _ in page.all('img') if attrs.get('class') == 'frame']) == 2


@pytest.mark.faults
def test_what_is_absent_is_said(page):
    text = page.all('main')[0][1]
    assert 'No picture: the frame is not here.' in text and '--frames FOLDER says where they are' in text
    assert 'The predicted sky is not drawn: checkpoint absent.pth does not exist' in text


# --- Size, absence, refusals ------------------------------------------------------------------------------------------


def test_frames_are_looked_for_in_a_folder(places, tmp_path, without_curves):
    root = places[1].removesuffix('legacy.json') + 'SIRSTdevkit/PNGImages'
    done = write_report(places[1:], str(tmp_path / 'a.html'), worst=1, score=0.5, frames=root)
    assert (done['pictures'], done['without']) == (2, 0)


def test_pictures_that_do_not_fit_are_left_out_with_a_note(places, tmp_path, without_curves):
    out = tmp_path / 'small.html'
    size = write_report(places, str(out))['bytes']
    text = out.read_text(encoding='utf-8')
    frames = [len(data) for data in re.findall(r'class="frame" src="([^"]+)"', text)]
    # With what is kept free for notes.
    limit = (size - min(frames) + 700 * text.count('<figcaption><strong>')) / 1e6
    done = write_report(places, str(out), max_mb=limit)
    assert 0 < done['pictures'] < len(frames) and out.stat().st_size == done['bytes'] <= limit * 1e6
    assert 'has reached its largest size' in Page(out.read_text()).all('main')[0][1]
    with pytest.raises(InputError, match='without a picture of a frame; give fewer runs'):
        write_report(places, str(tmp_path / 'none.html'), max_mb=0.01)
    assert not (tmp_path / 'none.html').exists()


def test_a_work_dir_without_results_says_which_command_makes_them(tmp_path, without_curves):
    folder = write_work_dir(tmp_path / 'my run')
    write_report([str(folder)], str(tmp_path / 'a.html'))
    page = Page((tmp_path / 'a.html').read_text())
    text = page.all('main')[0][1]
    assert f"test.py '{folder}/bafenet_r50_densesirst.py' '{folder}' --out '{folder}/results.json'" in text
    row = page.table('Accuracy')['my run']
    assert row['mAP_12 (IoU 0.5)'] == '0.200' and row['Tested on'] == 'SIRSTdevkit val_v2, while training, epoch 2'
    assert 'Worst frames' not in text and 'Detection curves' not in text


def test_a_config_of_code_is_shown_and_not_run(tmp_path, without_curves):
    folder = tmp_path / 'run'
    folder.mkdir()
    mark = tmp_path / 'executed'
    (folder / 'own.py').write_text(f'open({str(mark)!r}, "w")\nx = [i for i in range(3)]\n')
    write_report([str(folder)], str(tmp_path / 'a.html'))
    assert not mark.exists() and 'for i in range(3)' in (tmp_path / 'a.html').read_text()


@pytest.mark.parametrize(('name', 'text', 'reason'), [
    ('results.json', '{"broken', 'Unterminated string'), ('results_rec.json', '', 'Expecting value'),
    ('results.json', '{}', 'it has no images'),
    ('own.json', '{"images": [{"gt_boxes": 3}], "metrics": {}}', 'gt_boxes'),
    ('own.json', '{"checkpoint_sha256": "00", "ima', 'Unterminated string')])
@pytest.mark.parametrize('whole', [False, True])
def test_a_damaged_results_file_is_named_and_the_rest_reported(tmp_path, capsys, without_curves, name, text, reason,
                                                               whole):
    folder = write_work_dir(tmp_path / 'run')
    (folder / name).write_text(text)
    if whole:
        write_results(folder / 'whole.json')
    assert load_tool('report.py').main([str(folder), '--out', str(tmp_path / 'a.html')]) == 0
    line, = capsys.readouterr().err.splitlines()
    assert str(folder / name) in line and reason in line
    page = Page((tmp_path / 'a.html').read_text())
    said = page.all('main')[0][1]
    assert f'Left out: {folder / name}: ' in said and 'There is no results file' not in said
    assert page.table('Accuracy')['run']['mAP_12 (IoU 0.5)'] == ('0.456' if whole else '0.200')


def test_json_files_of_others_are_not_named(tmp_path, capsys, without_curves):
    folder = write_work_dir(tmp_path / 'run')
    (folder / 'notes.json').write_text('{"broken')
    (folder / 'export.json').write_text('{"checkpoint_sha256": "00"}')
    assert load_tool('report.py').main([str(folder), '--out', str(tmp_path / 'a.html')]) == 0
    assert capsys.readouterr().err == '' and 'Left out' not in (tmp_path / 'a.html').read_text()


def test_a_damaged_results_file_alone_is_refused(tmp_path):
    (tmp_path / 'results.json').write_text('{"broken')
    with pytest.raises(InputError, match=r'results\.json: not .*Unterminated'):
        write_report([str(tmp_path)], str(tmp_path / 'a.html'))
    assert not (tmp_path / 'a.html').exists()


@pytest.mark.parametrize(('spoil', 'message'), [
    (lambda folder: [p.unlink() for p in folder.rglob('*') if p.is_file()], 'no run here'),
    (lambda folder: (folder / '20260101_000000/run.json').write_text('[]'), 'run.json'),
    (lambda folder: (folder / '20260101_000000/run.json').write_text('{"seed": "x"}'), 'seed'),
    (lambda folder: (folder / '20260101_000000/vis_data/scalars.json').write_text('x'), 'not a training log'),
    (lambda folder: (folder / 'settings.json').write_text('{}'), 'settings.json')])
def test_spoiled_work_dirs_are_one_line_and_leave_nothing(tmp_path, spoil, message):
    folder = write_work_dir(tmp_path / 'run')
    spoil(folder)
    with pytest.raises(InputError, match=message) as caught:
        write_report([str(folder)], str(tmp_path / 'out/report.html'))
    assert str(folder) in str(caught.value) and '\n' not in str(caught.value)
    assert not (tmp_path / 'out').exists()


def test_arguments_that_do_not_fit_are_refused(places, tmp_path):
    for keywords, message in ((dict(out='report.pdf'), 'must end in .html'), (dict(labels=['a']), '1 for 2 runs'),
                              (dict(labels=['a', 'a']), 'not all different'), (dict(out=str(tmp_path)), 'html')):
        with pytest.raises(InputError, match=message):
            write_report(places, **{'out': str(tmp_path / 'a.html'), **keywords})
    with pytest.raises(InputError, match='no such file or folder'):
        write_report([str(tmp_path / 'absent')], str(tmp_path / 'a.html'))
    with pytest.raises(InputError, match='at most 16'):
        collect(places[1:] * 17, [str(i) for i in range(17)])


def test_long_names_are_shortened_in_pictures_and_stay_apart():
    names = ['demo', 'x' * 100 + 'a' * 20, 'x' * 110 + 'a' * 20, 'x' * 100 + 'b' * 20]
    short = short_names(names)
    assert short[0] == 'demo' and len(set(short)) == 4 and max(map(len, short)) <= 40
    assert short[3].endswith('b' * 12)
