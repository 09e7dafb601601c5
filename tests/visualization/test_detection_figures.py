"""Figures of detection curves, and the tool that draws them, on results that the test writes."""
import json

import numpy as np
import pytest
from conftest import load_tool
from matplotlib.figure import Figure

from bafenet.errors import InputError
from bafenet.evaluation.detection_curves import numbers
from bafenet.visualization import detection_figures

TRUTH = [[10, 10, 14, 14], [30, 30, 33, 33], [50, 10, 56, 16]]


def results(found=(0, 1), alarms=2, frames=4, **others):
    """Targets that are found exactly, with falling scores, and as many false alarms in the sky and out of it."""
    boxes = [TRUTH[i] for i in found] + [[80 + 9 * i, 80, 84 + 9 * i, 84] for i in range(alarms)]
    scores = [0.9 - 0.1 * i for i in range(len(found))] + [0.5] * alarms
    in_sky = [True] * len(found) + [i % 2 == 0 for i in range(alarms)]
    return dict(split='Splits/val_v2.txt', images=[
        dict(img_id=str(i), img_path=f'/none/{i}.png', boxes=boxes, scores=scores, labels=[0] * len(boxes),
             in_sky=in_sky, gt_boxes=TRUTH, gt_labels=[0] * 3) for i in range(frames)], **others)


def write(path, content):
    path.write_text(json.dumps(content))
    return str(path)


def axes():
    return Figure().subplots()


def test_lines_are_the_numbers():
    runs = {'a': numbers(results()), '$_b': numbers(results((0, ), 4))}
    drawn = axes()
    detection_figures.draw_precision_recall(drawn, runs, 0.5)
    for line, one in zip(drawn.lines, runs.values(), strict=True):
        curve = one.precision_recall[0.5]
        assert np.array_equal(line.get_xydata(), np.column_stack((curve.recall, curve.precision)))
    assert [text.get_text() for text in drawn.get_legend().get_texts()] == ['a: mAP_12 0.667', '$_b: mAP_12 0.333']
    assert len({line.get_linestyle() for line in drawn.lines}) == len({line.get_color() for line in drawn.lines}) == 2


def test_false_alarms_have_a_logarithmic_axis_whose_left_end_is_none():
    drawn = axes()
    detection_figures.draw_false_alarms(drawn, {'a': numbers(results())}, 'sky')
    assert drawn.get_xscale() == 'log' and drawn.get_xlim()[0] == 0.5 / 4
    x, y = drawn.lines[0].get_data()
    assert x == pytest.approx([0.125, 0.125, 1]) and y == pytest.approx([1 / 3, 2 / 3, 2 / 3])


def test_bins_say_how_many_targets_they_have_and_are_drawn_with_their_interval():
    drawn = axes()
    run = numbers(results(), score=0.3)
    detection_figures.draw_recall_by(drawn, {'a': run}, 'size')
    assert [text.get_text() for text in drawn.get_xticklabels()] == ['3–3.5', '4–5', '5–7']
    assert [text.get_text() for text in drawn.texts] == ['4', '4', '4']
    assert drawn.lines[0].get_ydata() == pytest.approx([1, 1, 0])
    bars = [segment for collection in drawn.collections for segment in collection.get_segments()]
    low, high = (ends[np.isfinite(ends)] for ends in run.recall_by['size'].interval())
    assert np.array(bars)[:, :, 1] == pytest.approx(np.column_stack((low, high)))



def test_reliability_is_drawn_with_its_intervals_and_a_run_without_boxes_says_so():
    drawn, run, empty = axes(), numbers(results()), numbers(results(found=(), alarms=0))
    detection_figures.draw_reliability(drawn, {'a': run, 'b': empty})
    bins = run.reliability
    # Four frames of a box of 0.9, one of 0.8 and two false alarms of 0.5; in ten bins.
    assert bins.counts.sum() == 16 and bins.error == pytest.approx((8 * 0.5 + 4 * 0.1 + 4 * 0.2) / 16, abs=0.02)
    assert any(np.array_equal(line.get_xydata(), np.column_stack((bins.scores, bins.shares))) for line in drawn.lines)
    texts = [text.get_text() for text in drawn.get_legend().get_texts()]
    assert texts == [f'a: error {bins.error:.3f}', 'b: no box'] and empty.reliability is None
    bars = [segment for collection in drawn.collections for segment in collection.get_segments()]
    assert np.array(bars)[:, :, 1] == pytest.approx(np.column_stack((bins.low, bins.high)))


