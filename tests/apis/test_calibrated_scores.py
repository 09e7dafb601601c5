"""Calibrated scores: the checkpoint, its ONNX files, tiles and thresholds agree; ``predict`` gives likely targets."""
import json

import cv2
import numpy as np
import onnxruntime
import pytest
import torch
from conftest import load_tool
from onnx_networks import frames_of, write_network

import bafenet
from bafenet.errors import InputError
from bafenet.release.onnx_build import Trained, build_onnx
from bafenet.release.onnx_export import export_onnx

MAP = dict(scores=[0.05, 0.1, 0.17], shares=[0.01, 0.3, 0.9], likely=0.5)


def mapped(scores, calibration=MAP):
    return np.interp(scores, [0, *calibration['scores'], 1], [0, *calibration['shares'], 1])


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """A network without and with a map, and ONNX files of the latter; the threshold of two is so low that all pass."""
    folder = tmp_path_factory.mktemp('networks')
    settings = {'raw': dict(score_thr=0.27), 'own': dict(score_thr=0.27, calibration=MAP), 'raw open': {},
                'own open': dict(calibration=MAP)}
    found = {name: write_network('hr_tiny', folder / f'{name}.pth', nms_pre=300, **more)
             for name, more in settings.items()}
    for name, source, nms in (('candidates', 'own', False), ('nms', 'own open', True), ('strict', 'own', True)):
        found[name] = folder / f'{name}.onnx'
        found[name].write_bytes(build_onnx(Trained.read(str(found[source])), nms=nms))
    return found


@pytest.fixture(scope='module')
def loaded(files):
    return {name: bafenet.load(file) for name, file in files.items()}


FRAMES = list(frames_of(2, 75, 101, 1))


def assert_mapped(result, raw, precision=1e-6):
    """The boxes of a raw result with mapped scores."""
    assert len(raw) > 3
    np.testing.assert_allclose(result.boxes, raw.boxes, rtol=0, atol=1e-4)
    np.testing.assert_allclose(result.scores, mapped(raw.scores), rtol=0, atol=precision)


@pytest.mark.parametrize('name', ['own', 'candidates', 'nms'])
def test_checkpoint_and_onnx_files_give_the_same_boxes_with_mapped_scores(loaded, name):
    for frame in FRAMES:
        raw = loaded['raw open' if name == 'nms' else 'raw'](frame)
        assert raw.scores.min() < 0.17 < raw.scores.max()
        # The map is up to nine times as steep as the differences between the programs.
        assert_mapped(loaded[name](frame), raw, 1e-6 if name == 'own' else 1e-4)


@pytest.mark.parametrize('name', ['own', 'candidates'])
def test_tiles_are_merged_by_the_networks_own_scores(loaded, name):
    frame = frames_of(1, 128, 832, 1, seed=3)[0]
    assert_mapped(loaded[name](frame, tile=512), loaded['raw'](frame, tile=512), 1e-6 if name == 'own' else 1e-4)


@pytest.mark.parametrize('name', ['own', 'candidates'])
@pytest.mark.parametrize('score', [0, 0.3, 0.5, 0.7, 0.99])
def test_a_score_that_is_asked_for_is_a_calibrated_one_and_loses_nothing(loaded, name, score):
    # Of all that the network gives, whatever its threshold for the class score.
    everything = loaded['raw'](FRAMES[0], score=0, max_detections=300)
    assert len(everything) > len(loaded['raw'](FRAMES[0], max_detections=300)) > 3
    wanted = np.sort(mapped(everything.scores))[::-1]
    found = loaded[name](FRAMES[0], score=score, max_detections=300)
    # Boxes within rounding of the threshold may come or go.
    assert abs(len(found) - (wanted >= score).sum()) <= (np.abs(wanted - score) < 1e-4).sum()
    np.testing.assert_allclose(np.sort(found.scores)[::-1], wanted[:len(found)], rtol=0, atol=1e-4)


def test_a_file_with_nms_inside_says_its_lowest_score_as_it_counts_there(loaded, files, tmp_path):
    own = json.loads(json.dumps(loaded['nms'].cfg.model.test_cfg.to_dict()))
    with pytest.raises(InputError, match=rf'above a score of {mapped(own["score_thr"]):g}: ask for no lower one'):
        loaded['nms'](FRAMES[0], score=0.001)
    with pytest.raises(InputError, match='has NMS inside, with calibration=.*, and False is asked for'):
        type(loaded['nms'].model)(str(files['nms']), dict(own, calibration=False))
    free = type(loaded['nms'].model)(str(files['candidates']), dict(own, calibration=False))
    assert free.bbox_head.test_cfg.calibration is False


