"""The target library: which pixels it takes, what its file holds and refuses, and the two layouts that it reads."""
import io
import json
import os
import pickle
import shutil
import struct
import sys
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import load_tool
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from bafenet.errors import InputError
from bafenet.synthesis.library import (
    RING,
    build_library,
    component_boxes,
    find_layout,
    load_library,
    read_grey,
    save_library,
    shrink,
    split_patches,
    write_library,
)

PATCHES = [np.arange(1, 7, dtype=np.uint8).reshape(2, 3), np.array([[255]], np.uint8), np.full((9, 4), 7, np.uint8)]


def random_scene(seed, shape=(60, 70), count=25):
    """An image of noise without zeros and a mask of random blobs, some of which touch each other or the border."""
    rng = np.random.default_rng(seed)
    image = rng.integers(1, 256, shape, dtype=np.uint8)
    mask = np.zeros(shape, bool)
    for row, col in rng.integers(0, shape, (count, 2)):
        mask[row:row + 4, col:col + 4] |= rng.random(mask[row:row + 4, col:col + 4].shape) < 0.6
    return image, mask


def write_pair(folder, image, mask):
    paths = [str(folder / f'{kind}.png') for kind in ('image', 'mask')]
    Image.fromarray(image).save(paths[0])
    Image.fromarray(mask.astype(np.uint8) * 255).save(paths[1])
    return [paths[:1], paths[1:]]


def extents(mask):
    """Slices around the 8-connected components, by their top edge and then by their left one."""
    found = ndimage.find_objects(ndimage.label(mask, np.ones((3, 3)))[0])
    return sorted(found, key=lambda spot: (spot[0].start, spot[1].start))


def same(ours, theirs):
    return len(ours) == len(theirs) and all(map(np.array_equal, ours, theirs))


@pytest.fixture
def tool(monkeypatch):
    module = load_tool('dataset/build_library.py')

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', ['build_library.py', *map(str, arguments)])
        module.main()
    return run


@pytest.fixture
def sirst_v2(devkit, tmp_path):
    """The devkit's files under the names of SIRST-V2."""
    root = tmp_path / 'open-sirst-v2'
    shutil.copytree(devkit / 'PNGImages', root / 'mixed')
    shutil.copytree(devkit / 'Splits', root / 'splits')
    (root / 'annotations/masks').mkdir(parents=True)
    for path in (devkit / 'SIRST/PaletteMask').iterdir():
        mask = np.asarray(Image.open(path)) * np.uint8(255)
        Image.fromarray(mask).save(root / 'annotations/masks' / f'{path.stem}_pixels0.png')
    return root


# What is cut out


@pytest.mark.parametrize('seed', range(5))
def test_patches_are_the_boxes_of_the_mask_components(tmp_path, seed):
    image, mask = random_scene(seed)
    spots = extents(mask)
    assert len(spots) > 10
    assert component_boxes(mask).tolist() == [[x.start, y.start, x.stop, y.stop] for y, x in spots]
    assert same(build_library(*write_pair(tmp_path, image, mask)), [image[spot] for spot in spots])


@pytest.mark.parametrize('seed', range(5))
def test_background_is_the_median_of_the_ring_without_targets(tmp_path, seed):
    image, mask = random_scene(seed)
    expected = []
    for rows, cols in extents(mask):
        ring = [int(image[y, x]) for y in range(rows.start - RING, rows.stop + RING)
                for x in range(cols.start - RING, cols.stop + RING)
                if 0 <= y < 60 and 0 <= x < 70 and not mask[y, x]
                and not (rows.start <= y < rows.stop and cols.start <= x < cols.stop)]
        patch = np.maximum(np.floor(image[rows, cols] - np.median(ring)), 0)
        if patch.any():
            expected.append(patch)
    patches = build_library(*write_pair(tmp_path, image, mask), remove_background=True)
    assert same(patches, expected)


def test_a_target_as_large_as_its_image_has_no_ring(tmp_path):
    image = np.full((3, 4), 9, np.uint8)
    assert same(build_library(*write_pair(tmp_path, image, image > 0), remove_background=True), [image])


def test_dark_targets_are_left_out(tmp_path):
    image, mask = np.zeros((10, 10), np.uint8), np.zeros((10, 10), bool)
    mask[1:3, 1:3] = mask[6:9, 6:8] = True
    image[6, 6] = 40
    assert same(build_library(*write_pair(tmp_path, image, mask)), [image[6:9, 6:8]])


