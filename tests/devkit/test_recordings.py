"""Splits by recording: which images belong together, that groups stay whole, and what the tool writes."""
import json
import shutil
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import load_tool, write_devkit
from hypothesis import given, settings
from hypothesis import strategies as st

from bafenet.datasets import DenseSIRSTDataset
from bafenet.devkit import near_duplicates, recordings
from bafenet.devkit.devkit_files import DevkitFiles
from bafenet.devkit.layout import PACKAGED_SPLITS
from bafenet.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
VIEW = (220, 260)


def scenery(seed, side=400):
    """A place: soft clouds over blocks of several grey levels."""
    rng = np.random.default_rng(seed)
    image = cv2.GaussianBlur(rng.normal(0, 1, (side, side)), (0, 0), 12) * 500 + 90
    for x, y, width, height, level in zip(*rng.integers(0, side - 40, (2, 60)), *rng.integers(8, 40, (2, 60)),
                                          rng.integers(30, 200, 60), strict=True):
        image[y:y + height, x:x + width] = level
    return cv2.GaussianBlur(image, (0, 0), 1)


def frame(place, seed=0, shift=(60, 60), zoom=1., turn=0., gain=1., offset=0., noise=1.):
    """What a camera makes of a place: shift in pixels, turn in degrees."""
    matrix = cv2.getRotationMatrix2D((200, 200), turn, zoom)
    matrix[:, 2] -= shift
    view = cv2.warpAffine(place, matrix, VIEW[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    view = gain * view + offset + np.random.default_rng(seed).normal(0, noise, VIEW)
    return view.clip(0, 255).astype(np.uint8)


def scene(image, mask=None):
    mask = np.zeros(image.shape, bool) if mask is None else mask
    return recordings.Scene('', image.shape[::-1], 0, *near_duplicates.keypoints(image, mask))


def pairs_of(images):
    return {tuple(pair[:2]) for pair in near_duplicates.near_duplicates(list(map(scene, images))).tolist()}


@pytest.mark.parametrize(('name', 'expected'), [
    ('S7_60', 'S7'), ('iraytek-167', 'iraytek'), ('20210725-S1-561', '20210725-S1'), ('S20210713_S3_3', 'S20210713_S3'),
    ('211_HD_126', '211_HD'), ('frame', 'frame'), ('007', '007'), ('a12', 'a'),
])
def test_prefixes(name, expected):
    assert recordings.prefix(name) == expected


@pytest.mark.parametrize('change', [
    dict(noise=6), dict(shift=(95, 40)), dict(gain=0.5, offset=20), dict(gain=-0.8, offset=230, expected=False),
    dict(zoom=1.3), dict(turn=10), dict(noise=4, shift=(75, 80), gain=0.8, zoom=1.1),
], ids=str)
def test_frames_of_one_place_are_near_duplicates_and_others_are_not(change):
    expected = change.pop('expected', True)
    places = [scenery(seed) for seed in range(2)]
    images = [frame(place, seed) for seed, place in enumerate(places)]
    images += [frame(place, 10 + seed, **change) for seed, place in enumerate(places)]
    # An inverted picture looks like another place to SIFT: that is a limit, and it is as documented.
    assert pairs_of(images) == ({(0, 2), (1, 3)} if expected else set())


def test_scenes_without_structure_are_nobodys_near_duplicates():
    rng = np.random.default_rng(0)
    ramp = np.broadcast_to(np.linspace(40, 90, VIEW[0])[:, None], VIEW)
    images = [np.full(VIEW, 80, np.uint8), np.full(VIEW, 80, np.uint8)]
    images += [(ramp + rng.normal(0, 1, VIEW)).astype(np.uint8) for _ in range(3)]
    assert pairs_of(images) == set()


def test_the_same_targets_do_not_make_two_scenes_alike():
    rng = np.random.default_rng(3)
    mask = np.zeros(VIEW, bool)
    images = [frame(scenery(seed), noise=0) // 10 + 40 for seed in (0, 1)]
    for y, x in rng.integers(10, (120, 130), (60, 2)):
        size = rng.integers(3, 6)
        mask[y:y + size, x:x + size] = True
        for image in images:
            image[y:y + size, x:x + size] = 250
    assert len(near_duplicates.near_duplicates([scene(image) for image in images])) == 1
    scenes = [scene(image, mask) for image in images]
    assert len(near_duplicates.near_duplicates(scenes)) == 0
    # The rest of the image is still seen.
    assert min(len(one.points) for one in scenes) > 20


def test_one_motion_is_counted_and_each_place_once():
    rng = np.random.default_rng(0)
    here = rng.uniform(0, 300, (30, 2)).astype(np.float32)
    angle = np.deg2rad(20)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]], np.float32)
    there = 1.5 * here @ turn.T + (30, -12)
    there[20:] = rng.uniform(0, 300, (10, 2))
    there = there.astype(np.float32)
    assert near_duplicates.count_moved_alike(here, there) == 20
    twice = np.concatenate([here[:20], here[:20]]), np.concatenate([there[:20], there[:20]])
    assert near_duplicates.count_moved_alike(*twice) == 20
    assert near_duplicates.count_moved_alike(here[:20], 2 * there[:20]) == 0


