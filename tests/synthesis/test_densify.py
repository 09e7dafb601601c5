"""The densified set: what is pasted where, what stays as it was, and that runs can be cut off and divided."""
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, draw_scene, load_tool, voc_xml, write_devkit, write_palette
from PIL import Image
from scipy import ndimage

from bafenet.datasets import DenseSIRSTDataset
from bafenet.errors import InputError
from bafenet.fileio import LOCK_FILE
from bafenet.synthesis import densify as module
from bafenet.synthesis.clusters import ClusterRecipe, TargetLibrary
from bafenet.synthesis.densify import RECORDS_FILE, SETTINGS_FILE, densify, densify_image, read_boxes, read_sky
from bafenet.synthesis.library import save_library

NAMES = ['colour', 'no_sky', 'no_target', 'no_xml', 'old', 'reversed', 'scene_0', 'scene_1']
SPLITS = {'train_v2': ['scene_1', 'colour', 'old', 'no_xml'], 'val_v2': ['no_sky', 'reversed'],
          'test_v2': ['scene_0', 'no_target']}
SIZE, SEED = 128, 5


def contents(folder):
    """Every file below a folder with a digest of its bytes."""
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(Path(folder).rglob('*')) if path.is_file()}


def boxes_of(path):
    return [tuple(int(node.find('bndbox').findtext(tag)) for tag in ('xmin', 'ymin', 'xmax', 'ymax'))
            for node in ET.parse(path).getroot().iter('object')]


def pixels(path):
    return np.asarray(Image.open(path))


def extents(mask):
    found = ndimage.find_objects(ndimage.label(mask, np.ones((3, 3)))[0])
    return sorted((x.start, y.start, x.stop, y.stop) for y, x in found)


@pytest.fixture(scope='module')
def samples():
    """Name to (grey image, boxes, sky)."""
    rng = np.random.default_rng(8)
    scenes = {name: draw_scene(rng, SIZE) for name in NAMES}
    image, boxes, sky = scenes['no_sky']
    scenes['no_sky'] = image, boxes, sky * 0
    scenes['no_target'] = (*draw_scene(rng, SIZE, num_targets=0)[:2], sky)
    # Not in the order of the mask's components.
    image, boxes, sky = scenes['reversed']
    scenes['reversed'] = image, sorted(boxes, key=lambda box: (-box[1], -box[0])), sky
    for name in ('no_xml', 'old'):
        image, boxes, sky = scenes[name]
        scenes[name] = image, sorted(boxes, key=lambda box: (box[1], box[0])), sky
    return scenes


@pytest.fixture(scope='module')
def source(samples, tmp_path_factory):
    root = write_devkit(tmp_path_factory.mktemp('sources') / 'SIRSTdevkit', samples, SPLITS)
    (root / 'SIRST/BBox/no_xml.xml').unlink()
    (root / 'SIRST/BBox/old.xml').write_text(voc_xml(np.array(samples['old'][1]) + 1))
    image = samples['colour'][0]
    Image.fromarray(np.dstack([image, image, 255 - image])).save(root / 'PNGImages/colour.png')
    return root


@pytest.fixture(scope='module')
def dense(source, tmp_path_factory):
    """The set, the summary of the run, and the source's bytes before it."""
    before = contents(source)
    out = tmp_path_factory.mktemp('sets') / 'dense'
    return out, densify(source, out, seed=SEED), before


@pytest.fixture
def copy(source, tmp_path):
    return shutil.copytree(source, tmp_path / 'SIRSTdevkit')


@pytest.fixture
def tool(monkeypatch):
    loaded = load_tool('dataset/densify.py')

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', ['densify.py', *map(str, arguments)])
        loaded.main()
    return run


# What is pasted, and what stays