def test_no_target_at_all_is_an_error(tmp_path):
    image, mask = random_scene(0)
    with pytest.raises(InputError, match='no target in 1 images'):
        build_library(*write_pair(tmp_path, image, mask & False))


def test_mask_of_another_size_is_an_error(tmp_path):
    image, mask = random_scene(0)
    with pytest.raises(InputError, match=r'mask\.png: is 69x60 .* 70x60'):
        build_library(*write_pair(tmp_path, image, mask[:, 1:]))


def test_both_layouts_give_the_same_targets(devkit, sirst_v2):
    ours = split_patches(find_layout(devkit), 'train_v2')
    assert len(ours) == 8 * 4
    assert all(patch.shape == (6, 6) and (patch == 220).all() for patch in ours)
    assert same(split_patches(find_layout(sirst_v2), 'train_v2'), ours)


def test_binary_masks_serve_where_palette_masks_are_missing(devkit, tmp_path):
    root = shutil.copytree(devkit, tmp_path / 'kit')
    (root / 'SIRST/BinaryMask').mkdir()
    moved = root / 'SIRST/BinaryMask/scene_0_pixels0.png'
    (root / 'SIRST/PaletteMask/scene_0.png').rename(moved)
    layout = find_layout(root)
    assert layout.target_mask('scene_0') == moved
    assert same(split_patches(layout, 'train_v2'), split_patches(find_layout(devkit), 'train_v2'))
    with pytest.raises(InputError, match=r'scene_1.*no such target mask'):
        (root / 'SIRST/PaletteMask/scene_1.png').unlink()
        split_patches(layout, 'train_v2')


def test_real_targets(real_data):
    layout = find_layout(real_data)
    expected = []
    for name in layout.split('mini_trainval'):
        image = np.asarray(Image.open(real_data / f'PNGImages/{name}.png').convert('L'))
        mask = np.asarray(Image.open(real_data / f'SIRST/BinaryMask/{name}_pixels0.png')) == 255
        expected += [image[spot] for spot in extents(mask)]
    assert len(expected) > 10
    assert same(split_patches(layout, 'mini_trainval'), expected)


# Images


def test_colours_become_grey_and_are_reported(tmp_path):
    grey = random_scene(0)[0]
    colour = np.stack([grey, grey[::-1], grey], axis=-1)
    alpha = np.dstack([grey, grey, grey, grey[::-1]])
    for name, image, expected, has_colours in (
        ('grey', grey, grey, False), ('equal', np.dstack([grey] * 3), grey, False), ('alpha', alpha, grey, False),
        ('colour', colour, np.rint(colour @ [0.299, 0.587, 0.114]), True)):
        path = tmp_path / f'{name}.png'
        Image.fromarray(image).save(path)
        read, coloured = read_grey(path)
        assert read.dtype == np.uint8 and coloured is has_colours
        np.testing.assert_allclose(read, expected, atol=0 if not has_colours else 1)


@pytest.mark.parametrize('content, message', [
    (b'no image', 'does not decode'), (b'', 'does not decode'), (None, 'no such file')])
def test_bad_images_are_named(tmp_path, content, message):
    path = tmp_path / 'bad.png'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=rf'bad\.png: .*{message}'):
        read_grey(path)


