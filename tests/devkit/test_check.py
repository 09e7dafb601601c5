"""The check of a devkit: a clean set has no problem, and each way of spoiling one is found and named."""
import json
import shutil
import xml.etree.ElementTree as ElementTree

import cv2
import numpy as np
import pytest
from conftest import load_tool, write_palette
from PIL import Image
from spoiled_devkits import (
    BINARY,
    BOX,
    IMAGE,
    PALETTE,
    POINT,
    SKY,
    SKY_BINARY,
    SPOILS,
    digests,
    edit,
    pipe,
    problems,
    reads,
    replace,
    set_boxes,
    shifted,
    true_boxes,
    truncate,
    write_full,
)

from bafenet.devkit import check, fix_boxes
from bafenet.devkit.check import check_devkit
from bafenet.devkit.check_image import check_image
from bafenet.devkit.check_report import DevkitReport
from bafenet.devkit.devkit_files import DevkitFiles
from bafenet.devkit.fix_boxes import write_fixed_boxes
from bafenet.devkit.layout import SUFFIXES, image_names
from bafenet.errors import InputError
from bafenet.synthesis.make_demo import write_demo_set


@pytest.fixture(scope='module')
def full(devkit, tmp_path_factory):
    """The devkit with binary masks and point labels too. Not to be changed."""
    return write_full(devkit, tmp_path_factory.mktemp('full') / 'SIRSTdevkit')


@pytest.fixture
def copy(full, tmp_path):
    """A full devkit that a test may spoil."""
    return shutil.copytree(full, tmp_path / 'SIRSTdevkit')


@pytest.fixture(scope='module')
def tool():
    """``tools/dataset/check.py`` as a module."""
    return load_tool('dataset/check.py')


WARNINGS = {'stray file', 'image in no split', 'trainval of something else', 'XML of another class', 'folder missing',
            'splits missing', 'image of 16 bits', 'colour image of 16 bits', 'image of floating point',
            *(f'{folder} missing' for folder in (PALETTE, BINARY, SKY, SKY_BINARY, POINT))}


def test_a_clean_set_has_no_problem_and_is_counted(full):
    report = check_devkit(full)
    assert report.problems == [] and report.errors == 0
    targets = sum(len(true_boxes(full, image.stem)) for image in (full / IMAGE).iterdir())
    counts = report.counts()
    assert counts['images'] == 12 and counts['targets'] == counts['mask components'] == targets == 48
    assert counts['boxes equal to their component'] == targets and dict(report.shifts()) == {(0, 0, 0, 0): targets}
    assert {split: len(names) for split, names in report.splits.items()} == {
        'train_v2': 8, 'val_v2': 2, 'test_v2': 2, 'trainval_v2': 10}


def test_the_demo_set_is_clean(tmp_path):
    write_demo_set(tmp_path / 'demo', images=3, size=128)
    report = check_devkit(tmp_path / 'demo')
    assert report.problems == [] and report.counts()['targets'] > 0


def test_optional_folders_that_are_absent_are_told_once(devkit):
    found = problems(devkit)
    assert [problem.file for problem in found] == [BINARY, POINT, SKY_BINARY]
    assert {problem.severity for problem in found} == {'warning'}


@pytest.mark.parametrize('spoil', SPOILS)
def test_each_spoiled_file_is_named_and_no_other(copy, spoil):
    function, expected = SPOILS[spoil]
    function(copy)
    report = check_devkit(copy)
    lines = [str(problem) for problem in report.problems]
    # One line for each thing expected, and nothing else.
    for file, message in expected:
        assert any(line.startswith(file) and message in line for line in lines), (file, message, lines)
    assert len(lines) == len(expected), lines
    assert (report.errors == 0) == (spoil in WARNINGS)
    # What the dataset refuses is an error here.
    assert report.errors or reads(copy)


def test_a_problem_never_ends_the_check(copy):
    for index, spoil in enumerate(('image cut short', 'XML cut short', 'sky map of another size', 'point moved')):
        SPOILS[spoil][0](copy)
        # Each spoils scene_3; give the damage to another image.
        for path in copy.rglob('scene_3[._]*'):
            path.replace(path.with_name(path.name.replace('scene_3', f'scene_{20 + index}')))
            original = path.with_name(path.name.replace('scene_3', 'scene_4'))
            shutil.copy(original, path)
    files = {problem.file for problem in problems(copy) if problem.severity == 'error'}
    assert files == {'PNGImages/scene_20.png', 'SIRST/BBox/scene_21.xml', 'SkySeg/PaletteMask/scene_22.png',
                     'SIRST/Point_label/scene_23_pixels0.txt'}


def test_without_target_masks_it_is_warned_of_as_the_dataset_takes_it(copy):
    shutil.rmtree(copy / PALETTE)
    assert [str(problem) for problem in problems(copy)] == [
        'SIRST/PaletteMask: warning: this folder is absent; boxes are not compared with masks']
    assert reads(copy)