@pytest.mark.parametrize('name', NAMES)
def test_pasted_targets_lie_in_the_sky_and_all_else_stays(dense, source, samples, name):
    out = dense[0]
    before = pixels(source / f'PNGImages/{name}.png')
    if name == 'colour':
        before = np.asarray(Image.fromarray(before).convert('L'))
    after = pixels(out / f'PNGImages/{name}.png')
    sky = pixels(source / f'SkySeg/PaletteMask/{name}.png') == 1
    old = pixels(source / f'SIRST/PaletteMask/{name}.png') == 1
    mask = pixels(out / f'SIRST/BinaryMask/{name}_pixels0.png') == 255
    boxes = boxes_of(out / f'SIRST/BBox/{name}.xml')
    originals = [tuple(map(int, box)) for box in samples[name][1]]

    assert after.dtype == np.uint8 and after.shape == before.shape
    assert boxes[:len(originals)] == originals
    assert sorted(boxes) == extents(mask)
    pasted = boxes[len(originals):]
    assert (len(pasted) == 0) if name == 'no_sky' else (3 <= len(pasted) <= 3 * 12)
    new = np.zeros_like(mask)
    for x1, y1, x2, y2 in pasted:
        assert x2 - x1 <= 5 and y2 - y1 <= 5
        assert sky[y1:y2, x1:x2].all()
        new[y1:y2, x1:x2] = True
    assert np.array_equal(after[~new], before[~new])
    # The mask is what was there and what has become brighter, and these have at least one empty pixel between them.
    assert np.array_equal(mask, old | (after > before))
    assert not (ndimage.binary_dilation(old, np.ones((3, 3))) & new).any()


@pytest.mark.parametrize('name', NAMES)
def test_every_kind_of_annotation_is_written(dense, source, name):
    out = dense[0]
    sky = pixels(source / f'SkySeg/PaletteMask/{name}.png')
    assert np.array_equal(pixels(out / f'SkySeg/PaletteMask/{name}.png'), sky)
    assert np.array_equal(pixels(out / f'SkySeg/BinaryMask/{name}_pixels0.png'), sky * 255)
    assert np.array_equal(pixels(out / f'SIRST/BinaryMask/{name}_pixels0.png') == 255,
                          pixels(out / f'SIRST/PaletteMask/{name}.png') == 1)
    points = [tuple(map(int, line.split()))
              for line in (out / f'SIRST/Point_label/{name}_pixels0.txt').read_text().splitlines()]
    boxes = boxes_of(out / f'SIRST/BBox/{name}.xml')
    assert len(points) == len(boxes)
    assert all(x1 <= x < x2 and y1 <= y < y2 for (x, y), (x1, y1, x2, y2) in zip(points, boxes, strict=True))


def test_the_dataset_reads_it(dense):
    out, summary, _ = dense
    read = {}
    for split, names in SPLITS.items():
        dataset = DenseSIRSTDataset(data_root=str(out), ann_file=f'Splits/{split}.txt')
        assert [dataset.get_data_info(index)['img_id'] for index in range(len(dataset))] == names
        for index, name in enumerate(names):
            read[name] = [tuple(item['bbox']) for item in dataset.get_data_info(index)['instances']]
    assert sorted(read) == NAMES
    assert read == {name: boxes_of(out / f'SIRST/BBox/{name}.xml') for name in NAMES}
    assert sum(map(len, read.values())) == summary.targets + summary.pasted


def test_summary_and_marks(dense, samples):
    out, summary, _ = dense
    assert summary.images == len(NAMES)
    assert summary.targets == sum(len(boxes) for _, boxes, _ in samples.values()) == 7 * 4
    assert (summary.without_room, summary.colour, summary.moved) == (1, 1, 4)
    marks = json.loads((out / SETTINGS_FILE).read_text())
    assert marks['summary'] == summary._asdict()
    assert (marks['settings']['source'], marks['settings']['seed']) == ('SIRSTdevkit', SEED)
    assert str(out.parent) not in (out / SETTINGS_FILE).read_text()
    records = [json.loads(line) for line in (out / RECORDS_FILE).read_text().splitlines()]
    assert [record['image'] for record in records] == NAMES
    assert sum(record['pasted'] for record in records) == summary.pasted


def test_the_source_is_not_touched(dense, source):
    assert contents(source) == dense[2]