def test_truncated_and_deep_images_are_named(tmp_path):
    path = tmp_path / 'image.png'
    Image.fromarray(random_scene(0)[0]).save(path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(InputError, match=r'image\.png: does not decode'):
        read_grey(path)
    Image.fromarray(np.full((4, 4), 4000, np.uint16)).save(path)
    with pytest.raises(InputError, match='more than 8 bits'):
        read_grey(path)


# Layouts


def test_a_folder_of_neither_layout_is_an_error(tmp_path):
    with pytest.raises(InputError, match='neither a SIRSTdevkit .* nor SIRST-V2'):
        find_layout(tmp_path)
    with pytest.raises(InputError, match='nowhere: no such folder'):
        find_layout(tmp_path / 'nowhere')


@pytest.mark.parametrize('text, message', [
    (None, r'no such split; there are: mine, test_v2'), ('', 'names no image'), ('a\n../b', "'../b' is not an image"),
    ('a\\b', 'is not an image name'), (b'\xff\xfe\x00', 'cannot be read as text')])
def test_bad_splits_are_named(devkit, tmp_path, text, message):
    root = shutil.copytree(devkit, tmp_path / 'kit')
    path = root / 'Splits/mine.txt'
    path.write_bytes(text if isinstance(text, bytes) else (text or '').encode())
    with pytest.raises(InputError, match=message):
        find_layout(root).split('mine' if text is not None else 'other')


def test_sky_maps_of_a_layout_and_of_a_folder_of_their_own(devkit, sirst_v2, tmp_path):
    assert find_layout(devkit).sky_map('scene_3') == devkit / 'SkySeg/PaletteMask/scene_3.png'
    with pytest.raises(InputError, match='--sky'):
        find_layout(sirst_v2).sky_map('scene_3')
    own = tmp_path / 'sky'
    own.mkdir()
    (own / 'scene_3_pixels0.png').touch()
    for root in (devkit, sirst_v2):
        layout = find_layout(root, own)
        assert layout.sky_map('scene_3') == own / 'scene_3_pixels0.png'
        with pytest.raises(InputError, match='scene_4.*no such sky map'):
            layout.sky_map('scene_4')


def test_names_are_sorted_and_without_leavings(devkit, tmp_path):
    root = shutil.copytree(devkit, tmp_path / 'kit')
    (root / 'PNGImages/._scene_1.png').touch()
    (root / 'PNGImages/notes.txt').touch()
    assert find_layout(root).names() == sorted(f'scene_{index}' for index in range(12))


# Shrinking


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 9))
def test_shrink_keeps_to_the_limit_and_to_the_aspect(height, width, limit):
    patch = np.random.default_rng(0).integers(0, 256, (height, width), dtype=np.uint8)
    small = shrink(patch, limit)
    factor = min(1, limit / max(height, width))
    assert small.dtype == np.uint8 and max(small.shape) == min(limit, max(height, width))
    for side, before in zip(small.shape, patch.shape, strict=True):
        assert side == 1 or abs(side - before * factor) <= 0.5
    assert patch.min() <= small.min() and small.max() <= patch.max()
    if factor == 1:
        assert np.array_equal(small, patch)


