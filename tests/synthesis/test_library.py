"""The file of a target library: what it holds, and what is refused as none."""
import io
import json
import os
import pickle
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from bafenet.errors import InputError
from bafenet.synthesis.library import (
    load_library,
    save_library,
)

PATCHES = [np.arange(1, 7, dtype=np.uint8).reshape(2, 3), np.array([[255]], np.uint8), np.full((9, 4), 7, np.uint8)]


def same(ours, theirs):
    return len(ours) == len(theirs) and all(map(np.array_equal, ours, theirs))


def test_round_trip_without_pickle(tmp_path):
    path = tmp_path / 'library.npz'
    save_library(path, PATCHES, {'source': 'SIRSTdevkit', 'split': 'train_v2'})
    library = load_library(path)
    assert library.sizes.tolist() == [[2, 3], [1, 1], [9, 4]]
    assert library.patches.shape == (3, 9, 4) and library.patches.dtype == np.uint8
    assert same([patch[:h, :w] for patch, (h, w) in zip(library.patches, library.sizes, strict=True)], PATCHES)
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
