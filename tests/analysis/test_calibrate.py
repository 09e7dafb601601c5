"""``calibrate.py``: the map that is fitted, halves without a common recording, likely targets, what is printed."""
import json

import cv2
import numpy as np
import pytest
from conftest import load_tool, voc_xml
from scipy.special import expit

from bafenet.analysis import calibration as tool
from bafenet.analysis.recording_halves import halves_of
from bafenet.engine.option_text import parse_options
from bafenet.errors import InputError
from bafenet.evaluation.calibration import Judged, reliability
from bafenet.models.score_calibration import MIN_SLOPE, fault_of, knots_of

TARGET, FAR = [10, 10, 13, 13], [40, 40, 43, 43]


def truth(scores):
    """A network whose boxes are right far more often than its scores say."""
    return expit(3 * np.log(scores) - 4 * np.log1p(-scores) + 2.5)


def boxes(count, seed=0, share=truth):
    rng = np.random.default_rng(seed)
    scores = rng.uniform(0.02, 0.95, count)
    return Judged(scores, rng.random(count) < share(scores), np.arange(count))


def images(judged, prefix='S1', start=0, **more):
    """An image for each box, in ten recordings."""
    return [dict(img_id=f'{prefix}{number % 10}x_{start + number}', boxes=[TARGET if right else FAR], scores=[score],
                 labels=[0], gt_boxes=[TARGET], gt_labels=[0], **more)
            for number, (score, right) in enumerate(zip(judged.scores.tolist(), judged.is_right, strict=True))]


def write(file, content, **more):
    file.write_text(json.dumps(dict(images=content, **more)))
    return str(file)


def test_a_known_map_is_found_again():
    fitted = tool.fit([boxes(20_000)])
    grid = np.linspace(0.1, 0.95, 50)
    np.testing.assert_allclose(tool.apply(fitted, grid), truth(grid), rtol=0, atol=0.02)
    assert fault_of(fitted) is None and len(fitted['scores']) <= 12


@pytest.mark.parametrize('share', [lambda scores: scores > 0.4, lambda scores: np.full_like(scores, 0.3),
                                   lambda scores: 1 - scores, lambda scores: np.full_like(scores, 0.95)])
@pytest.mark.parametrize('count', [60, 5000])
def test_whatever_the_boxes_are_the_map_is_one_that_a_config_takes(share, count):
    fitted = tool.fit([boxes(count, share=share)])
    assert fault_of(fitted) is None
    scores, shares = knots_of(fitted)
    assert (np.diff(shares) >= MIN_SLOPE * np.diff(scores)).all()


def test_each_file_weighs_the_same_however_many_boxes_it_has():
    few, many = boxes(2000, 1), boxes(2000, 2, share=lambda scores: 0.3 * truth(scores))
    repeated = Judged(*(np.tile(values, 20) for values in many))
    one, other = tool.fit([few, many]), tool.fit([few, repeated])
    grid = np.linspace(0.1, 0.95, 20)
    np.testing.assert_allclose(tool.apply(one, grid), tool.apply(other, grid), rtol=0, atol=0.01)
    pooled = tool.fit([Judged(*(np.concatenate(pair) for pair in zip(few, repeated, strict=True)))])
    assert np.abs(tool.apply(one, grid) - tool.apply(pooled, grid)).max() > 0.1


def test_a_few_hundred_boxes_do_not_overfit():
    fitted = tool.fit([boxes(600, 3)])
    fresh = boxes(50_000, 4)
    assert reliability(fresh.scores, fresh.is_right).error > 0.1
    assert reliability(tool.apply(fitted, fresh.scores), fresh.is_right).error < 0.03


def test_likely_is_the_lowest_score_with_the_precision_as_a_mean_over_files():
    sources = [tool.Source('a', [], boxes(500, 1)), tool.Source('b', [], boxes(900, 2)),
               tool.Source('none', [], boxes(0))]
    fitted = tool.fit([source.boxes for source in sources])
    for precision in (0.6, 0.9):
        found = tool.likely_score(sources, fitted, precision)

        def holds(threshold, precision=precision):
            rights = [source.boxes.is_right[tool.apply(fitted, source.boxes.scores) >= threshold] for source in sources]
            return np.mean([right.mean() for right in rights if len(right)]) >= precision

        assert holds(found) and not any(map(holds, np.arange(1, round(1000 * found)) / 1000))
    never = Judged(np.array([0.9, 0.3]), np.array([False, True]), np.arange(2))
    assert tool.likely_score([tool.Source('c', [], never)], fitted, 0.9) is None


# --- Halves -----------------------------------------------------------------------------------------------------------


def recordings(halves, files):
    """The recordings, by their prefix, of each half."""
    found = [set(), set()]
    for half, content in zip(halves, files, strict=True):
        for side, one in zip(half, content, strict=True):
            found[side].add(one['img_id'].split('_')[0])
    return found