def test_clusters_are_as_the_recipe_says(source, tmp_path):
    recipe = ClusterRecipe(num_clusters=(1, 1), region_size=24, targets_per_cluster=(3, 3), spacing=(2, 2))
    densify(source, tmp_path / 'out', recipe=recipe, max_target_size=4)
    for name in set(NAMES) - {'no_sky'}:
        pasted = np.array(boxes_of(tmp_path / f'out/SIRST/BBox/{name}.xml')[-3:])
        assert (pasted[:, 2:] - pasted[:, :2]).max() <= 4
        assert (pasted[:, 2:].max(axis=0) - pasted[:, :2].min(axis=0)).max() <= 24
        counts = [json.loads(line)['pasted'] for line in (tmp_path / 'out' / RECORDS_FILE).read_text().splitlines()]
        assert sorted(counts) == [0] + [3] * 7


def test_targets_that_fall_into_parts_are_undone():
    # A dark column in the middle: nothing shows there, and two parts of the patch remain.
    broken = np.full((5, 5), 250, np.uint8)
    broken[:, 2] = 0
    solid = np.full((3, 3), 200, np.uint8)
    image, sky = np.full((60, 60), 20, np.uint8), np.ones((60, 60), bool)
    counts = []
    for library in (TargetLibrary.from_patches([broken]), TargetLibrary.from_patches([broken, solid])):
        pasted = densify_image(image, sky, ~sky, library, np.random.default_rng(3), ClusterRecipe())
        assert sorted(map(tuple, pasted.boxes.tolist())) == extents(pasted.mask())
        assert np.array_equal(pasted.image > image, pasted.mask())
        assert (image == 20).all()
        counts.append(len(pasted.boxes))
    assert counts[0] < 3 < counts[1]


def test_no_room_leaves_the_image_as_it_is():
    image, sky = np.full((40, 40), 20, np.uint8), np.zeros((40, 40), bool)
    sky[:19] = True
    library = TargetLibrary.from_patches([np.full((3, 3), 200, np.uint8)])
    pasted = densify_image(image, sky, sky & False, library, np.random.default_rng(0), ClusterRecipe())
    assert len(pasted.boxes) == 0 and np.array_equal(pasted.image, image)


# Determinism, interruption


def test_the_seed_decides(dense, source, tmp_path):
    densify(source, tmp_path / 'other', seed=SEED + 1)
    other, ours = contents(tmp_path / 'other/PNGImages'), contents(dense[0] / 'PNGImages')
    assert {name for name in ours if ours[name] == other[name]} == {'no_sky.png'}


def test_two_workers_give_the_same_bytes(dense, source, tmp_path):
    assert densify(source, tmp_path / 'dense', seed=SEED, workers=2) == dense[1]
    assert contents(tmp_path / 'dense') == contents(dense[0])


def test_other_images_do_not_matter(dense, source, tmp_path):
    library = tmp_path / 'library.npz'
    save_library(library, module.split_patches(module.find_layout(source), 'train_v2'), {})
    out = tmp_path / 'out'
    summary = densify(source, out, library=library, seed=SEED, limit=3)
    assert summary.images == 3
    ours = contents(dense[0])
    for path, digest in contents(out).items():
        if path.startswith(('PNGImages', 'SIRST', 'SkySeg')):
            assert ours[path] == digest
    assert sorted(path.stem for path in (out / 'PNGImages').iterdir()) == NAMES[:3]
    # Splits keep what is left of them.
    splits = {path.stem: path.read_text().split() for path in (out / 'Splits').iterdir()}
    assert splits == {'train_v2': ['colour'], 'val_v2': ['no_sky'], 'test_v2': ['no_target']}


