"""What a conversion prints: names, classes, check, what training makes of the devkit, the command or what it lacks."""
import json
import shutil

import numpy as np
import pytest
from conftest import ROOT, load_tool
from source_sets import (
    BOXES,
    SIZE,
    coco_content,
    frame,
    mask,
    save,
    voc_xml,
    write_coco,
    write_voc,
    write_yolo,
    yolo_rows,
)

from bafenet.devkit.conversion.convert import ConvertOptions, convert
from bafenet.devkit.conversion.summary import lacks_to_train, print_summary, training_notes
from bafenet.engine.devkit_data import find_data
from bafenet.engine.devkit_lists import require_validation, write_lists
from bafenet.engine.options import load_config
from bafenet.errors import InputError

CONFIG = 'configs/bafenet/bafenet_hr_tiny_densesirst.py'


def write_sky(root, names, value=255):
    for name in names:
        save(root / f'{name}.png', np.full(SIZE[::-1], value, np.uint8))
    return str(root)


def lines_of(summary, capsys):
    capsys.readouterr()
    print_summary(summary)
    return capsys.readouterr().out.splitlines()


def trains(devkit, work_dir) -> bool:
    """Whether training takes a devkit, as far as its lists go."""
    try:
        data = find_data(str(devkit), None)
        write_lists(data, str(work_dir), 0, False)
        require_validation(data)
    except InputError:
        return False
    return True


def test_the_tool_ends_with_the_command_that_trains(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    source = write_yolo(tmp_path / 'src')
    (source / 'valid/labels/c_3.txt').write_text(yolo_rows([(5, 6, 8, 9)]))
    tool = load_tool('dataset/convert.py')
    assert tool.main([str(source), str(tmp_path / 'out'), '--from', 'yolo', '--one-class', 'Target']) == 0
    lines = capsys.readouterr().out.splitlines()
    assert '4 frames (0 without targets), 5 targets: Target 5' in lines[0]
    assert 'check: 0 errors, 0 warnings' in lines
    assert lines[-1].endswith(f"--data {tmp_path / 'out'} --from bafenet_hr_tiny")
    assert 'train.py configs/bafenet/' in lines[-1] and 'nothing was left out or changed' in lines
    shutil.rmtree(tmp_path / 'out')
    (source / 'train/labels/a_1.txt').write_text('?')
    assert tool.main([str(source), str(tmp_path / 'out'), '--from', 'yolo']) == 3
    assert 'frame left out: 1 (' in capsys.readouterr().out


# --- What was read ----------------------------------------------------------------------------------------------------


def test_frames_that_are_called_otherwise_are_counted(tmp_path, capsys):
    for name, file in (('a_1', 'cam 0.shot v1.00'), ('b_2', 'b_2')):
        save(tmp_path / f'src/JPEGImages/{file}.jpg', frame(name))
        (tmp_path / 'src/Annotations').mkdir(exist_ok=True)
        (tmp_path / f'src/Annotations/{file}.xml').write_text(voc_xml(BOXES[name]))
    lines = lines_of(convert(tmp_path / 'src', tmp_path / 'out', 'voc'), capsys)
    line, = [line for line in lines if line.startswith('names changed')]
    assert line.startswith('names changed: 1 of 2 frames (JPEGImages/cam 0.shot v1.00 → cam_0.shot_v1.00)')
    assert 'nothing else was left out or changed' in lines
    assert json.loads((tmp_path / 'out/convert.json').read_text())['frames'] == {
        'b_2': 'JPEGImages/b_2', 'cam_0.shot_v1.00': 'JPEGImages/cam 0.shot v1.00'}


def test_frames_of_one_name_get_their_folders_and_count_as_renamed(tmp_path, capsys):
    for folder, name in (('day', 'a_1'), ('night', 'b_2')):
        save(tmp_path / f'src/images/{folder}/1.png', frame(name))
        save(tmp_path / f'src/masks/{folder}/1.png', mask(name))
    lines = lines_of(convert(tmp_path / 'src', tmp_path / 'out', 'masks'), capsys)
    assert any(line.startswith('names changed: 2 of 2 frames') and 'night/1 → ' in line for line in lines)


def test_classes_without_a_target_are_named(tmp_path, capsys):
    content = coco_content(['a_1', 'b_2', 'c_3'])
    content['categories'].append(dict(id=9, name='plane'))
    lines = lines_of(convert(write_coco(tmp_path / 'coco', content), tmp_path / 'out', 'coco'), capsys)
    assert 'classes without a target: plane; no network is taught them' in lines
    source = write_yolo(tmp_path / 'yolo')
    for names, others in (("['drone', 'bird', 'kite']", 'bird, kite'), ('{0: drone, 4: bird}', 'bird')):
        (source / 'data.yaml').write_text(f'names: {names}')
        lines = lines_of(convert(source, tmp_path / others, 'yolo'), capsys)
        assert f'classes without a target: {others}; no network is taught them' in lines
    summary = convert(source, tmp_path / 'one', 'yolo', ConvertOptions(one_class='Target'))
    assert not summary.unused and summary.targets == {'Target': 4}


def test_absent_folders_are_no_warning_and_others_are_told_once(tmp_path, capsys):
    summary = convert(write_voc(tmp_path / 'src'), tmp_path / 'out', 'voc')
    (tmp_path / 'out/PNGImages/notes.txt').write_text('')
    lines = lines_of(summary, capsys)
    assert 'check: 0 errors, 1 warnings' in lines
    assert '  warning: file ignored: 1 (PNGImages/notes.txt: is no image by its suffix and never read)' in lines
    line, = [line for line in lines if 'folders absent' in line]
    assert line == ('  optional folders absent: SIRST/BinaryMask, SIRST/PaletteMask, SIRST/Point_label, '
                    'SkySeg/BinaryMask, SkySeg/PaletteMask')


# --- Training ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(('names', 'value', 'pastes'), [
    ((), 255, False), (('a_1', ), 255, True), (('c_3', 'd_4'), 255, False), (tuple(BOXES), 0, False)])
