"""The written demo set: layout and formats of SIRSTdevkit, and that a folder is whole or as it was before."""
import hashlib
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from conftest import load_tool
from PIL import Image
from scipy import ndimage

from bafenet import fileio
from bafenet.devkit.write import sample_files
from bafenet.errors import InputError
from bafenet.synthesis import make_demo
from bafenet.synthesis.make_demo import draw_splits, write_demo_set
from bafenet.synthesis.scenes import draw_scene

COUNT, SIZE, SEED = 15, 96, 4
NAMES = [f'demo_{index:04d}' for index in range(1, COUNT + 1)]


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    out = tmp_path_factory.mktemp('sets') / 'demo'
    assert write_demo_set(out, COUNT, SIZE, SEED)
    return out


@pytest.fixture(scope='module')
def tool():
    return load_tool('dataset/make_demo.py')


def contents(folder):
    """Every file below a folder with a digest of its bytes."""
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob('*')) if path.is_file()}


def read_boxes(path):
    return [[int(node.find('bndbox').findtext(tag)) for tag in ('xmin', 'ymin', 'xmax', 'ymax')]
            for node in ET.parse(path).getroot().iter('object')]


def test_layout_is_complete(root):
    expected = {'demo_set.json'} | {f'Splits/{name}_v2.txt' for name in ('train', 'val', 'test', 'trainval')}
    for name in NAMES:
        expected |= {f'PNGImages/{name}.png', f'SIRST/BBox/{name}.xml', f'SIRST/Point_label/{name}_pixels0.txt'}
        for task in ('SIRST', 'SkySeg'):
            expected |= {f'{task}/BinaryMask/{name}_pixels0.png', f'{task}/BinaryMask/{name}.xml',
                         f'{task}/PaletteMask/{name}.png'}
    assert set(contents(root)) == expected
    assert [path.name for path in root.parent.iterdir()] == ['demo']


def test_formats_and_values_are_those_of_the_real_devkit(root):
    for number, name in enumerate(NAMES, 1):
        scene = draw_scene(SEED, number, SIZE)
        image = Image.open(root / 'PNGImages' / f'{name}.png')
        assert image.mode == 'L'
        np.testing.assert_array_equal(np.asarray(image), scene.image)
        for task, mask, second in (('SIRST', scene.target_mask, [255, 0, 0]), ('SkySeg', scene.sky, [128, 0, 0])):
            binary = Image.open(root / task / 'BinaryMask' / f'{name}_pixels0.png')
            indexed = Image.open(root / task / 'PaletteMask' / f'{name}.png')
            assert (binary.mode, indexed.mode) == ('L', 'P')
            np.testing.assert_array_equal(np.asarray(binary), mask * np.uint8(255))
            np.testing.assert_array_equal(np.asarray(indexed), mask.astype(np.uint8))
            assert indexed.getpalette()[:6] == [0, 0, 0, *second]


def test_sky_palette_is_that_of_pascal_voc(root):
    palette = Image.open(root / 'SkySeg' / 'PaletteMask' / f'{NAMES[0]}.png').getpalette()
    assert len(palette) == 768
    assert palette[:21] == [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0, 0, 0, 128, 128, 0, 128, 0, 128, 128]
    assert palette[-3:] == [224, 224, 192]


def test_boxes_and_points_come_back_from_the_files(root):
    for name in NAMES:
        mask = np.asarray(Image.open(root / 'SIRST' / 'PaletteMask' / f'{name}.png'))
        labels, count = ndimage.label(mask, np.ones((3, 3)))
        extents = [[x.start, y.start, x.stop, y.stop] for y, x in ndimage.find_objects(labels)]
        boxes = read_boxes(root / 'SIRST' / 'BBox' / f'{name}.xml')
        assert sorted(boxes) == sorted(extents)
        points = [list(map(int, line.split())) for line in
                  (root / 'SIRST' / 'Point_label' / f'{name}_pixels0.txt').read_text().splitlines()]
        assert len(points) == len(boxes)
        for (x, y), (x1, y1, x2, y2) in zip(points, boxes, strict=True):
            inside = [(j, i) for i in range(y1, y2) for j in range(x1, x2) if mask[i, j]]
            assert x == sum(j for j, _ in inside) // len(inside)
            assert y == sum(i for _, i in inside) // len(inside)


