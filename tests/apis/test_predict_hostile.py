"""``bafenet predict`` on odd names, odd frames, odd lists, and folders that are in use or in one another."""
import csv
import json
import os
import subprocess
import sys
from multiprocessing import get_context

import cv2
import numpy as np
import pytest
import tifffile
from conftest import ROOT, load_tool

from bafenet import fileio
from bafenet.apis.predict import predict

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 60, (40, 64), dtype=np.uint8)
NAMES = ('two\nlines.png', '-dash.png', '--out.png', 'a "b", c;.png', '\x1b[31mred.png', '[x]*.png', '#1.png',
         'ü 日本.png', os.fsdecode(b'\xff.png'))


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write_png(name: str, image: np.ndarray = GREY) -> str:
    os.makedirs(os.path.dirname(name) or '.', exist_ok=True)
    with open(name, 'wb') as file:
        file.write(cv2.imencode('.png', image)[1].tobytes())
    return name


def call(*arguments) -> int:
    try:
        return load_tool('predict.py').main([str(argument) for argument in arguments])
    except SystemExit as end:
        return end.code


def results(out: str) -> dict:
    with open(f'{out}/predictions.json', encoding='utf-8') as file:
        return json.load(file)


@pytest.mark.faults
def test_odd_names_and_a_list_from_another_system(capsys):
    for name in NAMES:
        write_png(name)
    listed = [name for name in NAMES if '\n' not in name]
    lines = ['\r\n', *(f'{name}\r\n' for name in listed), '\n', f'{listed[0]}\n', '  \n'.strip(' '), listed[-1]]
    summary = predict(['-', NAMES[0]], out='out', pictures=True, sky_maps=True, score=0.0, lines=lines)
    assert (summary.frames, summary.skipped) == (len(NAMES), [])
    content = results('out')
    assert [image['file_name'] for image in content['images']] == [*listed, NAMES[0]]
    for image in content['images']:
        assert os.path.isfile(f'out/{image["picture"]}') and os.path.isfile(f'out/{image["sky_map"]}')
    with open('out/detections.csv', encoding='utf-8', errors='surrogateescape', newline='') as file:
        assert {row['frame'] for row in csv.DictReader(file)} == set(NAMES)
    assert '\x1b' not in capsys.readouterr().err


def test_odd_frames_are_predicted_or_skipped(capsys):
    frames = [np.full((1, 1), 9, np.uint16), GREY[:1], GREY[:, :1].astype(np.int16) - 50, GREY[:3, :3].astype('>f8'),
              np.full((40, 64), np.nan, np.float32), np.where(GREY > 30, np.inf, GREY).astype(np.float16),
              np.dstack([GREY] * 3).astype(np.uint32), np.zeros((2, 2000), np.uint8)]
    files = []
    for number, frame in enumerate(frames):
        files.append(f'{number}.npy')
        np.save(files[-1], frame)
    with open('empty.mp4', 'wb') as file:
        file.write(b'\0\0\0\x14ftypisom\0\0\2\0isom\0\0\0\x08mdat')
    np.save('objects.npy', np.array([{}]), allow_pickle=True)
    os.mkfifo('pipe.png')
    os.symlink('itself.png', 'itself.png')
    tifffile.imwrite('bands.tif', np.zeros((40, 64, 7), np.uint16), photometric='minisblack', planarconfig='contig')
    open('nothing.png', 'w').close()
    bad = ['empty.mp4', 'objects.npy', 'pipe.png', 'itself.png', 'bands.tif', 'nothing.png', '/dev/null']
    # Five of one size would be a batch; what lies between must not be lost.
    assert call(*files, *bad, *files[:2], '--out', 'out', '--pictures', '--batch', 5) == 3
    content = results('out')
    assert [image['file_name'] for image in content['images']] == files
    assert [skipped['file_name'] for skipped in content['skipped']] == bad
    assert all(skipped['file_name'] in skipped['reason'] for skipped in content['skipped'])
    assert [(image['height'], image['width']) for image in content['images']] == [frame.shape[:2] for frame in frames]
    assert all(os.path.isfile(f'out/{image["picture"]}') for image in content['images'])
    assert 'Traceback' not in capsys.readouterr().err


@pytest.mark.faults
def test_folders_in_one_another(capsys):
    write_png('frames/a.png')
    write_png('frames/b.png')
    assert call('frames', '--out', 'frames') == 2
    assert 'frames: is the folder of the frames and that of the results too' in capsys.readouterr().err
    assert not os.path.exists('frames/settings.json')
    for _ in range(2):  # pictures of the first call are no frames of the second
        assert call('frames', 'frames/**/*.png', '--out', 'frames/out', '--pictures') == 0
        assert [image['file_name'] for image in results('frames/out')['images']] == ['frames/a.png', 'frames/b.png']
    assert '(2 of an earlier call)' in capsys.readouterr().out
    os.remove('frames/out/pictures/a.png')
    assert call('frames', '--out', 'frames/out', '--pictures') == 0
    assert '(1 of an earlier call)' in capsys.readouterr().out and os.path.isfile('frames/out/pictures/a.png')


@pytest.mark.faults
def test_one_shard_and_more_shards_than_frames():
    write_png('a.png')
    assert call('a.png', '--out', 'one', '--shard', '1/1') == 0
    for number in (3, 1, 2):
        assert not os.path.exists('many/predictions.json')
        assert call('a.png', '--out', 'many', '--shard', f'{number}/3') == 0
    for out in ('one', 'many'):
        assert [image['file_name'] for image in results(out)['images']] == ['a.png']
    assert results('one')['annotations'] == results('many')['annotations']


def _hold(folder: str, ready, done) -> None:
    with fileio.owned(folder):
        ready.set()
        done.wait(60)


@pytest.mark.faults
def test_a_second_process_is_kept_away(monkeypatch, capsys):
    write_png('a.png')
    monkeypatch.setattr(fileio.owned.__wrapped__, '__defaults__', (0.1, ))
    context = get_context('fork')
    ready, done = context.Event(), context.Event()
    other = context.Process(target=_hold, args=('out', ready, done))
    other.start()
    try:
        assert ready.wait(60)
        assert call('a.png', '--out', 'out') == 2
    finally:
        done.set()
        other.join()
    assert 'out: another process is writing to this folder' in capsys.readouterr().err
    assert call('a.png', '--out', 'out') == 0


@pytest.mark.faults
@pytest.mark.parametrize('seconds', [0.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0])
def test_an_interrupt_at_any_moment(seconds):
    for number in range(30):
        write_png(f'frames/{number}.png', RNG.integers(0, 60, (96, 128), dtype=np.uint8))
    command = [sys.executable, str(ROOT / 'tools/predict.py'), 'frames', '--out', 'out', '--pictures', '--sky-maps']
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    running = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        running.wait(seconds)
    except subprocess.TimeoutExpired:
        running.send_signal(2)
    _, errors = running.communicate(timeout=120)
    # Before the tool has taken over, Python itself ends by the signal.
    assert running.returncode in (0, 130, -2), errors
    if running.returncode == 130:
        assert errors.splitlines()[-1] == 'interrupted: call it again to go on'
    assert subprocess.run(command, env=environment, capture_output=True).returncode == 0
    assert len(results('out')['images']) == len(os.listdir('out/pictures')) == len(os.listdir('out/sky')) == 30