def test_very_many_boxes_that_differ_are_not_compared_one_by_one(copy):
    mask = np.zeros((300, 300), np.uint8)
    mask[::3, ::3] = 1
    for folder, name in ((IMAGE, 'scene_3.png'), (PALETTE, 'scene_3.png')):
        Image.fromarray(mask).save(copy / folder / name)
    boxes = np.stack([*np.nonzero(mask)] * 2, axis=1) + [0, 0, 2, 2]
    set_boxes(copy, boxes.tolist())
    report = check_image(DevkitFiles(copy), [IMAGE, PALETTE, BOX], None, 'scene_3')
    assert [problem.message for problem in report.problems] == [
        '10000 boxes differ from 10000 mask components, which are too many to be matched']


def test_text_of_files_never_reaches_a_terminal_as_it_is(tool, copy, capsys):
    escape = '\x1b]0;owned\x07[bold]'
    shutil.copy(copy / IMAGE / 'scene_3.png', copy / IMAGE / f'{escape}.png')
    (copy / 'Splits' / f'{escape}.txt').write_text('scene_1')
    replace(copy / BOX / 'scene_3.xml', 'Target', 'T\x9b31m')
    replace(copy / BOX / 'scene_4.xml', '<annotation>', '<annotation><filename>a\x9b31m</filename>')
    assert tool.main([str(copy)]) == 1
    printed = capsys.readouterr().out
    assert all(letter.isprintable() or letter == '\n' for letter in printed)
    assert r'T\x9b31m' in printed and r'\x1b]0;owned\x07[bold]' in printed


