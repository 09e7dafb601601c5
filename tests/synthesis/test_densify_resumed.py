"""A densified set is the same whatever the workers and the breaks, and goes on only as itself."""
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from densify_sources import NAMES, SEED, contents

from bafenet.errors import InputError
from bafenet.fileio import LOCK_FILE
from bafenet.synthesis import densify as module
from bafenet.synthesis.densify import densify
from bafenet.synthesis.densify_records import RECORDS_FILE, SETTINGS_FILE
from bafenet.synthesis.library import save_library
from bafenet.synthesis.recipe import ClusterRecipe


def test_the_seed_decides(densified, densify_source, tmp_path):
    densify(densify_source, tmp_path / 'other', seed=SEED + 1)
    other, ours = contents(tmp_path / 'other/PNGImages'), contents(densified[0] / 'PNGImages')
    assert {name for name in ours if ours[name] == other[name]} == {'no_sky.png'}


def test_two_workers_give_the_same_bytes(densified, densify_source, tmp_path):
    assert densify(densify_source, tmp_path / 'dense', seed=SEED, workers=2) == densified[1]
    assert contents(tmp_path / 'dense') == contents(densified[0])


def test_other_images_do_not_matter(densified, densify_source, tmp_path):
    library = tmp_path / 'library.npz'
    save_library(library, module.split_patches(module.find_layout(densify_source), 'train_v2'), {})
    out = tmp_path / 'out'
    summary = densify(densify_source, out, library=library, seed=SEED, limit=3)
    assert summary.images == 3
    ours = contents(densified[0])
    for path, digest in contents(out).items():
        if path.startswith(('PNGImages', 'SIRST', 'SkySeg')):
            assert ours[path] == digest
    assert sorted(path.stem for path in (out / 'PNGImages').iterdir()) == NAMES[:3]
    # Splits keep what is left of them.
    splits = {path.stem: path.read_text().split() for path in (out / 'Splits').iterdir()}
    assert splits == {'train_v2': ['colour'], 'val_v2': ['no_sky'], 'test_v2': ['no_target']}


@pytest.mark.parametrize('done', [0, 3])
def test_a_killed_run_goes_on_where_it_was(densified, densify_source, tmp_path, monkeypatch, done):
    out, written = tmp_path / 'dense', []
    write = module.write_sample

    def write_and_die(root, name, image, *annotations):
        written.append(name)
        if len(written) == done + 1:
            # Killed while it wrote the image.
            (root / 'PNGImages' / f'{name}.png').write_bytes(b'half an image')
            raise KeyboardInterrupt
        write(root, name, image, *annotations)

    monkeypatch.setattr(module, 'write_sample', write_and_die)
    with pytest.raises(KeyboardInterrupt):
        densify(densify_source, out, seed=SEED)
    assert not list((out / 'Splits').iterdir())
    assert 'summary' not in json.loads((out / SETTINGS_FILE).read_text())
    # And while it noted one that was not written.
    with open(out / RECORDS_FILE, 'a') as file:
        file.write('{"image": "scene_1", "targ')

    assert densify(densify_source, out, seed=SEED) == densified[1]
    assert written == NAMES[:done + 1] + NAMES[done:]
    assert contents(out) == contents(densified[0])


def test_a_complete_set_is_left_alone(densified, densify_source, monkeypatch):
    before = contents(densified[0])
    monkeypatch.setattr(module, 'write_sample', None)
    assert densify(densify_source, densified[0], seed=SEED) == densified[1]
    assert contents(densified[0]) == before


def test_a_removed_image_of_an_unfinished_set_is_made_again(densified, densify_source, tmp_path):
    out = shutil.copytree(densified[0], tmp_path / 'dense')
    marks = json.loads((out / SETTINGS_FILE).read_text())
    (out / SETTINGS_FILE).write_text(json.dumps({'settings': marks['settings']}))
    (out / 'PNGImages/scene_1.png').unlink()
    assert densify(densify_source, out, seed=SEED) == densified[1]
    assert contents(out) == contents(densified[0])