def test_halves_share_no_recording_and_a_frame_of_two_files_is_in_one_half():
    files = [images(boxes(100)), images(boxes(60, 5)), images(boxes(80, 6), start=40)]
    halves, words = halves_of(files)
    first, second = recordings(halves, files)
    assert first and second and not first & second and 'by their names alone' in words and '10 recordings' in words
    assert 0.3 < np.concatenate(halves).mean() < 0.7
    alone, words = halves_of([images(boxes(1))])
    assert alone is None and words.endswith('since frames are not here: too few to cross-fit')


def test_recordings_from_a_file_and_from_near_duplicates(tmp_path):
    rng = np.random.default_rng(0)
    root = tmp_path / 'kit'
    (root / 'PNGImages').mkdir(parents=True)
    (root / 'SIRST/BBox').mkdir(parents=True)
    # Misc is a collection: its frames are of one recording only if they look alike.
    content = []
    for scene in range(4):
        clouds = cv2.resize(rng.uniform(0, 255, (24, 32)).astype(np.float32), (256, 192), interpolation=cv2.INTER_CUBIC)
        for number in range(2):
            name = f'Misc_{scene * 2 + number}'
            noisy = (clouds + rng.normal(0, 2, clouds.shape)).clip(0, 255).astype(np.uint8)
            cv2.imwrite(str(root / f'PNGImages/{name}.png'), noisy)
            (root / f'SIRST/BBox/{name}.xml').write_text(voc_xml([]))
            content.append(dict(img_id=name, img_path=str(root / f'PNGImages/{name}.png'), gt_boxes=[]))
    halves, words = halves_of([content])
    assert words == '4 recordings among 8 frames, by their names and near-duplicates'
    assert (halves[0][::2] == halves[0][1::2]).all()
    groups = tmp_path / 'groups.txt'
    groups.write_text('Misc_0 Misc_7 Misc_3\nMisc_1 Misc_2 Misc_4\nMisc_5\nMisc_6\n')
    halves, words = halves_of([content], str(groups))
    assert words == '4 recordings among 8 frames, as groups.txt says'
    assert len({halves[0][i] for i in (0, 7, 3)}) == len({halves[0][i] for i in (1, 2, 4)}) == 1
    groups.write_text('Misc_0\n')
    with pytest.raises(InputError, match=r'groups.txt: the frame Misc_1 is in none of its groups: give'):
        halves_of([content], str(groups))


# --- The tool ---------------------------------------------------------------------------------------------------------


def test_it_prints_and_writes_what_a_config_takes(tmp_path, capsys):
    paths = [write(tmp_path / 'dense.json', images(boxes(800, 1))),
             write(tmp_path / 'sparse.json', images(boxes(300, 2), prefix='Q'))]
    out = tmp_path / 'out.json'
    assert load_tool('analysis/calibrate.py').main([*paths, '--out', str(out), '--precision', '0.8']) == 0
    report, printed = json.loads(out.read_text()), capsys.readouterr().out
    option = next(line for line in printed.splitlines() if line.startswith('--cfg-options '))
    text = option.removeprefix('--cfg-options ').strip("'")
    assert parse_options([text]) == {'model.test_cfg.calibration': report['calibration']}
    assert fault_of(report['calibration']) is None and report['precision'] == 0.8
    for one, source in zip(report['files'], paths, strict=True):
        judged = tool.read_source(source).boxes
        assert one['raw']['error'] == reliability(judged.scores, judged.is_right).error
        assert one['raw']['error'] > 0.1 > one['cross_fitted']['error'] >= 0 and one['fitted']['error'] < 0.08
    assert 'by their names alone, since frames are not here' in printed and f'≥ {report["calibration"]["likely"]:g}'


def test_a_box_is_mapped_by_what_was_fitted_without_its_recording():
    files = [images(boxes(400, 1))]
    halves, _ = halves_of(files)
    sources = [tool.Source('a', files[0], boxes(400, 1))]
    scores, = tool.cross_fit(sources, halves)
    for side in (0, 1):
        others = halves[0] != side
        apart = tool.fit([Judged(*(values[others] for values in sources[0].boxes))])
        own = ~others
        np.testing.assert_array_equal(scores[own], tool.apply(apart, sources[0].boxes.scores[own]))


def test_what_it_refuses_is_one_line(tmp_path, capsys):
    calibrated = "model = dict(test_cfg=dict(calibration=dict(scores=[0.5], shares=[0.6])))"
    right = boxes(20, share=lambda scores: np.ones_like(scores))
    for name, content, more, message in [
            ('a', images(boxes(50)), dict(resolved_config=calibrated), 'its scores are calibrated already; test again'),
            ('b', images(right), {}, 'right and wrong ones are needed'), ('c', [], {}, '0 boxes of a score of 0.1'),
            ('d', [dict(img_id='x')], {}, 'it has no boxes of its images')]:
        with pytest.raises(SystemExit, match='2'):
            load_tool('analysis/calibrate.py').main([write(tmp_path / f'{name}.json', content, **more)])
        error = capsys.readouterr().err.splitlines()
        assert len(error) == 1 and message in error[0], error
    raw = calibrated.replace('dict(scores=[0.5], shares=[0.6])', 'False')
    assert tool.read_source(write(tmp_path / 'e.json', images(boxes(50)), resolved_config=raw))