def test_shrink_averages_areas():
    patch = np.random.default_rng(1).integers(0, 256, (10, 6), dtype=np.uint8)
    expected = patch.reshape(5, 2, 3, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(shrink(patch, 5), expected, atol=0.5)


# The file


def test_round_trip_without_pickle(tmp_path):
    path = tmp_path / 'library.npz'
    save_library(path, PATCHES, {'source': 'SIRSTdevkit', 'split': 'train_v2'})
    library = load_library(path)
    assert library.sizes.tolist() == [[2, 3], [1, 1], [9, 4]]
    assert library.patches.shape == (3, 9, 4) and library.patches.dtype == np.uint8
    assert same([patch[:h, :w] for patch, (h, w) in zip(*library, strict=True)], PATCHES)
    with np.load(path, allow_pickle=False) as archive:
        assert json.loads(str(archive['meta'])) == {'source': 'SIRSTdevkit', 'split': 'train_v2'}
        assert archive['pixels'].tolist() == [1, 2, 3, 4, 5, 6, 255, *[7] * 36]


def test_large_targets_are_shrunk_when_loaded(tmp_path):
    path = tmp_path / 'library.npz'
    save_library(path, PATCHES, {})
    library = load_library(path, max_target_size=5)
    assert library.sizes.tolist() == [[2, 3], [1, 1], [5, 2]]
    assert library.patches.shape == (3, 5, 3)
    assert (library.patches[2, :5, :2] == 7).all()


def test_same_patches_same_bytes(tmp_path):
    for name in 'ab':
        save_library(tmp_path / f'{name}.npz', PATCHES, {'split': 's'})
    assert (tmp_path / 'a.npz').read_bytes() == (tmp_path / 'b.npz').read_bytes()


class Trap:
    """Unpickling it leaves a trace."""

    def __reduce__(self):
        return Path.touch, (Path('trap_was_sprung'), )


GOOD = dict(pixels=np.ones(6, np.uint8), sizes=np.array([[2, 3]]), meta=np.array('{}'))
BAD_ARRAYS = {
    'object sizes': dict(sizes=np.array([Trap(), Trap()], object)),
    'object meta': dict(meta=np.array(Trap(), object)),
    'missing key': dict(meta=None),
    'further key': dict(extra=np.ones(1)),
    'too few pixels': dict(pixels=np.ones(5, np.uint8)),
    'too many pixels': dict(pixels=np.ones(7, np.uint8)),
    'other dtype': dict(pixels=np.ones(6)),
    'two axes': dict(pixels=np.ones((2, 3), np.uint8)),
    'float sizes': dict(sizes=np.array([[2.0, 3.0]])),
    'triples': dict(sizes=np.array([[2, 3, 1]])),
    'no patch': dict(pixels=np.ones(0, np.uint8), sizes=np.ones((0, 2), int)),
    'negative': dict(sizes=np.array([[-2, -3]])),
    'zero': dict(sizes=np.array([[2, 3], [0, 5]])),
    'product overflows': dict(sizes=np.array([[2**32, 2**32], [2, 3]])),
    'unsigned overflow': dict(sizes=np.array([[2**64 - 2, 2**64 - 3]], np.uint64)),
}


@pytest.mark.parametrize('change', BAD_ARRAYS.values(), ids=BAD_ARRAYS)
def test_foreign_arrays_are_refused(tmp_path, monkeypatch, change):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / 'library.npz'
    np.savez(path, **{key: value for key, value in {**GOOD, **change}.items() if value is not None})
    with pytest.raises(InputError, match=r'library\.npz: not a target library') as error:
        load_library(path, 5)
    assert '\n' not in str(error.value)
    assert not Path('trap_was_sprung').exists()
    np.savez(path, **GOOD)
    assert load_library(path, 5).sizes.tolist() == [[2, 3]]


def hostile_files():
    header = "{'descr': '|u1', 'fortran_order': False, 'shape': (%s,), }"
    def member(text):
        return b'\x93NUMPY\x01\x00' + len(text).to_bytes(2, 'little') + text.encode('latin1')
    yield 'empty', b''
    yield 'text', b'not an archive'
    yield 'pickle', pickle.dumps(Trap())
    yield 'huge claim', member(header % 10**15)
    yield 'broken header', member("{'descr': (\n")
    yield 'call in header', member('__import__("os").getcwd()\n')


@pytest.mark.parametrize('content', [content for _, content in hostile_files()], ids=[n for n, _ in hostile_files()])
@pytest.mark.parametrize('packed', [False, True])
def test_hostile_files_are_refused(tmp_path, monkeypatch, content, packed):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / 'library.npz'
    path.write_bytes(content)
    if packed:
        with zipfile.ZipFile(path, 'w') as archive:
            for key in GOOD:
                archive.writestr(f'{key}.npy', content)
    with pytest.raises(InputError, match=r'library\.npz: not a target library') as error:
        load_library(path)
    assert '\n' not in str(error.value)
    assert not Path('trap_was_sprung').exists()


def zip_of(path, members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, 'w', compression) as archive:
        for name, data in members:
            archive.writestr(name, data)


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def bombs():
    small = [('pixels.npy', npy(GOOD['pixels'])), ('sizes.npy', npy(GOOD['sizes'])), ('meta.npy', npy(GOOD['meta']))]
    many = np.ones(1_000_000, np.uint8)
    yield 'bz2', small, zipfile.ZIP_BZIP2, 'compressed in another way'
    yield 'lzma', small, zipfile.ZIP_LZMA, 'compressed in another way'
    yield 'twice', small + small[:1], zipfile.ZIP_DEFLATED, 'must hold'
    yield 'in a folder', [(f'../{name}', data) for name, data in small], zipfile.ZIP_DEFLATED, 'must hold'
    yield 'patches', [('pixels.npy', npy(many)), ('sizes.npy', npy(np.ones((len(many), 2), np.int8))), small[2]], \
        zipfile.ZIP_DEFLATED, 'more than 200,000 patches'
    yield 'meta', [*small[:2], ('meta.npy', npy(np.array('a' * 10**6)))], zipfile.ZIP_DEFLATED, 'unpacks to more'
    yield 'pixels', [('pixels.npy', bytes(300 * 2**20)), *small[1:]], zipfile.ZIP_DEFLATED, 'unpacks to more'
    yield 'members', [(str(index), b'') for index in range(5000)], zipfile.ZIP_DEFLATED, 'must hold'


@pytest.mark.parametrize('kind', ['bz2', 'lzma', 'twice', 'in a folder', 'patches', 'meta', 'pixels', 'members'])
@pytest.mark.filterwarnings('ignore:Duplicate name')
def test_bombs_are_refused_in_one_line(tmp_path, kind):
    path = tmp_path / 'library.npz'
    _, members, compression, message = next(bomb for bomb in bombs() if bomb[0] == kind)
    zip_of(path, members, compression)
    del members
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=rf'library\.npz: not a target library \(.*{message}') as error:
            load_library(path, 5)
        assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
    finally:
        tracemalloc.stop()
    assert str(error.value).isprintable()