def test_bag_cp_is_said_to_paste_where_a_training_frame_has_sky(tmp_path, names, value, pastes):
    options = ConvertOptions(sky=write_sky(tmp_path / 'sky', names, value)) if names else None
    notes = training_notes(convert(write_yolo(tmp_path / 'src'), tmp_path / 'out', 'yolo', options))
    option = 'train_dataloader.dataset.pipeline.BAGCopyPaste.background=any'
    nothing = [note for note in notes if note.startswith('BAG-CP pastes nothing')]
    assert bool(nothing) != pastes and all(option in note for note in nothing)
    assert any(note.startswith('BAG-CP cuts its targets by their boxes') for note in notes) == pastes
    sky = next((note for note in notes if 'sky map:' in note or 'have no sky map' in note), '')
    assert sky.startswith({0: 'no frame has a sky map', 4: ''}.get(len(names), f'{4 - len(names)} of 4 frames have no'))
    step, = [step for step in load_config(CONFIG, [option]).train_dataloader.dataset.pipeline
             if step['type'] == 'BAGCopyPaste']
    assert step['background'] == 'any'


def test_deep_frames_are_said_to_be_brought_to_8_bits(tmp_path):
    for name in BOXES:
        save(tmp_path / f'src/images/{name}.png', frame(name, np.uint16 if name == 'b_2' else np.uint8))
        save(tmp_path / f'src/masks/{name}.png', mask(name))
    notes = training_notes(convert(tmp_path / 'src', tmp_path / 'out', 'masks'))
    note, = [note for note in notes if '16 bits' in note]
    assert note.startswith('1 frames of 16 bits') and 'LoadInfraredImage.value_range=(LOW,HIGH)' in note


@pytest.mark.parametrize(('splits', 'lacks'), [
    (dict(train='a_1 b_2', val='d_4'), None), (dict(train='a_1 b_2 c_3', test='d_4'), None),
    (dict(train='c_3', val='a_1'), 'none of 1 training frames has a target'),
    (dict(train='a_1 b_2', val='c_3'), 'none of the 1 frames of val_v2 has a target'),
    (dict(train='a_1 c_3', test='d_4'), '1 of 2 training frames has targets, and a second one is needed'),
    (dict(test='a_1 b_2 c_3 d_4'), 'its lists name no frame to train on'),
    (dict(test='c_3', val='d_4'), None), (dict(test='d_4', val='c_3'), 'none of the 1 frames of val_v2 has a target')])
def test_what_training_lacks_is_said_instead_of_a_command(tmp_path, capsys, splits, lacks):
    """Said where and only where training refuses the devkit."""
    source = write_voc(tmp_path / 'src')
    shutil.rmtree(source / 'ImageSets')
    for split, names in splits.items():
        save(tmp_path / 'lists/x.png', frame('a_1')).with_name(f'{split}.txt').write_text(names.replace(' ', '\n'))
    summary = convert(source, tmp_path / 'out', 'voc', ConvertOptions(splits=str(tmp_path / 'lists')))
    last = lines_of(summary, capsys)[-1]
    assert (lacks_to_train(summary) is None) == (lacks is None) == trains(tmp_path / 'out', tmp_path / 'run')
    assert last.startswith('train with: ' if lacks is None else f'not enough to train on: {lacks}')


@pytest.mark.parametrize('name', ['a_1', 'c_3'])
def test_one_frame_is_not_enough(tmp_path, capsys, name):
    save(tmp_path / 'src/images/x.png', frame(name))
    save(tmp_path / 'src/masks/x.png', mask(name))
    summary = convert(tmp_path / 'src', tmp_path / 'out', 'masks')
    assert lines_of(summary, capsys)[-1].startswith('not enough to train on: ')
    assert not trains(tmp_path / 'out', tmp_path / 'run')
