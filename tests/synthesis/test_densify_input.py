"""What densify takes: the layout of SIRST-V2 too; and bad input, named before anything is written."""
import re
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import voc_xml
from densify_sources import SEED, contents, pixels
from PIL import Image

from bafenet.devkit import read_boxes
from bafenet.errors import InputError
from bafenet.synthesis.densify import densify
from bafenet.synthesis.densify_records import RECORDS_FILE, SETTINGS_FILE
from bafenet.synthesis.recipe import ClusterRecipe

# SIRST-V2


@pytest.fixture
def sirst_v2(densify_source, densify_samples, tmp_path):
    """The same images under the names of SIRST-V2: masks of 255, boxes from 1, sky maps in a folder of their own."""
    root, sky = tmp_path / 'open-sirst-v2', tmp_path / 'sky'
    shutil.copytree(densify_source / 'PNGImages', root / 'mixed')
    shutil.copytree(densify_source / 'Splits', root / 'splits')
    for folder in (root / 'annotations/masks', root / 'annotations/bboxes', sky):
        folder.mkdir(parents=True)
    for name, (_, boxes, _) in densify_samples.items():
        for task, folder in (('SIRST', root / 'annotations/masks'), ('SkySeg', sky)):
            mask = pixels(densify_source / f'{task}/PaletteMask/{name}.png') * 255
            Image.fromarray(mask).save(folder / f'{name}_pixels0.png')
        (root / f'annotations/bboxes/{name}.xml').write_text(voc_xml(np.array(boxes).reshape(-1, 4) + 1))
    return root, sky


def test_sirst_v2_gives_the_same_set(densified, sirst_v2, tmp_path):
    root, sky = sirst_v2
    out = tmp_path / 'dense'
    summary = densify(root, out, sky=sky, seed=SEED)
    assert summary == densified[1]._replace(moved=7 * 4)
    theirs = contents(densified[0])
    for path, digest in contents(out).items():
        if path not in (SETTINGS_FILE, RECORDS_FILE):
            assert theirs[path] == digest, path


def test_sirst_v2_needs_sky_maps(sirst_v2, tmp_path):
    with pytest.raises(InputError, match='--sky'):
        densify(sirst_v2[0], tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


# Bad input


def test_nothing_is_written_into_the_source_or_over_something_else(densify_source, sirst_v2, tmp_path):
    before = contents(densify_source)
    link = tmp_path / 'link'
    link.symlink_to(densify_source)
    for out in (densify_source, densify_source / 'new', link / 'PNGImages'):
        with pytest.raises(InputError, match='never written to'):
            densify(densify_source, out)
    with pytest.raises(InputError, match='never written to'):
        densify(sirst_v2[0], sirst_v2[1] / 'new', sky=sirst_v2[1])
    assert contents(densify_source) == before
    other = tmp_path / 'other'
    other.mkdir()
    for text in (None, 'no JSON', '[]', '{"settings": 3}'):
        (other / ('notes.txt' if text is None else SETTINGS_FILE)).write_text(text or '')
        with pytest.raises(InputError, match='is not a densified set'):
            densify(densify_source, other)
    with pytest.raises(InputError, match='is not a densified set'):
        densify(densify_source, other / 'notes.txt')
    with pytest.raises(InputError, match='cannot write'):
        densify(densify_source, other / 'notes.txt' / 'out')


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
def test_bad_files_are_named(densify_copy, tmp_path, file, content, message):
    (densify_copy / file).write_text(content)
    with pytest.raises(InputError, match=re.escape(Path(file).name) + f'.*{message}'):
        densify(densify_copy, tmp_path / 'out', split='val_v2')


@pytest.mark.parametrize('file, message', [
    ('SIRST/PaletteMask/scene_1.png', 'no such target mask'), ('SkySeg/PaletteMask/scene_1.png', 'no such sky map'),
    ('PNGImages/scene_1.png', 'has no image scene_1, but the split train_v2'),
    ('Splits/train_v2.txt', 'no such split; there are: test_v2, val_v2')])
def test_missing_files_are_named_before_anything_is_written(densify_copy, tmp_path, file, message):
    (densify_copy / file).unlink()
    with pytest.raises(InputError, match=message):
        densify(densify_copy, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_an_empty_source_is_an_error(densify_copy, tmp_path):
    for path in (densify_copy / 'PNGImages').iterdir():
        path.unlink()
    with pytest.raises(InputError, match='holds no image'):
        densify(densify_copy, tmp_path / 'out')


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
def test_options_out_of_range(densify_source, tmp_path, options, message):
    own = {key: options[key] for key in ('seed', 'workers', 'limit', 'max_target_size') if key in options}
    recipe = replace(ClusterRecipe(), **{key: value for key, value in options.items() if key not in own})
    with pytest.raises(InputError, match=message):
        densify(densify_source, tmp_path / 'out', recipe=recipe, **own)
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(('folder', 'message'), [
    ('SIRST/PaletteMask', r'16 of 16 images have no target mask.*PaletteMask/.*no such target mask'),
    ('SkySeg/PaletteMask', r'16 of 16 images have no sky map.*--sky.*pseudo_sky'),
])
def test_many_absent_maps_are_one_line(densify_copy, tmp_path, folder, message):
    shutil.rmtree(densify_copy / folder)
    count = len(list((densify_copy / 'PNGImages').iterdir()))
    with pytest.raises(InputError, match=message.replace('16', str(count))) as error:
        densify(densify_copy, tmp_path / 'out', library=None)
    assert str(error.value).isprintable() and not (tmp_path / 'out').exists()


def test_classes_are_kept_and_pasted_targets_are_of_the_most_frequent(densify_copy, tmp_path):
    for number, path in enumerate(sorted((densify_copy / 'SIRST/BBox').iterdir())):
        path.write_text(path.read_text().replace('Target', 'small drone v1.0' if number else 'Bird', 99))
    densify(densify_copy, tmp_path / 'out', seed=SEED)
    for path in (densify_copy / 'SIRST/BBox').iterdir():
        names = read_boxes(path)[0]
        now = read_boxes(tmp_path / 'out/SIRST/BBox' / path.name)[0]
        assert now[:len(names)] == names and set(now[len(names):]) <= {'small drone v1.0'}


def test_any_suffix_and_16_bits_give_the_same_set(densify_copy, tmp_path):
    for path in (densify_copy / 'PNGImages').iterdir():
        grey = pixels(path).copy()
        grey = grey if grey.ndim == 2 else grey[..., 0]
        # So many pixels at both ends that the percentiles give the 8 bits back.
        grey.reshape(-1)[:grey.size // 100] = 0
        grey.reshape(-1)[-grey.size // 100:] = 255
        path.unlink()
        Image.fromarray(grey).save(path)
    densify(densify_copy, tmp_path / 'one', seed=SEED)
    for number, path in enumerate(sorted((densify_copy / 'PNGImages').iterdir())):
        cv2.imwrite(str(path.with_suffix(('.TIF', '.pgm')[number % 2])), pixels(path).astype(np.uint16) * 100)
        path.unlink()
    for path in (densify_copy / 'SkySeg/PaletteMask').iterdir():
        Image.open(path).save(path.with_suffix('.bmp'))
        path.unlink()
    densify(densify_copy, tmp_path / 'two', seed=SEED)
    first, second = contents(tmp_path / 'one'), contents(tmp_path / 'two')
    assert first.keys() == second.keys()
    assert all(first[path] == second[path] for path in first if path not in (SETTINGS_FILE, RECORDS_FILE))