def test_groups_join_prefixes_collections_and_near_duplicates():
    names = ['A_1', 'A_2', 'B_1', 'B_2', 'B_3', 'C_9', 'Misc_1', 'Misc_2', 'Misc_3']
    none = np.empty((0, 2), np.int64)
    assert recordings.group_recordings(names, none).tolist() == [1, 1, 0, 0, 0, 2, 3, 4, 5]
    # A_1 ~ C_9 joins A and C; Misc_1 ~ Misc_3 are one recording of the collection, Misc_2 stays alone.
    pairs = np.array([[0, 5], [6, 8]])
    assert recordings.group_recordings(names, pairs).tolist() == [0, 0, 1, 1, 1, 0, 2, 3, 2]
    assert recordings.group_recordings(names, none, collections=()).tolist() == [2, 2, 0, 0, 0, 3, 1, 1, 1]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 12), min_size=3, max_size=60), st.integers(0, 5))
def test_groups_are_never_divided(sizes, seed):
    groups = np.repeat(np.arange(len(sizes)), sizes)
    values = np.column_stack([np.ones(len(groups)), np.random.default_rng(seed).integers(0, 20, len(groups))])
    parts = recordings.divide(groups, values, seed=seed)
    assert len({*zip(groups.tolist(), parts.tolist(), strict=True)}) == len(sizes)
    assert np.array_equal(parts, recordings.divide(groups, values, seed=seed))


def test_a_division_has_the_shares_asked_for():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(300), rng.permutation([60, 30, 20, 10] + [4] * 46 + [1] * 250))
    targets, kind = rng.poisson(13, len(groups)), rng.random(len(groups)) < 0.3
    values = np.column_stack([np.ones(len(groups)), targets, kind])
    divisions = [recordings.divide(groups, values, seed=seed) for seed in (0, 1)]
    assert (divisions[0] != divisions[1]).any()
    for parts in divisions:
        for value in values.T:
            assert np.bincount(parts, value) / value.sum() == pytest.approx([0.5, 0.25, 0.25], abs=0.01)


def test_too_few_groups_are_refused():
    with pytest.raises(InputError, match='9 images in 2 group.* --collections'):
        recordings.divide(np.repeat([0, 1], [4, 5]), np.ones((9, 1)))