def test_outputs_are_tried_before_the_work(tool, devkit, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(check, 'check_devkit', None)
    (tmp_path / 'file').touch()
    for arguments in (['--json', str(tmp_path)], ['--json', str(tmp_path / 'file' / 'a.json')],
                      ['--fix-boxes', str(tmp_path / 'file' / 'a')], ['--fix-boxes', '/proc/none'],
                      ['--workers', '1000000'], ['--workers', '-1']):
        with pytest.raises(SystemExit) as caught:
            tool.main([str(devkit), *arguments])
        line, = capsys.readouterr().err.splitlines()
        assert caught.value.code == 2 and line.startswith('error: ') and arguments[0] in line


def test_what_a_killed_run_has_left_goes_with_the_next(copy, tmp_path):
    shifted(copy, 1)
    (tmp_path / '.fixed-bafenet-abc' / 'new').mkdir(parents=True)
    write_fixed_boxes(check_devkit(copy), tmp_path / 'fixed')
    assert sorted(path.name for path in tmp_path.iterdir()) == ['SIRSTdevkit', 'fixed']


def test_a_pipe_among_the_box_xmls_is_named_and_nothing_is_left(copy, tmp_path):
    shifted(copy, 1)
    pipe(copy, BOX + '/scene_5.xml')
    with pytest.raises(InputError, match='scene_5.xml: is a pipe'):
        write_fixed_boxes(check_devkit(copy), tmp_path / 'fixed')
    assert [path.name for path in tmp_path.iterdir()] == ['SIRSTdevkit']


def test_ignored_sky_differs_from_nothing(copy):
    def ignore(labels):
        labels[:5] = 255
        return labels
    edit(copy / SKY / 'scene_3.png', ignore)
    assert problems(copy) == []


def test_targets_that_touch_at_a_corner_are_one_component(copy):
    mask = np.zeros((64, 64), np.uint8)
    mask[10:12, 10:12] = mask[12:15, 12:14] = 1
    write_palette(copy / PALETTE / 'scene_3.png', mask)
    Image.fromarray(mask * 255).save(copy / BINARY / 'scene_3_pixels0.png')
    (copy / POINT / 'scene_3_pixels0.txt').write_text('11 11\n')
    set_boxes(copy, [[10, 10, 14, 15]])
    assert problems(copy) == []


def test_workers_change_nothing(copy):
    shifted(copy, 1)
    truncate(copy / IMAGE / 'scene_5.png')
    one, two = (check_devkit(copy, workers) for workers in (1, 2))
    assert one.as_dict() == two.as_dict() and one.errors == 2
    with pytest.raises(InputError, match='--workers 0'):
        check_devkit(copy, 0)


def test_fixed_boxes_are_the_true_ones_and_the_source_is_untouched(full, copy, tmp_path):
    shifted(copy, 1, slice(0, 3))
    xml = copy / BOX / 'scene_3.xml'
    replace(xml, '<name>', '<pose>left</pose><name>')
    truncate(copy / BOX / 'scene_5.xml')
    before, out = digests(copy), tmp_path / 'new' / 'fixed'
    assert write_fixed_boxes(check_devkit(copy), out) == (3, 1)
    assert digests(copy) == before
    assert [path.name for path in out.parent.iterdir()] == ['fixed']
    fixed = ElementTree.parse(out / 'scene_3.xml').getroot()
    assert [[int(side.text) for side in box] for box in fixed.iter('bndbox')] == true_boxes(full, 'scene_3')
    assert fixed.findtext('object/pose') == 'left'
    for path in (copy / BOX).iterdir():
        if path.name != 'scene_3.xml':
            assert (out / path.name).read_bytes() == path.read_bytes()
    shutil.rmtree(copy / BOX)
    shutil.copytree(out, copy / BOX)
    assert [problem.file for problem in problems(copy)] == ['SIRST/BBox/scene_5.xml']


def test_fixed_boxes_go_to_a_new_folder_only_and_whole(copy, tmp_path, monkeypatch):
    shifted(copy, 1)
    report = check_devkit(copy)
    (tmp_path / 'there').mkdir()
    with pytest.raises(InputError, match='there: exists'):
        write_fixed_boxes(report, tmp_path / 'there')
    with pytest.raises(InputError, match='lies in the devkit'):
        write_fixed_boxes(report, copy / 'SIRST' / 'BBox2')

    def fail(*_):
        raise OSError(28, 'No space left on device')
    monkeypatch.setattr(fix_boxes.shutil, 'copyfile', fail)
    with pytest.raises(InputError, match='out: cannot be written: No space left'):
        write_fixed_boxes(report, tmp_path / 'out')
    assert sorted(path.name for path in tmp_path.iterdir()) == ['SIRSTdevkit', 'there']


def test_the_tool_prints_each_problem_and_says_so_by_its_exit_status(tool, full, copy, tmp_path, capsys):
    assert tool.main([str(full)]) == 0
    assert 'no problem found' in capsys.readouterr().out
    shifted(copy, 1)
    truncate(copy / SKY / 'scene_5.png')
    out = tmp_path / 'report' / 'check.json'
    assert tool.main([str(copy), '--json', str(out), '--fix-boxes', str(tmp_path / 'fixed')]) == 1
    printed = capsys.readouterr().out
    assert '\nSkySeg/PaletteMask/scene_5.png: does not decode' in printed and '+1, +1, +1, +1' in printed
    found = json.loads(out.read_text())
    assert found['errors'] == 2 and found['counts']['boxes that differ from their component'] == 4
    assert [problem['file'] for problem in found['problems']] == [BOX + '/scene_3.xml', SKY + '/scene_5.png']
    assert found['shifts'][1] == {'box minus component': [1, 1, 1, 1], 'boxes': 4, 'share': 4 / 48}
    assert (tmp_path / 'fixed' / 'scene_3.xml').is_file()


@pytest.mark.parametrize(('arguments', 'message'), [
    (['absent'], 'no image'),
    (['KIT', '--workers', '0'], '--workers 0'),
    (['KIT', '--fix-boxes', 'KIT'], 'exists'),
    (['KIT', '--json', '/dev/null/check.json'], 'check.json: cannot be written'),
])
def test_bad_input_is_one_line_and_exit_status_2(tool, devkit, capsys, arguments, message):
    with pytest.raises(SystemExit) as caught:
        tool.main([str(devkit) if argument == 'KIT' else argument for argument in arguments])
    assert caught.value.code == 2
    line, = capsys.readouterr().err.splitlines()
    assert line.startswith('error: ') and message in line


def test_the_real_boxes_are_those_of_their_masks_but_for_the_left_over_ones(real_data):
    files = DevkitFiles(real_data)
    images = [check_image(files, [BOX, PALETTE], None, name) for name in image_names(real_data)]
    report = DevkitReport(real_data, images, [], {})
    assert report.counts()['targets'] == report.counts()['mask components'] == 13655
    assert dict(report.shifts()) == {(0, 0, 0, 0): 13634, (1, 1, 1, 1): 21}


def test_real_images_whole(real_data, tmp_path):
    # The one whose shifted box leaves its point outside, a colour image's worth of others, and no duplicates.
    names = ['Misc_59', 'Misc_10', 'iraytek-96', 'S20210713_S3_3']
    folders = [folder for folder in SUFFIXES if (real_data / folder).is_dir()]
    reports = {name: check_image(DevkitFiles(real_data), folders, ['Target'], name) for name in names}
    assert [problem.kind for problem in reports['Misc_59'].problems] == ['box shifted', 'point', 'point']
    assert all(reports[name].problems == [] for name in names[1:])
    # OpenCV's labelling, independent of SciPy's.
    mask = cv2.imread(str(real_data / BINARY / 'Misc_10_pixels0.png'), cv2.IMREAD_GRAYSCALE)
    assert reports['Misc_10'].components == cv2.connectedComponents(mask, connectivity=8)[0] - 1
