"""The development set of SIRST-5K: what it is made of, the same at every call, gone on with, and bad input."""
import json
import shutil
from collections import Counter

import cv2
import numpy as np
import pytest
from densify_sources import contents
from scipy import ndimage

from bafenet.errors import InputError
from bafenet.synthesis import build_sirst5k as module
from bafenet.synthesis.build_sirst5k import Composition, build_sirst5k, plan

TARGETS = {'b': 2, 'a': 0, 'deep': 1, 'colour': 1}
SEED = 5
LEAST = 2 * 4 + 4 * 4


@pytest.fixture(scope='module')
def source(tmp_path_factory):
    """Four frames in the layout of NUDT-SIRST, and one that no list names. Not to be changed."""
    root, rng = tmp_path_factory.mktemp('source') / 'set', np.random.default_rng(0)
    for folder in ('images', 'masks', 'splits'):
        (root / folder).mkdir(parents=True)
    for name, count in {**TARGETS, 'other': 1}.items():
        image, mask = rng.integers(90, 102, (64, 96)).astype(np.uint8), np.zeros((64, 96), np.uint8)
        for number in range(count):
            y, x = 10 + 2 * number, 10 + 40 * number
            mask[y:y + 2, x:x + 3] = 255
            image[y:y + 2, x:x + 3] = rng.integers(180, 255, (2, 3))
        if name == 'deep':
            image = image.astype(np.uint16) * 256
        elif name == 'colour':
            image = np.dstack([image, image // 2, image])
        cv2.imwrite(str(root / 'images' / f'{name}.png'), image)
        # Labels that are 0 and 1 come out as 0 and 255.
        cv2.imwrite(str(root / 'masks' / f'{name}.png'), mask // (255 if name == 'colour' else 1))
    (root / 'splits/train.txt').write_text('\n'.join(TARGETS))
    return root


@pytest.fixture
def copy(source, tmp_path):
    """The source again, for a test that spoils it."""
    return shutil.copytree(source, tmp_path / 'set')


@pytest.fixture(scope='module')
def built(source, tmp_path_factory):
    """The set of all defaults, and what the call gave. Not to be changed."""
    out = tmp_path_factory.mktemp('built') / 'out'
    return out, build_sirst5k(source, out, seed=SEED)


def read(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def names(out, split):
    return (out / f'splits/{split}.txt').read_text().split()


def test_the_set_is_frames_mixed_frames_and_four_negatives_a_target(built):
    out, made = built
    assert made == Composition(4, 4, 16, 4) and made.images == LEAST
    every = names(out, 'train')
    assert sorted(every) == sorted(path.stem for path in (out / 'images').iterdir())
    assert sorted(every) == sorted(path.stem for path in (out / 'masks').iterdir()) and len(every) == LEAST
    kinds = [names(out, f'train_{kind}') for kind in ('original', 'mixed', 'negative')]
    assert sorted(sum(kinds, [])) == sorted(every) and kinds[0] == list(TARGETS)
    sources = Counter(entry['source'] for entry in json.loads((out / 'manifest.json').read_text())['files']
                      if entry['kind'] == 'negative')
    assert sources == {name: 4 * count for name, count in TARGETS.items() if count}


def test_the_papers_counts():
    jobs = plan([str(number) for number in range(663)], [2] * 255 + [1] * 408, None, 0)
    assert sum(job.targets for job in jobs) == 918 and {job.draws for job in jobs} == {1}
    entries = [entry for job in jobs for entry in module.entries_of(job)]
    assert Counter(entry.kind for entry in entries) == {'original': 663, 'mixed': 663, 'negative': 3672}
    assert len({entry.file for entry in entries}) == 4998


def test_a_mixed_frame_is_eq_3_of_the_window_that_the_manifest_names(built):
    out, _ = built
    for entry in json.loads((out / 'manifest.json').read_text())['files']:
        image = read(out / f'images/{entry["file"]}.png')
        assert image.shape == ((64, 96, 3) if entry['source'] == 'colour' else (64, 96)) and image.dtype == np.uint8
        if entry['kind'] != 'mixed':
            continue
        noise = read(out / f'images/{entry["noise"]["frame"]}.png')
        grey = noise if noise.ndim == 2 else cv2.cvtColor(noise, cv2.COLOR_BGR2GRAY)
        x, y = entry['noise']['corner']
        window = grey[y:y + 32, x:x + 32]
        assert 0 < window.var() < 50
        original = read(out / f'images/{entry["source"]}.png').astype(float)
        texture = cv2.resize(window.astype(float), (96, 64))
        expected = 0.1 * (texture if original.ndim == 2 else texture[..., None]) + 0.9 * original
        assert np.abs(image - expected).max() <= 0.5 + 1e-3


def test_a_negative_is_the_mixed_frame_with_one_window_rotated(built):
    out, _ = built
    for entry in json.loads((out / 'manifest.json').read_text())['files']:
        mask = read(out / f'masks/{entry["file"]}.png')
        assert set(np.unique(mask)) <= {0, 255}
        assert np.array_equal(mask, read(out / f'masks/{entry["source"]}.png'))
        labels, count = ndimage.label(mask, np.ones((3, 3)))
        assert count == TARGETS[entry['source']]
        if entry['kind'] != 'negative':
            continue
        y, x = np.floor(np.array(ndimage.center_of_mass(mask, labels, entry['target'] + 1)) + 0.5).astype(int)
        window = np.s_[y - 1:y + 2, x - 1:x + 2]
        expected = read(out / f'images/{entry["source"]}_noise0.png')
        expected[window] = np.rot90(expected[window], entry['rotation'] // 90).copy()
        assert np.array_equal(read(out / f'images/{entry["file"]}.png'), expected)


def test_originals_are_the_frames_and_deep_ones_have_8_bits(source, built):
    for name in TARGETS:
        original, frame = read(built[0] / f'images/{name}.png'), read(source / f'images/{name}.png')
        assert original.dtype == np.uint8
        assert name == 'deep' or np.array_equal(original, frame)
        assert np.array_equal(read(built[0] / f'masks/{name}.png') > 0, read(source / f'masks/{name}.png') > 0)


def test_labels_are_rotated_where_that_is_asked_for(source, tmp_path):
    build_sirst5k(source, tmp_path / 'out', seed=SEED, rotate_label=True)
    flat, upright = (read(tmp_path / f'out/masks/colour_target0_rot{rotation}.png') for rotation in (0, 90))
    y, x = 11, 11
    assert np.array_equal(upright[y - 1:y + 2, x - 1:x + 2], np.rot90(flat[y - 1:y + 2, x - 1:x + 2]))
    assert not np.array_equal(upright, flat)


def test_a_size_is_filled_up_with_further_draws_and_the_rest_stays(source, built, tmp_path):
    made = build_sirst5k(source, tmp_path / 'out', seed=SEED, size=LEAST + 7)
    assert made == Composition(4, 11, 16, 4)
    ours, theirs = contents(built[0] / 'images'), contents(tmp_path / 'out/images')
    assert len(theirs) == LEAST + 7 and all(theirs[name] == digest for name, digest in ours.items())
    draws = Counter(entry['source'] for entry in json.loads((tmp_path / 'out/manifest.json').read_text())['files']
                    if entry['kind'] == 'mixed')
    assert sorted(draws.values()) == [2, 3, 3, 3]
    assert len({theirs[f'b_noise{draw}.png'] for draw in range(draws['b'])}) == draws['b']


def test_the_seed_decides_and_workers_do_not(source, built, tmp_path):
    build_sirst5k(source, tmp_path / 'two', seed=SEED, workers=2)
    assert contents(tmp_path / 'two') == contents(built[0])
    build_sirst5k(source, tmp_path / 'other', seed=SEED + 1)
    other, ours = contents(tmp_path / 'other/images'), contents(built[0] / 'images')
    assert {name for name in TARGETS if ours[f'{name}.png'] == other[f'{name}.png']} == set(TARGETS)
    assert any(ours[f'{name}_noise0.png'] != other[f'{name}_noise0.png'] for name in TARGETS)


def test_a_complete_set_is_left_alone(source, built, monkeypatch):
    before = contents(built[0])
    monkeypatch.setattr(module, '_png', None)
    assert build_sirst5k(source, built[0], seed=SEED) == built[1]
    assert contents(built[0]) == before


@pytest.mark.parametrize('done', [0, 2])
def test_a_stopped_call_goes_on_where_it_was(source, built, tmp_path, monkeypatch, done):
    out, read_files, calls = tmp_path / 'out', module._read, []

    def stop(files):
        calls.append(files[0].stem)
        # Each frame is read once to count its targets, and once to be written.
        if len(calls) == len(TARGETS) + done + 1:
            (out / 'images' / f'{calls[-1]}.png').write_bytes(b'half an image')
            raise KeyboardInterrupt
        return read_files(files)

    monkeypatch.setattr(module, '_read', stop)
    with pytest.raises(KeyboardInterrupt):
        build_sirst5k(source, out, seed=SEED)
    assert 'summary' not in json.loads((out / 'manifest.json').read_text()) and not list((out / 'splits').iterdir())
    with open(out / 'manifest_frames.jsonl', 'a') as file:
        file.write('{"image": "a", "targ')
    calls.clear()
    calls += ['resumed'] * 100
    assert build_sirst5k(source, out, seed=SEED) == built[1]
    assert calls[100 + len(TARGETS):] == list(TARGETS)[done:]
    assert contents(out) == contents(built[0])


@pytest.mark.parametrize(('change', 'message'), [
    (dict(seed=6), 'seed 5 there, 6 now'), (dict(alpha=0.2), 'alpha 0.1 there, 0.2 now'),
    (dict(size=LEAST + 1), f'size {LEAST} there, {LEAST + 1} now'),
    (dict(target_window=5), 'target_window 3 there, 5 now'),
    (dict(noise=module.NoiseRules(max_variance=40)), 'max_variance 50.0 there, 40 now'),
    (dict(rotate_label=True), 'rotate_label False there, True now')])
def test_other_settings_are_refused_by_name(source, built, change, message):
    before = contents(built[0])
    with pytest.raises(InputError, match=message):
        build_sirst5k(source, built[0], **{'seed': SEED, **change})
    assert contents(built[0]) == before


# --- Bad input --------------------------------------------------------------------------------------------------------


def refused(match, *args, **kwargs):
    with pytest.raises(InputError, match=match) as error:
        build_sirst5k(*args, **kwargs)
    assert str(error.value).isprintable()


def test_too_small_a_size_is_answered_with_the_least(source, tmp_path):
    refused(f'--size 20: give at least {LEAST}', source, tmp_path / 'out', size=20)
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(('change', 'name'), [
    (dict(size=0), 'size'), (dict(seed=-1), 'seed'), (dict(workers=0), 'workers'), (dict(alpha=1.5), 'alpha'),
    (dict(target_window=1), 'target-window'), (dict(rotate_label=1), 'rotate_label'),
    (dict(noise=module.NoiseRules(window=0)), 'window')])
def test_options_out_of_range_are_named(tmp_path, change, name):
    refused(name, tmp_path / 'absent', tmp_path / 'out', **change)


def test_what_the_source_lacks_is_named(copy, tmp_path):
    out = tmp_path / 'out'
    refused('absent: no folders of images and masks', tmp_path / 'absent', out)
    refused('val.txt', copy, out, split='val')
    (copy / 'masks/b.png').unlink()
    refused('masks: has no b, which .*train.txt names', copy, out)
    (copy / 'splits/train.txt').write_text('a\nnone\n')
    refused('images: has no none', copy, out)
    cv2.imwrite(str(copy / 'masks/a.png'), np.zeros((5, 5), np.uint8))
    (copy / 'splits/train.txt').write_text('a\n')
    refused('a.png', copy, out)
    assert not out.exists()


def test_a_frame_that_has_the_name_of_a_made_one_is_refused(copy, tmp_path):
    for folder in ('images', 'masks'):
        shutil.copy(copy / folder / 'a.png', copy / folder / 'b_target1_rot90.png')
    (copy / 'splits/train.txt').write_text('b\nb_target1_rot90\n')
    refused('b_target1_rot90: is the name of a frame', copy, tmp_path / 'out')


def test_a_set_is_not_written_into_its_source_nor_over_anything_else(copy, tmp_path):
    refused('lies in the source', copy, copy / 'out')
    (tmp_path / 'notes.txt').write_text('mine')
    refused('is not a set of build_sirst5k', copy, tmp_path)
    assert (tmp_path / 'notes.txt').read_text() == 'mine'


@pytest.mark.parametrize('line', ['3', '{}', '{"image": "a", "targets": 5, "draws": 1}', '{"image": ["a"]}',
                                  '{"image": "../a", "targets": 0, "draws": 1}'])
def test_a_bad_record_is_named(source, built, tmp_path, line):
    out = shutil.copytree(built[0], tmp_path / 'out')
    settings = json.loads((out / 'manifest.json').read_text())['settings']
    (out / 'manifest.json').write_text(json.dumps({'settings': settings}))
    (out / 'manifest_frames.jsonl').write_text(line + '\n')
    refused('manifest_frames.jsonl: line 1 is no record', source, out, seed=SEED)


def test_a_devkit_is_a_source_too(tmp_path):
    root, rng = tmp_path / 'kit', np.random.default_rng(1)
    for folder in ('PNGImages', 'SIRST/PaletteMask', 'Splits'):
        (root / folder).mkdir(parents=True)
    mask = np.zeros((64, 64), np.uint8)
    mask[40:42, 40:42] = 1
    cv2.imwrite(str(root / 'PNGImages/one.png'), rng.integers(50, 60, (64, 64)).astype(np.uint8))
    cv2.imwrite(str(root / 'SIRST/PaletteMask/one.png'), mask)
    (root / 'Splits/train_v2.txt').write_text('one\n')
    assert build_sirst5k(root, tmp_path / 'out', split='train_v2') == Composition(1, 1, 4, 1)