@pytest.mark.parametrize('done', [0, 3])
def test_a_killed_run_goes_on_where_it_was(dense, source, tmp_path, monkeypatch, done):
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
        densify(source, out, seed=SEED)
    assert not list((out / 'Splits').iterdir())
    assert 'summary' not in json.loads((out / SETTINGS_FILE).read_text())
    # And while it noted one that was not written.
    with open(out / RECORDS_FILE, 'a') as file:
        file.write('{"image": "scene_1", "targ')

    assert densify(source, out, seed=SEED) == dense[1]
    assert written == NAMES[:done + 1] + NAMES[done:]
    assert contents(out) == contents(dense[0])


def test_a_complete_set_is_left_alone(dense, source, monkeypatch):
    before = contents(dense[0])
    monkeypatch.setattr(module, 'write_sample', None)
    assert densify(source, dense[0], seed=SEED) == dense[1]
    assert contents(dense[0]) == before


def test_a_removed_image_of_an_unfinished_set_is_made_again(dense, source, tmp_path):
    out = shutil.copytree(dense[0], tmp_path / 'dense')
    marks = json.loads((out / SETTINGS_FILE).read_text())
    (out / SETTINGS_FILE).write_text(json.dumps({'settings': marks['settings']}))
    (out / 'PNGImages/scene_1.png').unlink()
    assert densify(source, out, seed=SEED) == dense[1]
    assert contents(out) == contents(dense[0])


@pytest.mark.parametrize('change, message', [
    (dict(seed=6), 'seed 5 there, 6 now'), (dict(limit=2), 'limit None there, 2 now'),
    (dict(max_target_size=3), 'max_target_size 5 there, 3 now'), (dict(split='val_v2'), r'library 16 .* 8 '),
    (dict(recipe=ClusterRecipe(spacing=(1, 3))), r'spacing \[1, 2\] there, \[1, 3\] now')])
