"""The target library: which pixels it takes, what its file holds and refuses, and the two layouts that it reads."""
import json
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import load_tool, voc_xml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from bafenet.devkit import find_layout, read_boxes, read_split
from bafenet.devkit.box_matching import component_boxes
from bafenet.errors import InputError
from bafenet.synthesis.build_library import RING, build_library, split_patches, write_library
from bafenet.synthesis.library import load_library, shrink

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


def test_images_without_a_target_mask_give_their_boxes(copy):
    expected = split_patches(find_layout(copy), 'train_v2')
    (copy / 'SIRST/PaletteMask/scene_1.png').unlink()
    (copy / 'SIRST/PaletteMask/scene_2.png').unlink()
    patches = split_patches(find_layout(copy), 'train_v2')
    # In the order of the XML, and not from top to bottom; all are 6 x 6 of 220.
    assert same(patches, expected)
    shutil.rmtree(copy / 'SIRST/PaletteMask')
    assert same(split_patches(find_layout(copy), 'train_v2'), expected)
    (copy / 'SIRST/BBox/scene_1.xml').unlink()
    with pytest.raises(InputError, match=r'scene_1\.png: has neither a target mask nor a box XML'):
        split_patches(find_layout(copy), 'train_v2')


def test_boxes_of_sirst_v2_count_from_one(sirst_v2, devkit):
    expected = split_patches(find_layout(devkit), 'train_v2')
    (sirst_v2 / 'annotations/bboxes').mkdir()
    for name in read_split(devkit / 'Splits/train_v2.txt'):
        boxes = read_boxes(devkit / f'SIRST/BBox/{name}.xml')[1].astype(int) + 1
        (sirst_v2 / f'annotations/bboxes/{name}.xml').write_text(voc_xml(boxes.tolist()))
    shutil.rmtree(sirst_v2 / 'annotations/masks')
    assert same(split_patches(find_layout(sirst_v2), 'train_v2'), expected)


def test_boxes_are_rounded_outward_and_cut(tmp_path):
    image = np.arange(1, 101, dtype=np.uint8).reshape(10, 10)
    path = write_pair(tmp_path, image, image > 0)[0]
    boxes = np.array([[1.2, 2.9, 3.1, 5.0], [-2, 8.5, 1.5, 12], [20, 20, 30, 30], [4, 4, 5, 5]])
    expected = [image[2:5, 1:4], image[8:10, 0:2], image[4:5, 4:5]]
    assert same(build_library(path, [None], boxes=[boxes]), expected)
    # Of an image with a mask the boxes are not looked at.
    assert same(build_library(path * 2, [None, tmp_path / 'mask.png'], boxes=[boxes, boxes]), [*expected, image])
    with pytest.raises(InputError, match='has neither a target mask nor boxes'):
        build_library(path, [None])
    with pytest.raises(InputError, match='no target in 1 images'):
        build_library(path, [None], boxes=[np.zeros((0, 4))])


def test_background_of_boxes_leaves_other_boxes_out(tmp_path):
    image = np.full((12, 12), 30, np.uint8)
    image[4:6, 4:6], image[4:6, 6:8] = 90, 200
    path = write_pair(tmp_path, image, image > 0)[0]
    boxes = np.array([[4, 4, 6, 6], [6, 4, 8, 6]], float)
    patches = build_library(path, [None], remove_background=True, boxes=[boxes])
    assert same(patches, [np.full((2, 2), 60, np.uint8), np.full((2, 2), 170, np.uint8)])


@pytest.mark.parametrize('options, expected', [((), None), (('--range', 0, 65535), 220 * 257 / 257)])
def test_library_of_16_bits(copy, tmp_path, tool, options, expected):
    for path in (copy / 'PNGImages').iterdir():
        cv2.imwrite(str(path.with_suffix('.tif')), cv2.imread(str(path), 0).astype(np.uint16) * 257)
        path.unlink()
    tool(copy, '--split', 'val_v2', '--out', tmp_path / 'library.npz', *options)
    library = load_library(tmp_path / 'library.npz')
    assert len(library.sizes) == 8
    # By percentiles the brightest 0.1 % are white.
    assert library.patches[:, :6, :6].min() == (255 if expected is None else expected)


def test_real_targets(real_data):
    layout = find_layout(real_data)
    expected = []
    for name in read_split(layout.split('mini_trainval')):
        image = np.asarray(Image.open(real_data / f'PNGImages/{name}.png').convert('L'))
        mask = np.asarray(Image.open(real_data / f'SIRST/BinaryMask/{name}_pixels0.png')) == 255
        expected += [image[spot] for spot in extents(mask)]
    assert len(expected) > 10
    assert same(split_patches(layout, 'mini_trainval'), expected)


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
            patch.setattr('bafenet.synthesis.build_library.split_patches', None)
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