def test_a_set_of_an_earlier_release_goes_on(densified, densify_source, tmp_path):
    out = shutil.copytree(densified[0], tmp_path / 'dense')
    settings = json.loads((out / SETTINGS_FILE).read_text())['settings']
    for key in ('lone_prob', 'num_lone', 'lone_spacing', 'target_scale', 'max_scaled_size'):
        del settings[key]
    (out / SETTINGS_FILE).write_text(json.dumps({'settings': settings}))
    assert densify(densify_source, out, seed=SEED) == densified[1]
    with pytest.raises(InputError, match=r'lone_prob 0.0 there, 0.5 now'):
        densify(densify_source, out, seed=SEED, recipe=ClusterRecipe(lone_prob=0.5))


@pytest.mark.parametrize('change, message', [
    (dict(seed=6), 'seed 5 there, 6 now'), (dict(limit=2), 'limit None there, 2 now'),
    (dict(max_target_size=3), 'max_target_size 5 there, 3 now'), (dict(split='val_v2'), r'library 16 .* 8 '),
    (dict(recipe=ClusterRecipe(spacing=(1, 3))), r'spacing \[1, 2\] there, \[1, 3\] now')])
def test_other_settings_are_refused_by_name(densified, densify_source, change, message):
    before = contents(densified[0])
    with pytest.raises(InputError, match=message):
        densify(densify_source, densified[0], **{'seed': SEED, **change})
    assert contents(densified[0]) == before


PROCESS = '''
import sys, time
from bafenet.synthesis import densify as module
write = module.write_sample
def slow(*arguments):
    print('writing', flush=True)
    time.sleep(float(sys.argv[3]))
    write(*arguments)
module.write_sample = slow
module.densify(sys.argv[1], sys.argv[2], seed=5)
'''