def test_the_files_as_they_are(files, loaded):
    """With NMS inside scores are calibrated; candidates are the network's own, which NumPy maps as the page says."""
    raw = loaded['raw open'](FRAMES[0])
    outputs = {}
    for name in ('nms', 'candidates'):
        session = onnxruntime.InferenceSession(str(files[name]))
        names = [output.name for output in session.get_outputs()]
        outputs[name] = dict(zip(names, session.run(None, dict(frames=FRAMES[0][None])), strict=True))
    assert outputs['nms']['scores'].dtype == np.float32
    np.testing.assert_allclose(outputs['nms']['scores'], mapped(raw.scores), rtol=0, atol=1e-4)
    candidates = mapped(outputs['candidates']['scores'][0])
    assert np.abs(candidates[:, None] - outputs['nms']['scores']).min(axis=0).max() < 1e-5


@pytest.mark.parametrize('options', [{}, dict(nms=True), pytest.param(dict(nms=True, precision='float16'),
                                                                       marks=pytest.mark.faults)])
def test_an_export_with_a_map_passes_its_check(files, tmp_path, monkeypatch, options):
    monkeypatch.chdir(tmp_path)
    report = export_onnx(str(files['own']), 'a.onnx', **options)
    assert report['missing'] == 0 < report['boxes']


def test_an_export_that_maps_otherwise_fails_its_check(files, tmp_path, monkeypatch):
    from bafenet.release import onnx_nms
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(onnx_nms, 'calibrate', lambda scores, calibration: scores * 0.99)
    with pytest.raises(InputError, match='gives other results than PyTorch'):
        export_onnx(str(files['own']), 'a.onnx', nms=True)


def test_a_config_beside_a_checkpoint_leaves_it_its_map(files, tmp_path):
    config = tmp_path / 'mine.py'
    text = torch.load(files['raw'])['meta']['cfg']
    config.write_text(text)
    assert_mapped(bafenet.load(files['own'], config=config)(FRAMES[0]), bafenet.load(files['raw'])(FRAMES[0]))
    config.write_text(f"{text}\nmodel['test_cfg']['calibration'] = False\n")
    np.testing.assert_array_equal(bafenet.load(files['own'], config=config)(FRAMES[0]).scores,
                                  bafenet.load(files['raw'])(FRAMES[0]).scores)


# --- predict ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def call(tmp_path, monkeypatch, capsys, files):
    monkeypatch.chdir(tmp_path)
    for number, frame in enumerate(FRAMES):
        cv2.imwrite(f'{number}.png', frame)

    def run(*arguments, weights='own'):
        argv = ['0.png', '1.png', '--weights', str(files[weights]), *map(str, arguments)]
        try:
            status = load_tool('predict.py').main(argv)
        except SystemExit as end:
            status = end.code
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


def scores_in(folder):
    with open(f'{folder}/predictions.json') as file:
        return np.array([one['score'] for one in json.load(file)['annotations']])


@pytest.mark.parametrize('weights', ['own', 'nms'])
def test_predict_gives_likely_targets_by_default_and_all_on_demand(call, loaded, weights):
    status, printed, _ = call('--out', 'a', weights=weights)
    scores = scores_in('a')
    everything = [loaded['raw open'](frame, max_detections=100 if weights == 'nms' else 300) for frame in FRAMES]
    expected = mapped(np.concatenate([result.scores for result in everything]))
    assert status == 0 and len(scores) == (expected >= 0.5).sum() > 0 and scores.min() >= 0.5
    assert f'{len(scores)} of them at 0.5 or more' in printed
    assert 'boxes below a score of 0.5, which are no likely targets, were left out: --score 0 gives them too' in printed
    if weights == 'own':
        status, printed, _ = call('--out', 'b', '--score', 0)
        assert status == 0 and len(scores_in('b')) > len(scores) and 'left out' not in printed
        assert f'{(scores_in("b") >= 0.5).sum()} of them at 0.5 or more' in printed


def test_a_file_whose_threshold_is_higher_gives_what_it_gives(call, loaded):
    status, printed, _ = call('--out', 'a', weights='strict')
    assert status == 0 and len(scores_in('a')) == sum(len(loaded['raw'](frame)) for frame in FRAMES)
    assert 'left out' not in printed


def test_without_a_map_all_is_as_before(call, loaded):
    status, printed, _ = call('--out', 'a', weights='raw')
    expected = np.concatenate([loaded['raw'](frame, max_detections=300).scores for frame in FRAMES])
    np.testing.assert_allclose(scores_in('a'), expected, rtol=0, atol=1e-6)
    assert f'{(expected >= 0.3).sum()} of them at 0.3 or more' in printed and 'left out' not in printed


def test_a_folder_of_likely_targets_refuses_another_score(call):
    assert call('--out', 'a')[0] == 0
    status, printed, _ = call('--out', 'a')
    assert status == 0 and '(2 of an earlier call)' in printed
    assert call('--out', 'a', '--score', 0.5)[0] == 0  # the same, said
    status, _, errors = call('--out', 'a', '--score', 0.2)
    assert status == 2 and 'score=0.5, and now 0.2' in errors
