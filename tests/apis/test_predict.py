"""``bafenet predict``: inputs, files of results, going on, shards, pictures, and how it ends."""
import csv
import json
import os
import subprocess
import sys

import av
import cv2
import numpy as np
import pytest
import torch
from conftest import ROOT, load_tool
from mmdet.registry import MODELS
from onnx_networks import write_network
from PIL import Image

import bafenet
from bafenet.apis.predict import predict
from bafenet.devkit.frame_files import find_frame_files
from bafenet.engine.options import load_config
from bafenet.errors import InputError
from bafenet.release.onnx_export import export_onnx
from bafenet.visualization import draw_overlay

RNG = np.random.default_rng(0)


def scene(shift: int = 0) -> np.ndarray:
    image = RNG.integers(20, 40, (64, 96), dtype=np.uint8)
    image[44:] += 60
    for x in range(8, 90, 20):
        image[12:15, x + shift:x + shift + 3] = 200
    return image


def write_video(path, frames) -> None:
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('ffv1', rate=10)
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape, 'gray'
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format='gray')))
        container.mux(stream.encode())


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of frames of all kinds, one damaged and one file that is none, in the current folder."""
    monkeypatch.chdir(tmp_path)
    place = tmp_path / 'my frames'
    (place / 'sub').mkdir(parents=True)
    cv2.imwrite(str(place / 'a.b c.png'), scene())
    cv2.imwrite(str(place / 'ü.jpg'), scene(1))
    cv2.imwrite(str(place / 'sub/deep.tif'), scene(2).astype(np.uint16) * 16)
    np.save(place / 'stack.npy', np.stack([scene(i) for i in range(3)]).astype(np.float32))
    write_video(place / 'film.avi', [scene(i) for i in range(3)])
    (place / 'bad.png').write_bytes(b'\x89PNG\r\n')
    (place / 'notes.txt').write_text('no frame')
    return 'my frames'


def call(*arguments) -> int:
    try:
        return load_tool('predict.py').main([str(argument) for argument in arguments])
    except SystemExit as end:
        return end.code


def results(out='out') -> dict:
    return json.loads(open(f'{out}/predictions.json').read())  # noqa: SIM115


def test_a_folder_of_everything(folder, capsys):
    assert call(folder, '--out', 'out', '--pictures', '--sky-maps') == 3
    printed = capsys.readouterr()
    assert '9 frames, ' in printed.out and '1 file skipped' in printed.out
    assert ' ms a frame (median; 95 %' in printed.out
    assert 'skipped: my frames/bad.png: does not decode' in printed.err and 'notes.txt' in printed.err
    assert 'frames of more than 8 bits: 4 were brought to 8 by percentiles 0.1 and 99.9' in printed.err
    content = results()
    names = [image['file_name'] for image in content['images']]
    assert names == ['my frames/a.b c.png', *(f'my frames/film.avi#{i}' for i in range(3)),
                     *(f'my frames/stack.npy#{i}' for i in range(3)), 'my frames/ü.jpg', 'my frames/sub/deep.tif']
    assert [skipped['file_name'] for skipped in content['skipped']] == ['my frames/bad.png']
    assert [image['levels'] is None for image in content['images']] == [True] * 4 + [False] * 3 + [True, False]
    rows = list(csv.DictReader(open('out/detections.csv', encoding='utf-8')))  # noqa: SIM115
    assert len(rows) == len(content['annotations']) > 9 and list(rows[0]) == ['frame', 'x1', 'y1', 'x2', 'y2', 'score',
                                                                              'in_sky', 'class']
    for row, annotation in zip(rows, content['annotations'], strict=True):
        assert row['frame'] == names[annotation['image_id'] - 1] and row['in_sky'] == str(int(annotation['in_sky']))
        x, y, width, height = annotation['bbox']
        assert [float(row[key]) for key in ('x1', 'y1', 'x2', 'y2')] == [x, y, x + width, y + height]
    for image in content['images']:
        assert np.asarray(Image.open(f'out/{image["sky_map"]}')).shape == (64, 96)
    pictures = {image['picture'] for image in content['images']}
    assert pictures == {'pictures/a.b c.png', 'pictures/film.avi.mp4', 'pictures/ü.jpg.png',
                        'pictures/sub/deep.tif.png', *(f'pictures/stack.npy/00000{i}.png' for i in range(3))}
    with av.open('out/pictures/film.avi.mp4') as film:
        stream = film.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt, stream.average_rate) == ('h264', 'yuv420p', 10)
        assert len(list(film.decode(stream))) == 3
        height, width = draw_overlay(np.zeros((64, 96), np.uint8), sky=np.zeros((64, 96)), title='film.avi#0', insets=6,
                                     fixed_size=True).shape[:2]
        assert (stream.width, stream.height) == (width, height)
    data = open('out/pictures/film.avi.mp4', 'rb').read()  # noqa: SIM115
    assert data.index(b'moov') < data.index(b'mdat')  # a browser begins to play before all is there


def test_it_goes_on_where_it_was_stopped_and_settings_must_agree(folder, capsys):
    assert call(folder, '--out', 'out', '--score', '0.1') == 3
    before, text = results(), open('out/predictions.jsonl').read()  # noqa: SIM115
    lines = text.splitlines(keepends=True)
    open('out/predictions.jsonl', 'w').write(''.join(lines[:4]) + lines[4][:30])  # noqa: SIM115
    os.remove('out/predictions.json')
    assert call(folder, '--out', 'out', '--score', '0.1') == 3
    assert '(4 of an earlier call)' in capsys.readouterr().out
    assert results() == before
    assert call(folder, '--out', 'out', '--score', '0.2') == 2
    assert 'out: holds results with other settings (score=0.1, and now 0.2); give another' in capsys.readouterr().err
    # Another content under the same name is another frame; what is given alone is alone in the results.
    cv2.imwrite(f'{folder}/a.b c.png', np.zeros((64, 96), np.uint8))
    assert call(f'{folder}/a.b c.png', f'{folder}/sub', '--out', 'out', '--score', '0.1') == 0
    content = results()
    assert len(content['images']) == 2 and {one['image_id'] for one in content['annotations']} == {2}
    os.remove('out/settings.json')
    assert call(folder, '--out', 'out') == 2
    assert 'no settings.json' in capsys.readouterr().err


def test_a_video_that_was_stopped_gets_its_whole_picture(folder, monkeypatch):
    from bafenet.apis import pictures
    add, count = pictures._Film.add, []

    def fails(film, picture):
        count.append(1)
        if len(count) == 2:
            raise KeyboardInterrupt
        add(film, picture)

    monkeypatch.setattr(pictures._Film, 'add', fails)
    assert call(f'{folder}/film.avi', '--out', 'out', '--pictures') == 130
    assert not [name for name in os.listdir('out/pictures') if not name.startswith('.')]
    assert call(f'{folder}/film.avi', '--out', 'out', '--pictures') == 0
    with av.open('out/pictures/film.avi.mp4') as film:
        assert len(list(film.decode(video=0))) == 3
    assert len(results()['images']) == 3


@pytest.mark.faults
def test_shards_give_together_what_one_process_gives(folder):
    assert call(folder, '--out', 'out') == 3
    counts, statuses = [], []
    for shard in ('1/2', '2/2'):
        statuses.append(call(folder, '--out', 'both', '--shard', shard, '--pictures'))
        counts.append(len(results(f'both/shard-{shard[0]}-of-2')['images']))
    assert sum(counts) == 9 and min(counts) > 2 and sorted(statuses) == [0, 3]
    one, both = results(), results('both')

    def by_name(content):
        names = {image['id']: image['file_name'] for image in content['images']}
        return sorted((names[found['image_id']], found['bbox'], found['score']) for found in content['annotations'])

    assert by_name(one) == by_name(both) and one['skipped'] == both['skipped']
    assert sorted(open('out/detections.csv')) == sorted(open('both/detections.csv'))  # noqa: SIM115


def test_options(folder, capsys):
    frame = f'{folder}/a.b c.png'
    assert call(frame, '--out', 'a', '--max-detections', 2, '--sky-only', '--tile', 0) == 0
    assert len(results('a')['annotations']) <= 2 and all(one['in_sky'] for one in results('a')['annotations'])
    assert call(f'{folder}/sub/deep.tif', '--out', 'b', '--range', 0, 4080) == 0
    assert results('b')['images'][0]['levels'] == [0, 4080]
    assert 'from the range 0 to 4080' in capsys.readouterr().err
    for arguments, message in (
            (['absent.png'], 'absent.png: no such file'),
            ([frame, '--tile', 1000], 'tile is 1000; give a multiple of 64'),
            ([frame, '--shard', '5/4'], '--shard 5/4: give K/N'), ([frame, '--weights', 'absent'], 'absent'),
            ([frame, '--percentiles', 9, 1], 'percentiles is from 9'), ([frame, '--device', 'x'], 'device x cannot'),
            ([frame, '--range', 0, 1, '--percentiles', 0, 1], 'not allowed with'),
            ([frame, '--out', frame], 'is a file')):
        assert call('--out', 'c', *arguments) == 2
        assert message in capsys.readouterr().err.splitlines()[-1]
    assert not os.path.exists('c')
    with pytest.raises(InputError, match='there is no frame'):
        predict(['-'], out='c')


@pytest.mark.faults
def test_a_list_on_standard_input(folder):
    call_of_a_user = [sys.executable, str(ROOT / 'tools/predict.py'), '-', '--out', 'out']
    done = subprocess.run(call_of_a_user, input=f'{folder}/a.b c.png\n{folder}/ü.jpg\n', capture_output=True, text=True,
                          env=dict(os.environ, PYTHONPATH=str(ROOT)))
    assert done.returncode == 0, done.stderr
    assert [image['file_name'] for image in results()['images']] == [f'{folder}/a.b c.png', f'{folder}/ü.jpg']
    assert not [line for line in done.stderr.splitlines() if 'arning' in line]


def test_a_network_without_a_sky(folder, tmp_path, capsys):
    cfg = load_config(str(ROOT / 'configs/baselines/fcos_r18_densesirst.py'))
    cfg.model.backbone.init_cfg = None
    torch.save(dict(meta=dict(cfg=cfg.pretty_text, dataset_meta=dict(classes=('Target', ))),
                    state_dict=MODELS.build(cfg.model).state_dict()), 'fcos.pth')
    frame = f'{folder}/a.b c.png'
    for option in ('--sky-maps', '--sky-only'):
        assert call(frame, '--out', 'out', '--weights', 'fcos.pth', option) == 2
        assert 'this network segments no sky' in capsys.readouterr().err
    assert call(frame, '--out', 'free', '--weights', 'fcos.pth', '--score', 0, '--pictures') == 0
    row = open('free/detections.csv').read().splitlines()[1]  # noqa: SIM115
    assert row.endswith(',,Target') and results('free')['annotations'][0]['in_sky'] is None


def test_the_summary_counts_likely_targets_and_a_refusal_names_what_differs(folder, capsys):
    frame = f'{folder}/ü.jpg'
    assert call(frame, '--out', 'out', '--pictures', '--score', 0) == 0
    scores = [one['score'] for one in results()['annotations']]
    likely = bafenet.load('bafenet_hr_tiny').cfg.model.test_cfg.calibration.likely
    count = sum(score >= likely for score in scores)
    assert f'{len(scores)} detections, {count} of them at {likely:g} or more (Target ' in capsys.readouterr().out
    assert call(frame, '--out', 'out', '--score', 0.5) == 2
    assert '(score=0.0, and now 0.5; pictures=True, and now False; ' in capsys.readouterr().err


def test_a_list_may_begin_with_a_byte_order_mark(folder):
    for mark in ('\ufeff', b'\xef\xbb\xbf'.decode('ascii', 'surrogateescape')):
        assert find_frame_files(['-'], [f'{mark}{folder}/ü.jpg\r\n', f'{folder}/sub\n']).files == [
            f'{folder}/ü.jpg', f'{folder}/sub/deep.tif']


def test_a_file_with_nms_inside_takes_large_frames_whole(folder, capsys, tmp_path):
    export_onnx(str(write_network('hr_tiny', tmp_path / 'a.pth', nms_pre=300)), 'a.onnx', nms=True)
    for name in ('large.png', 'larger.png'):
        cv2.imwrite(name, np.pad(scene(), ((0, 0), (0, 1024))))
    assert call('large.png', 'larger.png', '--weights', 'a.onnx', '--out', 'out') == 0
    assert capsys.readouterr().err.count('larger than 1024 pixels were taken whole') == 1
    assert [image['width'] for image in results()['images']] == [1120, 1120]
    assert call('large.png', '--weights', 'a.onnx', '--tile', 0, '--out', 'b') == 0
    assert call('large.png', '--weights', 'a.onnx', '--tile', 1024, '--out', 'c') == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert '--tile 1024: a.onnx has NMS inside' in error and 'leave --tile out' in error
    assert not os.path.exists('c')