def test_xml_says_name_size_and_class(root):
    tree = ET.parse(root / 'SIRST' / 'BBox' / f'{NAMES[0]}.xml').getroot()
    assert tree.tag == 'annotation'
    assert tree.findtext('filename') == NAMES[0]
    assert [tree.findtext(f'size/{tag}') for tag in ('width', 'height', 'depth')] == [str(SIZE), str(SIZE), '1']
    assert {node.findtext('name') for node in tree.iter('object')} == {'Target'}
    sky = ET.parse(root / 'SkySeg' / 'BinaryMask' / f'{NAMES[0]}.xml').getroot()
    assert sky.findtext('filename') == f'{NAMES[0]}.png' and sky.findtext('object/name') == 'Sky'


def test_splits_are_disjoint_and_complete(root):
    splits = {path.stem: path.read_text().split('\n') for path in (root / 'Splits').iterdir()}
    assert sorted(splits['train_v2'] + splits['val_v2'] + splits['test_v2']) == NAMES
    assert sorted(splits['train_v2'] + splits['val_v2']) == sorted(splits['trainval_v2'])


def test_split_sizes_and_seed():
    names = [f'demo_{index:04d}' for index in range(300)]
    splits = draw_splits(names, 0)
    assert {split: len(part) for split, part in splits.items()} == {
        'train_v2': 200, 'val_v2': 40, 'test_v2': 60, 'trainval_v2': 240}
    assert draw_splits(names[::-1], 0) == splits != draw_splits(names, 1)
    assert all(len(part) for part in draw_splits(names[:3], 0).values())


def test_workers_change_nothing(root, tmp_path):
    write_demo_set(tmp_path / 'demo', COUNT, SIZE, SEED, workers=2)
    assert contents(tmp_path / 'demo') == contents(root)


def test_same_settings_are_left_alone(root):
    before = {path: path.stat().st_mtime_ns for path in root.rglob('*')}
    assert not write_demo_set(root, COUNT, SIZE, SEED)
    assert {path: path.stat().st_mtime_ns for path in root.rglob('*')} == before


def test_what_is_not_ours_is_never_replaced(tmp_path):
    (tmp_path / 'precious').write_text('mine')
    for force in (False, True):
        with pytest.raises(InputError, match='not a demo set'):
            write_demo_set(tmp_path, 3, SIZE, force=force)
        with pytest.raises(InputError, match='not a demo set'):
            write_demo_set(tmp_path / 'precious', 3, SIZE, force=force)
    assert contents(tmp_path) == {'precious': hashlib.sha256(b'mine').hexdigest()}


@pytest.mark.parametrize('text', ['[]', '{', '{"set": "another"}', '{"set": []}', '[' * 100_000, '1' * 5000])
def test_a_foreign_settings_file_does_not_make_it_ours(tmp_path, text):
    (tmp_path / 'demo_set.json').write_text(text)
    with pytest.raises(InputError, match='not a demo set'):
        write_demo_set(tmp_path, 3, SIZE, force=True)


def test_other_settings_need_force(tmp_path):
    out = tmp_path / 'demo'
    out.mkdir()  # an empty folder is not in the way
    assert write_demo_set(out, 3, SIZE, seed=0)
    before = contents(out)
    with pytest.raises(InputError, match='--force'):
        write_demo_set(out, 3, SIZE, seed=1)
    assert contents(out) == before
    assert write_demo_set(out, 3, SIZE, seed=1, force=True)
    assert json.loads((out / 'demo_set.json').read_text())['seed'] == 1
    assert contents(out).keys() == before.keys()
    assert [path.name for path in tmp_path.iterdir()] == ['demo']


def test_what_is_no_part_of_the_set_is_not_lost_with_it(tmp_path):
    out = tmp_path / 'demo'
    write_demo_set(out, 3, SIZE, seed=0)
    (out / 'TargetLibrary').mkdir()
    (out / 'notes.txt').write_text('mine')
    before = contents(out)
    with pytest.raises(InputError, match='notes.txt: is no part of the demo set'):
        write_demo_set(out, 3, SIZE, seed=1, force=True)
    assert contents(out) == before
    (out / 'notes.txt').unlink()
    assert write_demo_set(out, 3, SIZE, seed=1, force=True)


