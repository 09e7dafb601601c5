"""The densified set: what is pasted where, and what stays as it was."""
import json
import re
import sys

import numpy as np
import pytest
from conftest import load_tool
from densify_sources import NAMES, SEED, SPLITS, boxes_of, contents, extents, pixels
from PIL import Image
from scipy import ndimage

from bafenet.datasets import DenseSIRSTDataset
from bafenet.errors import InputError
from bafenet.synthesis import ClusterRecipe, TargetLibrary
from bafenet.synthesis.densify import densify, densify_image
from bafenet.synthesis.densify_records import RECORDS_FILE, SETTINGS_FILE


@pytest.fixture
def tool(monkeypatch):
    loaded = load_tool('dataset/densify.py')

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', ['densify.py', *map(str, arguments)])
        loaded.main()
    return run


# What is pasted, and what stays


@pytest.mark.parametrize('name', NAMES)
def test_pasted_targets_lie_in_the_sky_and_all_else_stays(densified, densify_source, densify_samples, name):
    out = densified[0]
    before = pixels(densify_source / f'PNGImages/{name}.png')
    if name == 'colour':
        before = np.asarray(Image.fromarray(before).convert('L'))
    after = pixels(out / f'PNGImages/{name}.png')
    sky = pixels(densify_source / f'SkySeg/PaletteMask/{name}.png') == 1
    old = pixels(densify_source / f'SIRST/PaletteMask/{name}.png') == 1
    mask = pixels(out / f'SIRST/BinaryMask/{name}_pixels0.png') == 255
    boxes = boxes_of(out / f'SIRST/BBox/{name}.xml')
    originals = [tuple(map(int, box)) for box in densify_samples[name][1]]

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
def test_every_kind_of_annotation_is_written(densified, densify_source, name):
    out = densified[0]
    sky = pixels(densify_source / f'SkySeg/PaletteMask/{name}.png')
    assert np.array_equal(pixels(out / f'SkySeg/PaletteMask/{name}.png'), sky)
    assert np.array_equal(pixels(out / f'SkySeg/BinaryMask/{name}_pixels0.png'), sky * 255)
    assert np.array_equal(pixels(out / f'SIRST/BinaryMask/{name}_pixels0.png') == 255,
                          pixels(out / f'SIRST/PaletteMask/{name}.png') == 1)
    points = [tuple(map(int, line.split()))
              for line in (out / f'SIRST/Point_label/{name}_pixels0.txt').read_text().splitlines()]
    boxes = boxes_of(out / f'SIRST/BBox/{name}.xml')
    assert len(points) == len(boxes)
    assert all(x1 <= x < x2 and y1 <= y < y2 for (x, y), (x1, y1, x2, y2) in zip(points, boxes, strict=True))


def test_the_dataset_reads_it(densified):
    out, summary, _ = densified
    read = {}
    for split, names in SPLITS.items():
        dataset = DenseSIRSTDataset(data_root=str(out), ann_file=f'Splits/{split}.txt')
        assert [dataset.get_data_info(index)['img_id'] for index in range(len(dataset))] == names
        for index, name in enumerate(names):
            read[name] = [tuple(item['bbox']) for item in dataset.get_data_info(index)['instances']]
    assert sorted(read) == NAMES
    assert read == {name: boxes_of(out / f'SIRST/BBox/{name}.xml') for name in NAMES}
    assert sum(map(len, read.values())) == summary.targets + summary.pasted


def test_summary_and_marks(densified, densify_samples):
    out, summary, _ = densified
    assert summary.images == len(NAMES)
    assert summary.targets == sum(len(boxes) for _, boxes, _ in densify_samples.values()) == 7 * 4
    assert (summary.without_room, summary.colour, summary.moved) == (1, 1, 4)
    marks = json.loads((out / SETTINGS_FILE).read_text())
    assert marks['summary'] == summary._asdict()
    assert (marks['settings']['source'], marks['settings']['seed']) == ('SIRSTdevkit', SEED)
    assert str(out.parent) not in (out / SETTINGS_FILE).read_text()
    records = [json.loads(line) for line in (out / RECORDS_FILE).read_text().splitlines()]
    assert [record['image'] for record in records] == NAMES
    assert sum(record['pasted'] for record in records) == summary.pasted


def test_the_source_is_not_touched(densified, densify_source):
    assert contents(densify_source) == densified[2]


def test_clusters_are_as_the_recipe_says(densify_source, tmp_path):
    recipe = ClusterRecipe(num_clusters=(1, 1), region_size=24, targets_per_cluster=(3, 3), spacing=(2, 2))
    densify(densify_source, tmp_path / 'out', recipe=recipe, max_target_size=4)
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


def test_ignored_pixels_get_no_targets_and_stay_ignored(densify_copy, tmp_path):
    for path in (densify_copy / 'SkySeg/PaletteMask').iterdir():
        labels = pixels(path).copy()
        labels[:, :64][labels[:, :64] == 1] = 255
        Image.fromarray(labels).save(path)
    assert densify(densify_copy, tmp_path / 'out', seed=SEED).pasted > 0
    for path in (densify_copy / 'SkySeg/PaletteMask').iterdir():
        sky = pixels(path)
        assert np.array_equal(pixels(tmp_path / 'out/SkySeg/PaletteMask' / path.name), sky)
        assert np.array_equal(pixels(tmp_path / f'out/SkySeg/BinaryMask/{path.stem}_pixels0.png'), (sky == 1) * 255)
        old, new = (pixels(root / 'SIRST/PaletteMask' / path.name) for root in (densify_copy, tmp_path / 'out'))
        assert not ((new > old) & (sky != 1)).any()


def test_binary_masks_instead_of_palettes_are_refused(densified, densify_copy, tmp_path):
    for path in (densify_copy / 'SkySeg/PaletteMask').iterdir():
        Image.fromarray(pixels(path) * 255).save(path)
    with pytest.raises(InputError, match='holds 255 .*SkySeg/BinaryMask'):
        densify(densify_copy, tmp_path / 'out', seed=SEED)
    assert not (tmp_path / 'out').exists()
    # In a folder that is named 255 is sky, as the option says.
    summary = densify(densify_copy, tmp_path / 'out', seed=SEED, sky=densify_copy / 'SkySeg/PaletteMask')
    assert summary.pasted == densified[1].pasted


# The tool, and the real set


def test_tool(densified, densify_source, tmp_path, tool, capsys):
    out = tmp_path / 'out'
    tool(densify_source, out, '--seed', SEED, '--workers', 2)
    printed = capsys.readouterr().out
    assert f'8 images, 28 original targets, {densified[1].pasted} pasted; 1 images without room, 1 in colour' in printed
    assert contents(out) == contents(densified[0])
    with pytest.raises(SystemExit) as stop:
        tool(densify_source, out, '--seed', SEED, '--spacing', 2, 2, '--num-clusters', 1, 1)
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