def test_a_member_that_lies_about_its_size_is_not_unpacked_further(tmp_path):
    path = tmp_path / 'library.npz'
    zip_of(path, [('pixels.npy', npy(np.zeros(200 * 2**20, np.uint8))), ('sizes.npy', npy(GOOD['sizes'])),
                  ('meta.npy', npy(GOOD['meta']))])
    data, size = path.read_bytes(), struct.pack('<I', 200 * 2**20 + 128)
    assert data.count(size) == 2
    path.write_bytes(data.replace(size, struct.pack('<I', 200)))
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match='not a target library'):
            load_library(path, 5)
        # The array that its header claims is set aside, and not filled.
        assert tracemalloc.get_traced_memory()[1] < 250 * 2**20
    finally:
        tracemalloc.stop()


def test_only_a_regular_file_of_bounded_size_is_a_library(tmp_path):
    os.mkfifo(tmp_path / 'pipe.npz')
    with open(tmp_path / 'huge.npz', 'wb') as file:
        file.truncate(2**36)
    for path, message in ((tmp_path / 'pipe.npz', 'a pipe or device'), (tmp_path, 'a folder'),
                          (tmp_path / 'huge.npz', 'larger than 32 MiB')):
        with pytest.raises(InputError, match=message):
            load_library(path)


def test_truncated_file_and_missing_file(tmp_path):
    path = tmp_path / 'library.npz'
    save_library(path, PATCHES, {})
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match='not a target library'):
        load_library(path)
    with pytest.raises(InputError, match='no such target library'):
        load_library(tmp_path / 'none.npz')


def test_what_would_fill_the_memory_is_refused(tmp_path, monkeypatch):
    path = tmp_path / 'library.npz'
    save_library(path, [np.ones((500, 1), np.uint8), np.ones((1, 500), np.uint8)] * 20, {})
    monkeypatch.setattr('bafenet.synthesis.library.MAX_BYTES', 2**20)
    with pytest.raises(InputError, match='smaller max_target_size'):
        load_library(path)
    assert load_library(path, 5).patches.shape == (40, 5, 5)
    monkeypatch.setattr('bafenet.synthesis.library.MAX_BYTES', 2**10)
    with pytest.raises(InputError, match='unpacks to more'):
        load_library(path, 5)


def test_write_library(devkit, tmp_path, monkeypatch):
    out = tmp_path / 'new' / 'library.npz'
    summary = write_library(devkit, 'train_v2', out)
    assert summary == {'targets': 32, 'median_size': [6, 6], 'largest_size': [6, 6], 'most_frequent_size': [6, 6],
                       'file_bytes': out.stat().st_size}
    assert len(load_library(out).sizes) == 32
    with np.load(out) as archive:
        meta = json.loads(str(archive['meta']))
    assert meta == {'source': devkit.name, 'split': 'train_v2', 'remove_background': False, 'targets': 32}
    with pytest.raises(InputError, match='exists already; --force'):
        write_library(devkit, 'val_v2', out)
    assert write_library(devkit, 'val_v2', out, force=True)['targets'] == 8
    with pytest.raises(InputError, match=r'must end in \.npz'):
        write_library(devkit, 'train_v2', tmp_path / 'library.bin')
    (tmp_path / 'file').touch()
    for place in (tmp_path / 'file', Path('/proc')):
        with pytest.raises(InputError, match='--out .*cannot be written'), monkeypatch.context() as patch:
            # It is tried before the work.
            patch.setattr('bafenet.synthesis.library.split_patches', None)
            write_library(devkit, 'train_v2', place / 'library.npz')


def test_tool(devkit, tmp_path, tool, capsys):
    out = tmp_path / 'library.npz'
    tool(devkit, '--split', 'val_v2', '--out', out, '--remove-background')
    assert '8 targets, height x width: median 6x6' in capsys.readouterr().out
    library = load_library(out)
    assert len(library.sizes) == 8 and library.patches.max() <= 220 - 20
    with pytest.raises(SystemExit) as stop:
        tool(devkit, '--split', 'none', '--out', tmp_path / 'other.npz')
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith('error: ') and 'test_v2' in error and error.count('\n') == 1
    with pytest.raises(SystemExit) as stop:
        tool('--help')
    assert stop.value.code == 0 and 'synthetic' in capsys.readouterr().out