@pytest.mark.parametrize('broken', ['write_sample', 'write_splits'])
def test_a_failure_leaves_everything_as_it_was(tmp_path, monkeypatch, broken):
    out = tmp_path / 'demo'
    write_demo_set(out, 3, SIZE, seed=0)
    before = contents(tmp_path)

    def fail(*_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(make_demo, broken, fail)
    for target, force in ((out, True), (tmp_path / 'new', False)):
        with pytest.raises(InputError, match='No space left on device'):
            write_demo_set(target, 3, SIZE, seed=1, force=force)
        assert contents(tmp_path) == before
        assert [path.name for path in tmp_path.iterdir()] == ['demo']


def test_a_failing_rename_brings_the_old_set_back(tmp_path, monkeypatch):
    out = tmp_path / 'demo'
    write_demo_set(out, 3, SIZE, seed=0)
    before, replace = contents(tmp_path), fileio.os.replace

    def fail_for_the_new_one(source, target):
        if Path(source).name == 'new':
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(fileio.os, 'replace', fail_for_the_new_one)
    with pytest.raises(KeyboardInterrupt):
        write_demo_set(out, 3, SIZE, seed=1, force=True)
    assert contents(tmp_path) == before


@pytest.mark.parametrize('bad', [
    {'images': 2}, {'size': 95}, {'seed': -1}, {'workers': 0}, {'images': 10**9}, {'size': 100_000}, {'seed': 2**32},
    {'workers': 10**6}, {'images': 3.5}, {'size': '96'}, {'seed': None}, {'workers': True}])
def test_arguments_out_of_range_are_named(tmp_path, bad):
    with pytest.raises(InputError, match=f'^{next(iter(bad))} is .*; give a whole number from .* to '):
        write_demo_set(tmp_path / 'demo', **{'images': 3, 'size': SIZE, **bad})
    assert not any(tmp_path.iterdir())


def test_what_a_killed_run_has_left_goes_with_the_next(tmp_path):
    (tmp_path / '.demo-bafenet-abc' / 'new').mkdir(parents=True)
    (tmp_path / '.other-bafenet-abc').mkdir()
    write_demo_set(tmp_path / 'demo', 3, SIZE)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['.other-bafenet-abc', 'demo']


def test_a_place_that_cannot_be_written_is_told_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(make_demo, 'draw_scene', None)
    (tmp_path / 'file').touch()
    for out in (tmp_path / 'file' / 'demo', Path('/proc/demo')):
        with pytest.raises(InputError, match='cannot be written') as error:
            write_demo_set(out, 3, SIZE)
        assert '\n' not in str(error.value)


def test_a_sample_has_all_of_its_files(root):
    assert set(contents(root)) == {'demo_set.json', *(f'Splits/{name}_v2.txt' for name in (
        'train', 'val', 'test', 'trainval')), *(str(path.relative_to(root)) for name in NAMES
                                                for path in sample_files(root, name))}


def test_the_tool_writes_says_so_and_refuses_in_one_line(tool, tmp_path, capsys):
    call = [str(tmp_path / 'demo'), '--images', '3', '--size', str(SIZE)]
    assert tool.main(call) == 0 and 'written' in capsys.readouterr().out
    assert tool.main(call) == 0 and 'already' in capsys.readouterr().out
    assert tool.main([*call, '--seed', '1']) == 2
    refused = capsys.readouterr().err.strip().splitlines()
    assert len([line for line in refused if line.startswith('error: ')]) == 1 and '--force' in refused[-1]


def test_the_tool_reports_without_writing(tool, tmp_path, capsys):
    assert tool.main([str(tmp_path / 'demo'), '--report', '--images', '12', '--size', str(SIZE)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert set(report) == {'brightness', 'local_contrast'} and 'f1_in_sky' in report['brightness']
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize('options', [['--images', '100001'], ['--images', '2'], ['--size', '95'], ['--seed', '-1']])
@pytest.mark.parametrize('mode', [[], ['--report']])
def test_the_tool_refuses_what_the_set_refuses(tool, tmp_path, capsys, options, mode):
    with pytest.raises(SystemExit) as caught:
        tool.main([str(tmp_path / 'demo'), *mode, *options])
    assert caught.value.code == 2 and f'error: {options[0]} {options[1]}: give a' in capsys.readouterr().err
    assert not any(tmp_path.iterdir())