def test_other_settings_are_refused_by_name(dense, source, change, message):
    before = contents(dense[0])
    with pytest.raises(InputError, match=message):
        densify(source, dense[0], **{'seed': SEED, **change})
    assert contents(dense[0]) == before


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
def running(tmp_path, source):
    """Densify in a process of its own, which is just writing its second image."""
    processes = []

    def start(out, seconds):
        process = subprocess.Popen([sys.executable, '-c', PROCESS, str(source), str(out), str(seconds)], text=True,
                                   env={**os.environ, 'PYTHONPATH': str(ROOT)}, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        processes.append(process)
        assert [process.stdout.readline() for _ in range(2)] == ['writing\n'] * 2
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_one_process_at_a_time_and_the_next_goes_on_after_a_kill(dense, source, tmp_path, running, monkeypatch):
    out = tmp_path / 'dense'
    process = running(out, 3)
    monkeypatch.setattr('bafenet.fileio.owned.__wrapped__.__defaults__', (0.2, ))
    with pytest.raises(InputError, match='dense: another process is writing to this folder') as error:
        densify(source, out, seed=SEED)
    assert '\n' not in str(error.value)
    process.kill()
    process.wait()
    # What it would have left, had it been writing its settings.
    (out / '.densify-bafenet-abc.json').touch()
    assert densify(source, out, seed=SEED) == dense[1]
    assert contents(out) == contents(dense[0])


def test_a_run_that_was_killed_at_once_has_left_only_its_lock(dense, source, tmp_path):
    out = tmp_path / 'dense'
    out.mkdir()
    (out / LOCK_FILE).touch()
    assert densify(source, out, seed=SEED) == dense[1]


@pytest.mark.parametrize('file', ['SIRST/BBox/scene_1.xml', 'SkySeg/PaletteMask/scene_1.png',
                                  'SIRST/BinaryMask/scene_1_pixels0.png', 'SIRST/Point_label/scene_1_pixels0.txt'])
def test_an_image_is_done_only_with_all_of_its_files(dense, source, tmp_path, file):
    out = unfinished(dense, tmp_path)
    (out / file).unlink()
    assert densify(source, out, seed=SEED) == dense[1]
    assert contents(out) == contents(dense[0])


def unfinished(dense, tmp_path, **content):
    """A copy of the set whose run has not come to its end."""
    out = shutil.copytree(dense[0], tmp_path / 'dense')
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
def test_a_bad_record_is_named_and_nothing_is_written(dense, source, tmp_path, line):
    out = unfinished(dense, tmp_path)
    path = out / RECORDS_FILE
    path.write_text(json.dumps(RECORD) + f'\n{line}\n')
    before = contents(tmp_path)
    with pytest.raises(InputError, match=f'^{path}: line 2 is no record') as error:
        densify(source, out, seed=SEED)
    assert str(error.value).isprintable()
    assert contents(tmp_path) == before


@pytest.mark.parametrize('summary', [3, None, [], {}, {'images': 8}, 'done', {
    **dict.fromkeys(('images', 'targets', 'pasted', 'without_room', 'colour', 'moved'), 1), 'moved': '1'}])
def test_a_bad_summary_is_named(dense, source, tmp_path, summary):
    out = unfinished(dense, tmp_path, summary=summary)
    with pytest.raises(InputError, match=f'^{out / SETTINGS_FILE}: its summary is not') as error:
        densify(source, out, seed=SEED)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('text', ['[' * 100_000, '1' * 5000, '{"settings": {"seed": NaN}, "a": ' + '9' * 5000 + '}'])
def test_settings_that_are_none_are_not_ours(source, tmp_path, text):
    (tmp_path / SETTINGS_FILE).write_text(text)
    with pytest.raises(InputError, match='is not a densified set'):
        densify(source, tmp_path)


def test_settings_of_a_stranger_are_told_shortly_and_safely(dense, source, tmp_path):
    out = unfinished(dense, tmp_path, settings={'\x1b[31m': '\x1b[0m' * 1000, **{str(i): i for i in range(10_000)}})
    with pytest.raises(InputError, match='begun with other settings') as error:
        densify(source, out, seed=SEED)
    assert str(error.value).isprintable() and len(str(error.value)) < 5000


def test_an_output_that_cannot_be_written_is_told_before_the_work(source, tmp_path, monkeypatch):
    monkeypatch.setattr(module, 'split_patches', None)
    (tmp_path / 'file').touch()
    for out in (tmp_path / 'file' / 'out', '/proc/none'):
        with pytest.raises(InputError, match='cannot write'):
            densify(source, out)


@pytest.mark.parametrize('link', ['.lock', 'PNGImages', 'PNGImages/scene_1.png', 'Splits/train_v2.txt', RECORDS_FILE])
def test_nothing_is_written_through_links(dense, source, tmp_path, link):
    out, elsewhere = unfinished(dense, tmp_path), tmp_path / 'elsewhere'
    (out / RECORDS_FILE).write_text('')
    shutil.move(out / link, elsewhere)
    (out / link).symlink_to(elsewhere)
    before = contents(tmp_path)
    with pytest.raises(InputError, match=f'^{out / link}: is a link'):
        densify(source, out, seed=SEED)
    assert contents(tmp_path) == before


@pytest.mark.parametrize('file', ['SIRST/BBox/scene_0.xml', 'PNGImages/scene_0.png', 'SIRST/PaletteMask/scene_0.png',
                                  'SkySeg/PaletteMask/scene_0.png', 'Splits/test_v2.txt'])
def test_a_pipe_in_the_place_of_a_file_is_told_before_the_work(copy, tmp_path, file):
    (copy / file).unlink()
    os.mkfifo(copy / file)
    with pytest.raises(InputError, match=Path(file).name):
        densify(copy, tmp_path / 'out', split='val_v2')
    assert not (tmp_path / 'out').exists()


# SIRST-V2


@pytest.fixture
def sirst_v2(source, samples, tmp_path):
    """The same images under the names of SIRST-V2: masks of 255, boxes from 1, sky maps in a folder of their own."""
    root, sky = tmp_path / 'open-sirst-v2', tmp_path / 'sky'
    shutil.copytree(source / 'PNGImages', root / 'mixed')
    shutil.copytree(source / 'Splits', root / 'splits')
    for folder in (root / 'annotations/masks', root / 'annotations/bboxes', sky):
        folder.mkdir(parents=True)
    for name, (_, boxes, _) in samples.items():
        for task, folder in (('SIRST', root / 'annotations/masks'), ('SkySeg', sky)):
            mask = pixels(source / f'{task}/PaletteMask/{name}.png') * 255
            Image.fromarray(mask).save(folder / f'{name}_pixels0.png')
        (root / f'annotations/bboxes/{name}.xml').write_text(voc_xml(np.array(boxes).reshape(-1, 4) + 1))
    return root, sky


def test_sirst_v2_gives_the_same_set(dense, sirst_v2, tmp_path):
    root, sky = sirst_v2
    out = tmp_path / 'dense'
    summary = densify(root, out, sky=sky, seed=SEED)
    assert summary == dense[1]._replace(moved=7 * 4)
    theirs = contents(dense[0])
    for path, digest in contents(out).items():
        if path not in (SETTINGS_FILE, RECORDS_FILE):
            assert theirs[path] == digest, path


def test_sirst_v2_needs_sky_maps(sirst_v2, tmp_path):
    with pytest.raises(InputError, match='--sky'):
        densify(sirst_v2[0], tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


# Bad input


def test_nothing_is_written_into_the_source_or_over_something_else(source, sirst_v2, tmp_path):
    before = contents(source)
    link = tmp_path / 'link'
    link.symlink_to(source)
    for out in (source, source / 'new', link / 'PNGImages'):
        with pytest.raises(InputError, match='never written to'):
            densify(source, out)
    with pytest.raises(InputError, match='never written to'):
        densify(sirst_v2[0], sirst_v2[1] / 'new', sky=sirst_v2[1])
    assert contents(source) == before
    other = tmp_path / 'other'
    other.mkdir()
    for text in (None, 'no JSON', '[]', '{"settings": 3}'):
        (other / ('notes.txt' if text is None else SETTINGS_FILE)).write_text(text or '')
        with pytest.raises(InputError, match='is not a densified set'):
            densify(source, other)
    with pytest.raises(InputError, match='is not a densified set'):
        densify(source, other / 'notes.txt')
    with pytest.raises(InputError, match='cannot write'):
        densify(source, other / 'notes.txt' / 'out')


BAD_FILES = {
    'SIRST/BBox/scene_0.xml': [
        ('<annotation>', 'not a VOC annotation'),
        (voc_xml([('a', 1, 2, 3)]), 'not a VOC annotation'),
        (voc_xml([(1.5, 1, 4, 3)]), 'whole pixels'),
        (voc_xml([('nan', 1, 4, 3)]), 'not a VOC annotation'),
        (voc_xml([(0, 0, 'inf', 3)]), 'lies outside the 128x128'),
        (voc_xml([(-1, 0, 3, 3)]), 'lies outside the 128x128'),
        (voc_xml([(1, 1, 1, 3)]), 'has no target pixel'),
        (voc_xml([(120, 120, 124, 124)]), 'has no target pixel')],
    'PNGImages/scene_0.png': [('no image', 'does not decode')],
    'SIRST/PaletteMask/scene_0.png': [('no image', 'does not decode')],
    'SkySeg/PaletteMask/scene_0.png': [('no image', 'does not decode')],
}


@pytest.mark.parametrize('file, content, message', [
    (file, *case) for file, cases in BAD_FILES.items() for case in cases])
def test_bad_files_are_named(copy, tmp_path, file, content, message):
    (copy / file).write_text(content)
    with pytest.raises(InputError, match=re.escape(Path(file).name) + f'.*{message}'):
        densify(copy, tmp_path / 'out', split='val_v2')


@pytest.mark.parametrize('file, message', [
    ('SIRST/PaletteMask/scene_1.png', 'no such target mask'), ('SkySeg/PaletteMask/scene_1.png', 'no such sky map'),
    ('PNGImages/scene_1.png', 'has no image scene_1, but the split train_v2'),
    ('Splits/train_v2.txt', 'no such split; there are: test_v2, val_v2')])
def test_missing_files_are_named_before_anything_is_written(copy, tmp_path, file, message):
    (copy / file).unlink()
    with pytest.raises(InputError, match=message):
        densify(copy, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_an_empty_source_is_an_error(copy, tmp_path):
    for path in (copy / 'PNGImages').iterdir():
        path.unlink()
    with pytest.raises(InputError, match='holds no PNG image'):
        densify(copy, tmp_path / 'out')


@pytest.mark.parametrize('options, message', [
    (dict(seed=-1), 'seed is -1'), (dict(workers=0), 'workers is 0'), (dict(limit=0), 'limit is 0'),
    (dict(max_target_size=0), 'max target size is 0'), (dict(max_target_size=21), 'region size is 20'),
    (dict(num_clusters=(0, 3)), 'num clusters is 0'), (dict(num_clusters=(3, 2)), 'num clusters is from 3 to 2'),
    (dict(targets_per_cluster=(0, 1)), 'targets per cluster is 0'), (dict(spacing=(0, 1)), 'spacing is 0'),
    (dict(brightness=(-1, 1)), 'brightness is -1'), (dict(brightness=(float('nan'), 1)), 'brightness is nan'),
    (dict(brightness=(0, float('inf'))), 'brightness is from 0 to inf'), (dict(seed=2**32), 'seed is 4294967296'),
    (dict(seed='0'), "seed is '0'"), (dict(workers=10**6), 'workers is 1000000; .* from 1 to 256'),
    (dict(limit=10**9), 'limit is'), (dict(limit=1.5), 'limit is 1.5'),
    (dict(max_target_size=10**9), 'max target size'),
    (dict(region_size=10**5), 'region size is 100000'), (dict(num_clusters=(1, 10**9)), 'num clusters is from 1'),
    (dict(num_clusters=(1, )), 'num clusters is'), (dict(targets_per_cluster=(1, 2.5)), 'targets per cluster is 2.5'),
    (dict(spacing=(1, 10**9)), 'spacing is from'), (dict(brightness=3), 'brightness is 3; give two numbers')])
def test_options_out_of_range(source, tmp_path, options, message):
    own = {key: options[key] for key in ('seed', 'workers', 'limit', 'max_target_size') if key in options}
    recipe = replace(ClusterRecipe(), **{key: value for key, value in options.items() if key not in own})
    with pytest.raises(InputError, match=message):
        densify(source, tmp_path / 'out', recipe=recipe, **own)
    assert not (tmp_path / 'out').exists()


def test_sky_maps(tmp_path):
    path, labels = tmp_path / 'sky.png', np.arange(16, dtype=np.uint8).reshape(4, 4) % 2
    write_palette(path, labels)
    assert np.array_equal(read_sky(path, (4, 4)), labels == 1)
    for values in (labels, labels * 255, np.dstack([labels * 255] * 3), labels * 0, labels * 0 + 1):
        Image.fromarray(values).save(path)
        assert np.array_equal(read_sky(path, (4, 4)), values.reshape(4, 4, -1)[..., 0] > 0)
    labels[0, 0] = 255
    for bad in (labels, labels * 0 + 7):
        Image.fromarray(bad).save(path)
        with pytest.raises(InputError, match=r'sky\.png: a sky map holds 0 and 1, or 0 and 255'):
            read_sky(path, (4, 4))
    with pytest.raises(InputError, match=r'sky\.png: is 4x4'):
        read_sky(path, (4, 5))


def test_in_a_palette_255_is_ignored(tmp_path):
    path, labels = tmp_path / 'sky.png', np.arange(16, dtype=np.uint8).reshape(4, 4) % 2
    for values in (labels, labels * 255, labels + np.uint8(254) * (labels == 1), labels * 0):
        values[0, 0] = 255
        Image.fromarray(values).save(path)
        assert np.array_equal(read_sky(path, (4, 4), palette=True), values)
    Image.fromarray(labels * 7).save(path)
    with pytest.raises(InputError, match='holds 0, 1 and 255'):
        read_sky(path, (4, 4), palette=True)


def test_ignored_pixels_get_no_targets_and_stay_ignored(copy, tmp_path):
    for path in (copy / 'SkySeg/PaletteMask').iterdir():
        labels = pixels(path).copy()
        labels[:, :64][labels[:, :64] == 1] = 255
        Image.fromarray(labels).save(path)
    assert densify(copy, tmp_path / 'out', seed=SEED).pasted > 0
    for path in (copy / 'SkySeg/PaletteMask').iterdir():
        sky = pixels(path)
        assert np.array_equal(pixels(tmp_path / 'out/SkySeg/PaletteMask' / path.name), sky)
        assert np.array_equal(pixels(tmp_path / f'out/SkySeg/BinaryMask/{path.stem}_pixels0.png'), (sky == 1) * 255)
        old, new = (pixels(root / 'SIRST/PaletteMask' / path.name) for root in (copy, tmp_path / 'out'))
        assert not ((new > old) & (sky != 1)).any()


def test_binary_masks_in_the_place_of_palettes_are_refused(dense, copy, tmp_path):
    for path in (copy / 'SkySeg/PaletteMask').iterdir():
        Image.fromarray(pixels(path) * 255).save(path)
    with pytest.raises(InputError, match='holds 255 .*SkySeg/BinaryMask'):
        densify(copy, tmp_path / 'out', seed=SEED)
    assert not (tmp_path / 'out').exists()
    # In a folder that is named 255 is sky, as the option says.
    assert densify(copy, tmp_path / 'out', seed=SEED, sky=copy / 'SkySeg/PaletteMask').pasted == dense[1].pasted


def test_boxes_are_moved_only_onto_a_component(tmp_path):
    mask = np.zeros((20, 20), bool)
    mask[2:5, 3:6] = mask[10:14, 10:12] = True
    path = tmp_path / 'boxes.xml'
    # Right, one too far right and down, and one that fits neither way.
    path.write_text(voc_xml([(10, 10, 12, 14), (4, 3, 7, 6), (9, 9, 13, 15)]))
    boxes, moved = read_boxes(path, mask)
    assert boxes.tolist() == [[10, 10, 12, 14], [3, 2, 6, 5], [9, 9, 13, 15]]
    assert moved == 1


# The tool, and the real set


def test_tool(dense, source, tmp_path, tool, capsys):
    out = tmp_path / 'out'
    tool(source, out, '--seed', SEED, '--workers', 2)
    printed = capsys.readouterr().out
    assert f'8 images, 28 original targets, {dense[1].pasted} pasted; 1 images without room, 1 in colour' in printed
    assert contents(out) == contents(dense[0])
    with pytest.raises(SystemExit) as stop:
        tool(source, out, '--seed', SEED, '--spacing', 2, 2, '--num-clusters', 1, 1)
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert re.fullmatch(r'error: .*num_clusters \[1, 3\] there, \[1, 1\] now; spacing \[1, 2\] there.*\n', error)
    with pytest.raises(SystemExit) as stop:
        tool('--help')
    assert stop.value.code == 0 and '--targets-per-cluster' in capsys.readouterr().out


def test_real_images(real_data, tmp_path):
    out = tmp_path / 'dense'
    summary = densify(real_data, out, split='mini_trainval', limit=3)
    for image in (out / 'PNGImages').iterdir():
        name = image.stem
        mask = pixels(out / f'SIRST/PaletteMask/{name}.png') == 1
        new = mask & (pixels(real_data / f'SIRST/PaletteMask/{name}.png') == 0)
        boxes = boxes_of(out / f'SIRST/BBox/{name}.xml')
        assert sorted(boxes) == extents(mask)
        assert boxes[:3] == boxes_of(real_data / f'SIRST/BBox/{name}.xml')[:3]
        assert not (new & (pixels(real_data / f'SkySeg/PaletteMask/{name}.png') == 0)).any()
        assert np.array_equal(pixels(image) > pixels(real_data / f'PNGImages/{name}.png'), new)
    assert summary.images == 3 and summary.pasted >= 3
