"""The check of people's own data: any suffix, depth and classes, and what is absent as one warning each."""
import shutil

import cv2
import numpy as np
import pytest
from conftest import load_tool
from PIL import Image
from spoiled_devkits import BINARY, BOX, IMAGE, PALETTE, POINT, SKY, SKY_BINARY, problems, replace, write_full

from bafenet.devkit import check
from bafenet.devkit.check import check_devkit


@pytest.fixture
def copy(devkit, tmp_path):
    """A devkit with all kinds of files that a test may change."""
    return write_full(devkit, tmp_path / 'SIRSTdevkit')


@pytest.fixture(scope='module')
def tool():
    """``tools/dataset/check.py`` as a module."""
    return load_tool('dataset/check.py')


def test_each_absence_is_one_warning(copy):
    for folder in (PALETTE, SKY):
        shutil.rmtree(copy / folder)
    for name in range(9):
        (copy / POINT / f'scene_{name}_pixels0.txt').unlink()
        (copy / SKY_BINARY / f'scene_{name}_pixels0.png').unlink()
    shutil.rmtree(copy / 'Splits')
    report = check_devkit(copy)
    lines = [str(problem) for problem in report.problems]
    assert report.errors == 0 and len(lines) == 6
    expected = sorted([PALETTE, SKY, 'Splits', POINT, SKY_BINARY, IMAGE])
    assert [line.split(': warning: ')[0] for line in lines] == expected
    missing, = (problem for problem in report.problems if problem.file == SKY_BINARY)
    assert '9 files (scene_0_pixels0.png, scene_1_pixels0.png, scene_2_pixels0.png, …)' in missing.message
    assert report.as_dict()['problems'][-1]['files'] == () and len(missing.files) == 9


def test_any_suffix_depth_and_ending_is_read(copy):
    rng = np.random.default_rng(0)
    for index in range(12):
        png, name = copy / IMAGE / f'scene_{index}.png', f'frame {index}.a'
        deep = cv2.imread(str(png), 0).astype(np.uint16) * 200 + rng.integers(0, 9, (64, 64), dtype=np.uint16)
        suffix = ('.tif', '.TIFF', '.pgm', '.png')[index % 4]
        cv2.imwrite(str(copy / IMAGE / f'{name}{suffix.lower()}'), deep)
        (copy / IMAGE / f'{name}{suffix.lower()}').rename(copy / IMAGE / f'{name}{suffix}')
        png.unlink()
        Image.open(copy / SKY / f'scene_{index}.png').save(copy / SKY / f'{name}_sky.bmp')
        (copy / SKY / f'scene_{index}.png').unlink()
        for folder, ending in ((BOX, '.xml'), (PALETTE, '.png'), (BINARY, '_pixels0.png'), (POINT, '_pixels0.txt'),
                               (SKY_BINARY, '_pixels0.png')):
            (copy / folder / f'scene_{index}{ending}').rename(copy / folder / f'{name}{ending}')
        replace(copy / BOX / f'{name}.xml', '<annotation>', f'<annotation><filename>{name}.jpg</filename>')
    for split in (copy / 'Splits').iterdir():
        split.write_text(split.read_text().replace('scene_', 'frame ').replace('\n', '.a\n'))
    report = check_devkit(copy)
    assert report.problems == []
    counts = report.counts()
    assert counts['images of more than 8 bits'] == 12 and counts['boxes equal to their component'] == 48


def test_the_same_deep_pixels_in_two_splits_are_found(copy):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 2**14, (64, 64), dtype=np.uint16)
    near = pixels.copy()
    near[0, 0] += 1  # the high bytes are the same
    for name, suffix, image in (('scene_3', '.png', pixels), ('scene_10', '.tif', pixels), ('scene_11', '.png', near)):
        (copy / IMAGE / f'{name}.png').unlink()
        cv2.imwrite(str(copy / IMAGE / f'{name}{suffix}'), image)
    assert [str(problem) for problem in problems(copy)] == [
        'PNGImages/scene_10.tif: in Splits/test_v2.txt, has the pixels of PNGImages/scene_3.png in Splits/train_v2.txt']


def test_a_stack_says_that_its_first_frame_is_used(copy):
    pages = [np.full((64, 64), level, np.uint16) for level in (300, 9000)]
    (copy / IMAGE / 'scene_3.png').unlink()
    cv2.imwritemulti(str(copy / IMAGE / 'scene_3.tif'), pages)
    problem, = problems(copy)
    assert problem.severity == 'warning' and 'holds 2 frames, of which only the first' in problem.message


def test_an_image_that_a_tag_turns_is_an_error(copy):
    """Upside down on reading: of the size that it says, and with other pixels in its boxes."""
    exif = Image.Exif()
    exif[0x0112] = 3
    image = copy / IMAGE / 'scene_1.png'
    Image.open(image).convert('L').save(image, exif=exif)
    found = [problem for problem in check_devkit(copy).problems if problem.severity == 'error']
    assert [(problem.file, problem.kind) for problem in found] == [(f'{IMAGE}/scene_1.png', 'turned by a tag')]


def test_classes_are_counted_and_any_is_fine(copy, tool, capsys):
    for index, name in enumerate(('small drone v1.0', 'Bird', 'Bird')):
        replace(copy / BOX / f'scene_{index}.xml', 'Target', name)
    report = check_devkit(copy)
    assert report.problems == []
    assert list(report.classes().items()) == [('Target', 45), ('Bird', 2), ('small drone v1.0', 1)]
    assert report.as_dict()['classes'] == report.classes()
    assert tool.main([str(copy)]) == 0
    assert 'class small drone v1.0' in capsys.readouterr().out
    assert tool.main([str(copy), '--classes', 'Target', 'Bird']) == 1
    assert "object 1 is of class 'small drone v1.0', which is not among ('Target', 'Bird')" in capsys.readouterr().out


@pytest.mark.parametrize('names', [('Target', 'target'), ('Target', 'Tar get'), ('Target', 'TAR_GET', 'tar-get')])
def test_class_names_that_look_like_slips_are_warned_of(copy, names):
    for index, name in enumerate(names):
        replace(copy / BOX / f'scene_{index}.xml', 'Target', name)
    problem, = problems(copy)
    assert (problem.file, problem.severity) == (BOX, 'warning')
    assert all(repr(name) in problem.message for name in names)


def test_a_class_of_one_object_among_thousands_is_warned_of(copy, monkeypatch):
    replace(copy / BOX / 'scene_3.xml', 'Target', 'Traget')
    assert problems(copy) == []
    monkeypatch.setattr(check, 'RARE', 48)
    problem, = problems(copy)
    assert str(problem) == ("SIRST/BBox/scene_3.xml: warning: has the only object of class 'Traget' among 48 objects; "
                            'is it a slip?')


def test_an_object_without_a_class_is_an_error(copy):
    replace(copy / BOX / 'scene_3.xml', '<name>Target</name>', '')
    problem, = problems(copy)
    assert problem.severity == 'error' and 'object 1 has not one class name' in problem.message


def test_boxes_cannot_be_fixed_without_target_masks(tool, copy, tmp_path, capsys):
    for folder in (PALETTE, BINARY):
        shutil.rmtree(copy / folder)
    with pytest.raises(SystemExit):
        tool.main([str(copy), '--fix-boxes', str(tmp_path / 'fixed')])
    assert 'no target masks' in capsys.readouterr().err and not (tmp_path / 'fixed').exists()