@pytest.mark.faults
def test_the_tool_draws_runs_and_writes_numbers(tmp_path, capsys):
    files = [write(tmp_path / 'a.json', results()), write(tmp_path / 'b.json', results((0, 1, 2)))]
    out, written = tmp_path / 'out.svg', tmp_path / 'numbers.json'
    assert load_tool('analysis/detection_curves.py').main(
        [*files, '--out', str(out), '--labels', r'$\frac{', '<i>', '--json', str(written), '--size-edges', '0', '5',
         '--panels', 'alarms_other', 'size', 'contrast']) == 0
    content = json.loads(written.read_text())['runs']
    assert [content[label]['precision_recall']['0.5']['mAP_12'] for label in (r'$\frac{', '<i>')] == pytest.approx(
        [2 / 3, 1])
    assert content['<i>']['recall_by']['size']['targets'] == [8, 4]
    assert 'frames are not here' in content['<i>']['notes'][0]
    assert '<i>' not in out.read_text() and out.stat().st_size > 20_000


def test_panels_that_no_run_knows_are_left_out_and_noted():
    run = numbers(results())
    figure = detection_figures.figure({'a': run}, columns=3)
    # Six panels and the key, in three rows; contrast and frame size are not known.
    assert sum(axes.axison for axes in figure.axes) == 6 and len(figure.axes) == 9
    assert any('frames are not here' in text.get_text() for text in figure.axes[6].texts)
    with pytest.raises(InputError, match='nothing to draw: a: 4 of 4 frames are not here'):
        detection_figures.figure({'a': run}, ['contrast'])


@pytest.mark.parametrize(('unmapped', 'titles'), [
    (range(4), ['all false alarms']),
    (range(1), ['false alarms in the sky', 'false alarms out of the sky', 'all false alarms']),
    ((), ['false alarms in the sky', 'false alarms out of the sky'])])
def test_frames_without_a_sky_map_are_drawn_in_all_false_alarms(unmapped, titles):
    content = results()
    for number in unmapped:
        del content['images'][number]['in_sky']
    figure = detection_figures.figure({'a': numbers(content)})
    assert [axes.get_title() for axes in figure.axes if 'alarms' in axes.get_title()] == [
        f'{title}, IoU 0.5' for title in titles]


def test_refusals(tmp_path):
    first, fewer = write(tmp_path / 'a.json', results()), write(tmp_path / 'b.json', results(frames=3))
    out = str(tmp_path / 'out.png')
    with pytest.raises(InputError, match='a and b were tested on different frames'):
        detection_figures.draw([first, fewer], out)
    with pytest.raises(InputError, match='a, a are not all different'):
        detection_figures.draw([first, first], out)
    wrong = write(tmp_path / 'c.json', results(metrics={'densesirst/mAP_12': 0.9}))
    with pytest.raises(InputError, match=r'c\.json: its boxes give an mAP_12 of 0\.666667'):
        detection_figures.draw([wrong], out)
    with pytest.raises(InputError, match='end in .png, .svg or .pdf'):
        detection_figures.draw([first], 'out.gif')
    assert not (tmp_path / 'out.png').exists()
    runs = detection_figures.draw([first, fewer], out, different_splits=True, panels=['size'])
    assert [one.frames for one in runs.values()] == [4, 3]


def test_the_tool_offers_the_panels_that_there_are():
    offered = load_tool('analysis/detection_curves.py').PANELS
    assert list(offered) == list(detection_figures.PANELS)
