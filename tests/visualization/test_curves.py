"""Training curves from logs that the test writes."""
import json
import os

import cv2
import numpy as np
import pytest
from conftest import load_tool

from bafenet.engine.options import load_config
from bafenet.errors import InputError
from bafenet.visualization import curves, run_styles, visualizer
from bafenet.visualization.curves import draw, find_log, read_scalars


def write_log(folder, started, values, metrics=()):
    file = folder / started / 'vis_data/scalars.json'
    file.parent.mkdir(parents=True)
    lines = [dict(base_lr=1.0, lr=10.0**-(i + 1), data_time=1, loss=value, loss_cls=value / 2, step=25 * (i + 1))
             for i, value in enumerate(values)]
    lines += [{'densesirst/mAP_12': value, 'densesirst/precision': 1, 'count/error': 2, 'time': 1, 'step': epoch}
              for epoch, value in metrics]
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
    assert series['lr'].tolist() == [[25, 0.1], [50, 0.01], [75, 0.001]]
    assert series['base_lr'].tolist() == [[25, 1], [50, 1], [75, 1]]
    assert sorted(series) == ['base_lr', 'count/error', 'loss', 'loss_cls', 'lr', 'mAP_12', 'precision']


def titles(figure):
    return [axes.get_title() for axes in figure.axes]


def test_metrics_are_chosen_by_name(tmp_path):
    series = {'a': read_scalars(write_log(tmp_path, 'a', [4, 2], [(3, 0.5)]))}
    losses = ['loss', 'loss_cls', 'learning rate: d · lr, and thinly lr']
    assert titles(curves.figure(series)) == [*losses, 'mAP_12']
    assert titles(curves.figure(series, ['all'])) == [*losses, 'mAP_12', 'count/error', 'precision']
    assert titles(curves.figure(series, ['densesirst/precision', 'precision'])) == [*losses, 'precision']
    assert titles(curves.figure(series, ['none'])) == losses
    with pytest.raises(InputError, match=r'--metrics f1: not in the log; it holds count/error, mAP_12, precision'):
        curves.figure(series, ['f1'])
    with pytest.raises(InputError, match='no metric, for the run was not validated'):
        curves.figure({'b': read_scalars(write_log(tmp_path, 'b', [4]))}, ['mAP_12'])


def rates(estimate, factor):
    steps = np.arange(1, 1 + len(estimate))
    return {'lr': np.column_stack([steps, np.multiply(estimate, factor)]),
            'base_lr': np.column_stack([steps, factor])}


def test_an_estimated_learning_rate_is_drawn_with_its_factor_on_a_logarithmic_axis():
    for one, lines in ((rates([1e-6, 1e-4, 2e-4], [1., 1, .1]), 2), (rates([.5, .5, .5], [1., .7, .1]), 1)):
        figure = curves.Figure()
        axes = figure.subplots()
        curves.draw_series(axes, {'run': one}, 'lr')
        assert len(axes.lines) == lines and axes.get_yscale() == 'log'
        assert np.array_equal(axes.lines[0].get_xydata(), one['lr'])
        assert ('d · lr' in axes.get_title()) == (lines == 2)


def test_styles_differ_without_colours():
    styles = [run_styles.style(number) for number in range(len(run_styles.DASHES))]
    assert len({(str(one['linestyle']), one['marker']) for one in styles}) == len({one['color'] for one in styles}) == 7


@pytest.mark.faults
def test_a_figure_is_the_same_bytes_again(tmp_path):
    run = str(write_log(tmp_path, 'a', [4, 2]))
    for name in ('x.svg', 'y.svg'):  # the format whose parts have names
        draw([run], str(tmp_path / name), labels=['run'])
    assert (tmp_path / 'x.svg').read_bytes() == (tmp_path / 'y.svg').read_bytes()


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


LINE = '{"loss": 1.5, "step": 25}\n'


@pytest.mark.parametrize(('line', 'message'), [
    ('{"loss": NaN, "step": 1}', 'line 2: a value is not finite'), ('{"loss": 1e999, "step": 1}', '1e999'),
    ('{"loss": -Infinity, "step": 1}', 'line 2: a value is not finite'),
    ('{"loss": "1", "step": 1}', 'line 2: loss must'),
    ('{"loss": [1], "step": 1}', 'loss must be a number'), ('{"loss": {"a": 1}, "step": 1}', 'loss must be a number'),
    ('{"loss": null, "step": 1}', 'loss must be a number'), ('{"loss": true, "step": 1}', 'loss must be a number'),
    ('{"loss": 1, "step": "1"}', 'step must be a number'), ('{"loss": 1, "step": -1}', 'step must be a number'),
    ('{"loss": 1, "step": [1]}', 'step must be a number'), ('5', 'line 2: it must be an object'), ('', 'line 2: '),
    ('null', 'an object'), ('{"loss": 1, "loss": 2, "step": 1}', 'loss stands there twice'),
    ('{"loss": 1, "st', 'line 2'), ('{"densesirst/mAP_12": "\\u001b[31m", "step": 1}', 'mAP_12 must'),
    ('{"lo\x1bss": 1, "step": 1}', 'line 2'), ('{"loss": %s, "step": 1}' % ('9' * 5000), 'line 2: '),
    ('[' * 100_000, 'nested too deeply'), ('{"loss": 1e40, "step": 1}', 'loss must be a number')])
