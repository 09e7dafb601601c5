"""The table of the backends: each in turn on the same frames, ratios to the baseline, boxes compared."""
import numpy as np
import pytest

from bafenet.analysis import backend_benchmark
from bafenet.analysis.backend_benchmark import (
    BACKENDS,
    benchmark_backends,
    made_frames,
    print_backends,
    same_boxes,
)
from bafenet.errors import InputError


def test_same_boxes_is_the_share_of_pairs():
    boxes = np.array([[0, 0, 4, 4], [10, 10, 14, 14], [20, 20, 24, 24]], np.float32)
    moved = boxes + np.array([[1, 0, 1, 0], [0, 0, 0, 0], [3, 3, 3, 3]], np.float32)  # IoU 0.6, 1 and 1/31
    assert same_boxes([(boxes, boxes)]) == 1
    assert same_boxes([(boxes, moved)]) == pytest.approx(2 * 2 / 6)
    assert same_boxes([(boxes, moved[:1]), (boxes[:0], moved[:1])]) == pytest.approx(2 * 1 / 5)
    assert same_boxes([(boxes[:0], boxes[:0])]) is None


def test_made_frames_have_the_shape_and_are_the_same_each_time():
    one, other = (list(made_frames((96, 130), 2)) for _ in range(2))
    assert [frame.shape for frame in one] == [(96, 130)] * 2 and one[0].dtype == np.uint8
    assert all(np.array_equal(*pair) for pair in zip(one, other, strict=True)) and not np.array_equal(*one)


def test_results_are_of_the_times_and_of_the_frames():
    box = np.array([[0, 0, 3, 3]], np.float32)
    sky, ground = np.ones((2, 2), np.uint8), np.zeros((2, 2), np.uint8)
    times = dict(baseline=[0.2, 0.2, 0.4], torch=[0.1, 0.1, 0.1], int8=[0.05, 0.04, 0.06])
    found = dict(baseline={0: (box, sky)}, torch={0: (box, sky)}, int8={0: (box[:0], ground)})
    result = {name: backend_benchmark._result(name, times, found) for name in times}
    assert [result[name]['ratio'] for name in times] == pytest.approx([1, 2, 4])
    assert result['int8']['frames_per_second'] == pytest.approx(20)
    assert (result['torch']['same_boxes'], result['torch']['same_sky']) == (1, 1)
    assert (result['int8']['same_boxes'], result['int8']['same_sky']) == (0, 0)


def test_an_unknown_backend_is_refused():
    with pytest.raises(InputError, match='tensorrt'):
        benchmark_backends(backends=['torch', 'tensorrt'])


@pytest.mark.faults
def test_all_backends_run_in_turn(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(backend_benchmark, 'PAUSE_S', 0)
    monkeypatch.setattr(backend_benchmark, 'CALIBRATION', 8)
    monkeypatch.setattr(backend_benchmark, 'split_files', lambda *_: [])
    names = [name for name in BACKENDS if name != 'bf16']  # emulated, it takes minutes
    results = benchmark_backends(backends=names, shape=(96, 128), images=3, threads=1)
    assert results['frames'] == '3 made scenes' and list(results['backends']) == names
    for name, result in results['backends'].items():
        assert result['runs'] == 3 and result['median_ms'] > 0
        assert result['same_sky'] > 0.97, name
    assert results['backends']['torch']['same_boxes'] in (1, None)
    print_backends(results)
    assert 'int8' in capsys.readouterr().out