@pytest.fixture
def running(tmp_path, densify_source):
    """Densify in a process of its own, which is just writing its second image."""
    processes = []

    def start(out, seconds):
        process = subprocess.Popen([sys.executable, '-c', PROCESS, str(densify_source), str(out), str(seconds)],
                                   text=True, env={**os.environ, 'PYTHONPATH': str(ROOT)}, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        processes.append(process)
        assert [process.stdout.readline() for _ in range(2)] == ['writing\n'] * 2
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.faults
def test_one_process_at_a_time_and_the_next_goes_on_after_a_kill(
        densified, densify_source, tmp_path, running, monkeypatch):
    out = tmp_path / 'dense'
    process = running(out, 3)
    monkeypatch.setattr('bafenet.fileio.owned.__wrapped__.__defaults__', (0.2, ))
    with pytest.raises(InputError, match='dense: another process is writing to this folder') as error:
        densify(densify_source, out, seed=SEED)
    assert '\n' not in str(error.value)
    process.kill()
    process.wait()
    # What it would have left, had it been writing its settings.
    (out / '.densify-bafenet-abc.json').touch()
    assert densify(densify_source, out, seed=SEED) == densified[1]
    assert contents(out) == contents(densified[0])


def test_a_run_that_was_killed_at_once_has_left_only_its_lock(densified, densify_source, tmp_path):
    out = tmp_path / 'dense'
    out.mkdir()
    (out / LOCK_FILE).touch()
    assert densify(densify_source, out, seed=SEED) == densified[1]


@pytest.mark.parametrize('file', ['SIRST/BBox/scene_1.xml', 'SkySeg/PaletteMask/scene_1.png',
                                  'SIRST/BinaryMask/scene_1_pixels0.png', 'SIRST/Point_label/scene_1_pixels0.txt'])
def test_an_image_is_done_only_with_all_of_its_files(densified, densify_source, tmp_path, file):
    out = unfinished(densified, tmp_path)
    (out / file).unlink()
    assert densify(densify_source, out, seed=SEED) == densified[1]
    assert contents(out) == contents(densified[0])


def unfinished(densified, tmp_path, **content):
    """A copy of the set whose run has not come to its end."""
    out = shutil.copytree(densified[0], tmp_path / 'dense')
    marks = json.loads((out / SETTINGS_FILE).read_text())
    (out / SETTINGS_FILE).write_text(json.dumps({'settings': marks['settings'], **content}))
    return out


RECORD = {'image': 'scene_1', 'targets': 4, 'pasted': 3, 'colour': False, 'moved': 0}
BAD_RECORDS = ['', '[]', '3', 'null', '{}', '{"image": "scene_1"}', '[' * 100_000, '1' * 5000, '\x1b[31m',
               *(json.dumps({**RECORD, **change}) for change in (
                   {'image': ['scene_1']}, {'image': None}, {'image': '../../escape'}, {'image': 'no_such'},
                   {'image': {}}, {'targets': '4'}, {'targets': -1}, {'pasted': 1.5}, {'pasted': float('nan')},
                   {'moved': None}, {'moved': True}, {'colour': 1}, {'further': 1}))]


@pytest.mark.parametrize('line', BAD_RECORDS, ids=range(len(BAD_RECORDS)))
def test_a_bad_record_is_named_and_nothing_is_written(densified, densify_source, tmp_path, line):
    out = unfinished(densified, tmp_path)
    path = out / RECORDS_FILE
    path.write_text(json.dumps(RECORD) + f'\n{line}\n')
    before = contents(tmp_path)
    with pytest.raises(InputError, match=f'^{path}: line 2 is no record') as error:
        densify(densify_source, out, seed=SEED)
    assert str(error.value).isprintable()
    assert contents(tmp_path) == before


@pytest.mark.parametrize('summary', [3, None, [], {}, {'images': 8}, 'done', {
    **dict.fromkeys(('images', 'targets', 'pasted', 'without_room', 'colour', 'moved'), 1), 'moved': '1'}])
def test_a_bad_summary_is_named(densified, densify_source, tmp_path, summary):
    out = unfinished(densified, tmp_path, summary=summary)
    with pytest.raises(InputError, match=f'^{out / SETTINGS_FILE}: its summary is not') as error:
        densify(densify_source, out, seed=SEED)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('text', ['[' * 100_000, '1' * 5000, '{"settings": {"seed": NaN}, "a": ' + '9' * 5000 + '}'])
def test_settings_that_are_none_are_not_ours(densify_source, tmp_path, text):
    (tmp_path / SETTINGS_FILE).write_text(text)
    with pytest.raises(InputError, match='is not a densified set'):
        densify(densify_source, tmp_path)


def test_settings_of_a_stranger_are_reported_briefly_and_safely(densified, densify_source, tmp_path):
    out = unfinished(densified, tmp_path, settings={'\x1b[31m': '\x1b[0m' * 1000, **{str(i): i for i in range(10_000)}})
    with pytest.raises(InputError, match='begun with other settings') as error:
        densify(densify_source, out, seed=SEED)
    assert str(error.value).isprintable() and len(str(error.value)) < 5000


def test_an_output_that_cannot_be_written_is_reported_before_the_work(densify_source, tmp_path, monkeypatch):
    monkeypatch.setattr(module, 'split_patches', None)
    (tmp_path / 'file').touch()
    for out in (tmp_path / 'file' / 'out', '/proc/none'):
        with pytest.raises(InputError, match='cannot write'):
            densify(densify_source, out)


@pytest.mark.parametrize('link', ['.lock', 'PNGImages', 'PNGImages/scene_1.png', 'Splits/train_v2.txt', RECORDS_FILE])
def test_nothing_is_written_through_links(densified, densify_source, tmp_path, link):
    out, elsewhere = unfinished(densified, tmp_path), tmp_path / 'elsewhere'
    (out / RECORDS_FILE).write_text('')
    shutil.move(out / link, elsewhere)
    (out / link).symlink_to(elsewhere)
    before = contents(tmp_path)
    with pytest.raises(InputError, match=f'^{out / link}: is a link'):
        densify(densify_source, out, seed=SEED)
    assert contents(tmp_path) == before


@pytest.mark.parametrize('file', ['SIRST/BBox/scene_0.xml', 'PNGImages/scene_0.png', 'SIRST/PaletteMask/scene_0.png',
                                  'SkySeg/PaletteMask/scene_0.png', 'Splits/test_v2.txt'])
def test_a_pipe_instead_of_a_file_is_reported_before_the_work(densify_copy, tmp_path, file):
    (densify_copy / file).unlink()
    os.mkfifo(densify_copy / file)
    with pytest.raises(InputError, match=Path(file).name):
        densify(densify_copy, tmp_path / 'out', split='val_v2')
    assert not (tmp_path / 'out').exists()