def test_a_line_that_no_training_wrote_is_named(tmp_path, line, message):
    file = tmp_path / 'scalars.json'
    file.write_text(LINE + line + '\n' + LINE)
    with pytest.raises(InputError, match=message) as caught:
        draw([str(file)], str(tmp_path / 'curves.png'))
    assert str(file) in str(caught.value) and str(caught.value).isprintable()
    assert not (tmp_path / 'curves.png').exists()


def test_logs_that_are_no_text_or_no_file_are_refused(tmp_path):
    file = tmp_path / 'run/a/vis_data/scalars.json'
    file.parent.mkdir(parents=True)
    for spoil in (lambda: file.write_bytes(LINE.encode('utf-16')), lambda: (file.unlink(), os.mkfifo(file)),
                  lambda: (file.unlink(), file.mkdir()), lambda: (file.rmdir(), file.symlink_to('/dev/zero'))):
        spoil()
        with pytest.raises(InputError, match='not a training log'):
            draw([str(tmp_path / 'run')], str(tmp_path / 'curves.png'))


@pytest.mark.faults
@pytest.mark.parametrize('suffix', ['png', 'svg'])
def test_names_are_no_formulas_and_no_label_is_left_out(tmp_path, suffix):
    runs, out = [], tmp_path / f'out.{suffix}'
    for name in ('a', 'b', 'c'):
        write_log(tmp_path / name, '20260101_000000', [3, 2])
        file = tmp_path / name / '20260101_000000/vis_data/scalars.json'
        file.write_text(file.read_text().replace('"loss_cls"', r'"loss_$\\frac{"'))
        runs.append(str(tmp_path / name))
    labels = [r'$\frac{1}{', '_hidden', '<b>\x1b[31m</b>']
    draw(runs, str(out), labels=labels)
    assert out.stat().st_size > 5000
    legend = curves.figure({label: read_scalars(find_log(run)) for label, run in zip(labels, runs, strict=True)}
                           ).axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == [labels[0], labels[1], r'<b>\x1b[31m</b>']


def test_two_runs_of_one_name_are_not_drawn_as_one(tmp_path):
    for parent in ('a', 'b'):
        write_log(tmp_path / parent / 'run', '20260101_000000', [3, 2])
    runs = [str(tmp_path / parent / 'run') for parent in ('a', 'b')]
    with pytest.raises(InputError, match='--labels: run, run are not all different'):
        draw(runs, str(tmp_path / 'curves.png'))


def test_arguments_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(InputError, match='no training log here'):
        draw([str(tmp_path)], 'curves.png')
    with pytest.raises(InputError, match='end in .png, .svg or .pdf'):
        draw([str(tmp_path)], 'curves.txt')
    with pytest.raises(InputError, match='2 for 1 runs'):
        draw([str(write_log(tmp_path, 'a', [1]))], 'curves.png', labels=['a', 'b'])


def test_tensorboard_is_one_switch_and_says_what_to_install(monkeypatch):
    built = []
    monkeypatch.setattr(visualizer.DetLocalVisualizer, '__init__',
                        lambda self, name, image, vis_backends, **kwargs: built.append(vis_backends))
    local, board = dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')
    monkeypatch.setattr(visualizer, 'find_spec', lambda name: object())
    for given, switch, expected in (([local], True, [local, board]), ([local], False, [local]),
                                    ([board], True, [board]), (None, False, None)):
        visualizer.SkyLocalVisualizer('a', vis_backends=given, tensorboard=switch)
        assert built.pop() == expected
    monkeypatch.setattr(visualizer, 'find_spec', lambda name: None)
    for given, switch in (([local], True), ([local, board], False)):
        with pytest.raises(InputError, match='TensorBoard is not installed: pip install tensorboard'):
            visualizer.SkyLocalVisualizer('b', vis_backends=given, tensorboard=switch)
    with pytest.raises(InputError, match='tensorboard=1 must be True or False'):
        visualizer.SkyLocalVisualizer('c', tensorboard=1)
    cfg = load_config('configs/demo/bafenet_r18_demo.py', ['visualizer.tensorboard=True'])
    assert cfg.visualizer.tensorboard is True and cfg.visualizer.vis_backends == [local]