@pytest.fixture(scope='module')
def recorded(tmp_path_factory):
    """A devkit of two recordings by name, a collection of five places and one frame that two prefixes share."""
    places = {f'Misc_{i}': scenery(10 + i // 2) for i in range(10)}
    places.update({f'A-{i}': scenery(30 + i) for i in range(4)}, B_0=scenery(30), B_1=scenery(41), C_5=scenery(50))
    samples = {name: (frame(place, seed, shift=(60 + seed, 60)), [(30, 40, 34, 44)] * (1 + seed % 2), np.ones(VIEW))
               for seed, (name, place) in enumerate(places.items())}
    training = [name for name in samples if name not in ('Misc_1', 'Misc_8', 'Misc_9', 'A-2', 'B_1', 'C_5')]
    splits = {'trainval_v2': training, 'test_v2': [name for name in samples if name not in training]}
    return write_devkit(tmp_path_factory.mktemp('recorded') / 'SIRSTdevkit', samples, splits)


def names_of(file):
    return file.read_text().split()


def test_the_tool_writes_lists_that_share_no_recording(recorded, tmp_path, capsys):
    out = tmp_path / 'lists'
    tool = load_tool('dataset/recordings.py')
    before = sorted(path.relative_to(recorded) for path in recorded.rglob('*'))
    assert tool.main([str(recorded), '--out', str(out)]) == 0
    assert sorted(path.relative_to(recorded) for path in recorded.rglob('*')) == before
    lists = {part: names_of(out / f'{part}_rec.txt') for part in ('train', 'val', 'test', 'trainval')}
    assert sorted(lists['train'] + lists['val'] + lists['test']) == sorted(path.stem for path in
                                                                         (recorded / 'PNGImages').iterdir())
    assert lists['trainval'] == sorted(lists['train'] + lists['val'])
    # Misc by pairs of frames, A and B by their names and joined by their common place, C alone.
    groups = {frozenset(line.split()) for line in (out / 'groups.txt').read_text().splitlines()}
    assert groups == {frozenset((f'Misc_{i}', f'Misc_{i + 1}')) for i in range(0, 10, 2)} | {
        frozenset(('A-0', 'A-1', 'A-2', 'A-3', 'B_0', 'B_1')), frozenset(('C_5', ))}
    for group in groups:
        assert sum(bool(group & set(lists[part])) for part in ('train', 'val', 'test')) == 1
    report = json.loads((out / 'recordings.json').read_text())
    # Of Misc_1, Misc_8, Misc_9, A-2, B_1, C_5: Misc_1's twin is in trainval, A-2 and B_1 have their recording there.
    assert report['leak'] | dict(training='', testing='') == dict(
        training='', testing='', test_images=6, near_duplicate=1, same_recording=3)
    assert report['prefixes_joined'] == ['A ~ B'] and report['near_duplicate_pairs'] == 6
    printed = ' '.join(capsys.readouterr().out.split())
    assert '3 of the 6 images of test_v2 (50%) have an image of the same recording in trainval_v2' in printed
    # Again over its own folder: the same.
    assert tool.main([str(recorded), '--out', str(out)]) == 0
    assert {part: names_of(out / f'{part}_rec.txt') for part in lists} == lists
    dataset = DenseSIRSTDataset(data_root=str(recorded), ann_file=str(out / 'test_rec.txt'))
    assert [dataset.get_data_info(i)['img_id'] for i in range(len(dataset))] == lists['test']


def test_lists_of_another_name_or_all_images_are_divided(recorded, tmp_path, capsys):
    own = shutil.copytree(recorded, tmp_path / 'own')
    for part in ('trainval', 'test'):
        (own / f'Splits/{part}_v2.txt').rename(own / f'Splits/{part}_mine.txt')
    tool = load_tool('dataset/recordings.py')
    with pytest.raises(SystemExit, match='2'):
        tool.main([str(own), '--out', str(tmp_path / 'lists')])
    error = capsys.readouterr().err
    assert 'trainval_v2.txt: no such split; there are: test_mine, trainval_mine;' in error
    assert '--splits NAME (trainval_NAME and test_NAME)' in error and '--all-images' in error
    for options in (['--splits', 'mine'], ['--all-images']):
        assert tool.main([str(own), '--out', str(tmp_path / 'lists'), *options]) == 0
        assert ('images of test_mine' in capsys.readouterr().out) == ('mine' in options)
        report = json.loads((tmp_path / 'lists/recordings.json').read_text())
        assert report['images'] == 17 and (report['leak'] is None) == (report['splits'] is None)
    # Without any lists, and then by its own.
    shutil.rmtree(own / 'Splits')
    assert tool.main([str(own), '--out', str(tmp_path / 'lists'), '--all-images']) == 0
    (own / 'Splits').mkdir()
    for file in (tmp_path / 'lists').glob('*_rec.txt'):
        shutil.copy(file, own / 'Splits')
    assert len(DenseSIRSTDataset(data_root=str(own), ann_file='Splits/test_rec.txt')) == len(
        names_of(tmp_path / 'lists/test_rec.txt'))


@pytest.mark.parametrize(('options', 'message'), [
    (['--seed', '-1'], '--seed -1'), (['--min-matches', '2'], '--min-matches 2'), (['--workers', '0'], '--workers 0'),
    (['--seed', str(2**32)], '--seed 4294967296'), (['--min-matches', '1000'], '--min-matches 1000'),
    (['--workers', '1000000'], '--workers 1000000'),
])
def test_bad_options_are_one_line(recorded, tmp_path, capsys, options, message):
    with pytest.raises(SystemExit, match='2'):
        load_tool('dataset/recordings.py').main([str(recorded), '--out', str(tmp_path / 'out'), *options])
    error = capsys.readouterr().err
    assert error.startswith(f'error: {message}') and error.count('\n') == 1
    assert not list(tmp_path.iterdir())


def test_another_folder_or_a_missing_split_is_refused(recorded, tmp_path):
    (tmp_path / 'kept.txt').write_text('mine')
    with pytest.raises(InputError, match='exists and is not of this tool'):
        recordings.split_by_recording(recorded, tmp_path)
    with pytest.raises(InputError, match='exists and is not of this tool'):
        recordings.split_by_recording(recorded, recorded / 'Splits')
    with pytest.raises(InputError, match='trainval_v2.txt: no such split'):
        recordings.split_by_recording(tmp_path, tmp_path / 'out')
    assert [path.name for path in tmp_path.iterdir()] == ['kept.txt']


def test_a_folder_with_files_of_others_is_not_replaced(recorded, tmp_path):
    (tmp_path / recordings.REPORT_FILE).write_text('{}')
    (tmp_path / 'kept.txt').write_text('mine')
    with pytest.raises(InputError, match='exists and is not of this tool'):
        recordings.split_by_recording(recorded, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['kept.txt', recordings.REPORT_FILE]


def test_boxes_stand_for_absent_target_masks_and_any_class_and_depth_is_read(recorded, tmp_path):
    root = shutil.copytree(recorded, tmp_path / 'kit')
    files = DevkitFiles(root)
    expected = {name: near_duplicates.read_scene(files, name) for name in files.names()[:3]}
    shutil.rmtree(root / 'SIRST/PaletteMask')
    for name in expected:
        # With both ends of the range the percentiles give the 8 bits back, but for rounding.
        path = root / f'PNGImages/{name}.png'
        grey = cv2.imread(str(path), 0)
        cv2.imwrite(str(path.with_suffix('.tif')), grey.astype(np.uint16) * 100)
        path.unlink()
        xml = root / f'SIRST/BBox/{name}.xml'
        xml.write_text(xml.read_text().replace('Target', 'Bird'))
    files = DevkitFiles(root)
    for name, scene in expected.items():
        again = near_duplicates.read_scene(files, name)
        assert (again.size, again.targets) == (scene.size, scene.targets)
        matches = near_duplicates.near_duplicates([scene, again])
        assert len(matches) == 1 and matches[0, 2] > len(scene.points) / 2


def test_an_output_is_tried_before_the_work_and_leavings_go(recorded, tmp_path, monkeypatch):
    (tmp_path / '.out-bafenet-abc').mkdir()
    (tmp_path / 'file').touch()
    with monkeypatch.context() as patch:
        patch.setattr(recordings, 'read_scene', None)
        for out in (tmp_path / 'file' / 'out', '/proc/none'):
            with pytest.raises(InputError, match='--out .*cannot be written'):
                recordings.split_by_recording(recorded, out)
    recordings.split_by_recording(recorded, tmp_path / 'out')
    assert sorted(path.name for path in tmp_path.iterdir()) == ['file', 'out']


# --- The lists that come with the package -----------------------------------------------------------------------------


def packaged():
    return {part: names_of(PACKAGED_SPLITS / f'{part}_rec.txt') for part in ('train', 'val', 'test', 'trainval')}


def test_the_packaged_lists_divide_no_recording():
    lists = packaged()
    part_of = {name: part for part in ('train', 'val', 'test') for name in lists[part]}
    assert len(part_of) == sum(len(lists[part]) for part in ('train', 'val', 'test')) == 1024
    assert lists['trainval'] == sorted(lists['train'] + lists['val'])
    groups = [line.split() for line in (PACKAGED_SPLITS / 'groups.txt').read_text().splitlines()]
    assert sorted(name for group in groups for name in group) == sorted(part_of)
    assert all(len({part_of[name] for name in group}) == 1 for group in groups)
    parts = {}
    for name, part in part_of.items():
        parts.setdefault(recordings.prefix(name), set()).add(part)
    assert {head for head, found in parts.items() if len(found) > 1} == {'Misc', 'iraytek'}


def test_real_packaged_lists_are_of_the_real_images(real_data):
    lists = packaged()
    names = names_of(real_data / 'Splits/trainval_v2.txt') + names_of(real_data / 'Splits/test_v2.txt')
    assert sorted(lists['trainval'] + lists['test']) == sorted(names)
    dataset = DenseSIRSTDataset(data_root=str(real_data), ann_file='Splits/test_rec.txt')
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    assert [info['img_id'] for info in infos] == lists['test']
    # A quarter of the images and of the 13,655 targets.
    assert len(infos) == pytest.approx(256, abs=5)
    assert sum(len(info['instances']) for info in infos) == pytest.approx(13655 / 4, rel=0.02)


def test_real_near_duplicates(real_data):
    """Pairs that were looked at: one scene each, enhanced, zoomed or driven on; between them nothing in common."""
    same = [('S1_24', 'S3_6'), ('202105-Enhance-44', 'S1_44'), ('Misc_57', 'Misc_59'), ('Misc_185', 'Misc_336'),
            ('iraytek-227', 'iraytek-385')]
    names = [name for pair in same for name in pair]
    files = DevkitFiles(real_data)
    pairs = near_duplicates.near_duplicates([near_duplicates.read_scene(files, name) for name in names])
    found = {frozenset((names[first], names[second])) for first, second, _ in pairs.tolist()}
    assert set(map(frozenset, same)) <= found
    unlike = {frozenset((a, b)) for one, two in combinations(same, 2) for a in one for b in two}
    assert not found & unlike


def test_real_test_split_and_training_images_share_recordings(real_data):
    testing, training = (set(names_of(real_data / f'Splits/{split}.txt')) for split in ('test_v2', 'trainval_v2'))
    groups = [set(line.split()) for line in (PACKAGED_SPLITS / 'groups.txt').read_text().splitlines()]
    assert sum(len(group & testing) for group in groups if group & training) == 105
