"""Conversion that goes on, refuses or leaves out: stopped calls, other settings, damaged and hostile sources."""
import json
from dataclasses import replace

import numpy as np
import pytest
from source_sets import (
    BOXES,
    SIZE,
    boxes_of,
    coco_content,
    errors_but_for_sky,
    frame,
    holds_all,
    kinds,
    mask,
    names_of,
    save,
    tree,
    voc_xml,
    write_coco,
    write_voc,
    write_yolo,
)

from bafenet.devkit.conversion.convert import ConvertOptions, convert
from bafenet.devkit.conversion.names import safe_names
from bafenet.errors import InputError


def test_the_same_call_gives_the_same_bytes_and_writes_nothing_twice(tmp_path):
    source = write_coco(tmp_path / 'src')
    convert(source, tmp_path / 'one', 'coco')
    convert(source, tmp_path / 'two', 'coco', workers=2)
    assert tree(tmp_path / 'one') == tree(tmp_path / 'two')
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / 'one/PNGImages').iterdir()}
    convert(source, tmp_path / 'one', 'coco')
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / 'one/PNGImages').iterdir()} == times


def test_a_call_that_was_stopped_goes_on(tmp_path, monkeypatch):
    source = write_coco(tmp_path / 'src')
    convert(source, tmp_path / 'whole', 'coco')
    done = []

    def stops(options, task, real=convert.__globals__['convert_frame']):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(task.name)
        return real(options, task)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setitem(convert.__globals__, 'convert_frame', stops)
        convert(source, tmp_path / 'out', 'coco')
    assert not list((tmp_path / 'out/Splits').iterdir())
    with open(tmp_path / 'out/convert_frames.jsonl', 'a') as file:
        file.write('{"name": "half')
    (tmp_path / 'out/PNGImages/c_3.png').write_bytes(b'half')
    kept = (tmp_path / 'out/PNGImages/a_1.png').stat().st_mtime_ns
    convert(source, tmp_path / 'out', 'coco')
    assert tree(tmp_path / 'out') == tree(tmp_path / 'whole')
    assert (tmp_path / 'out/PNGImages/a_1.png').stat().st_mtime_ns == kept
    # A label that has changed since is converted again.
    source.joinpath('annotations/instances_val2024.json').write_text(json.dumps(coco_content(['d_4'], annotations=[])))
    convert(source, tmp_path / 'out', 'coco')
    assert not boxes_of(tmp_path / 'out', 'd_4')


def test_other_settings_and_other_folders_are_refused(tmp_path):
    source = write_coco(tmp_path / 'src')
    convert(source, tmp_path / 'out', 'coco')
    before = tree(tmp_path / 'out')
    for options in (ConvertOptions(one_class='x'), ConvertOptions(link=True)):
        with pytest.raises(InputError, match='other settings'):
            convert(source, tmp_path / 'out', 'coco', options)
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine/letter.txt').write_text('dear')
    for out, words in ((tmp_path / 'mine', 'no conversion'), (source / 'out', 'lies in the source'),
                       (tmp_path, 'or around it')):
        with pytest.raises(InputError, match=words):
            convert(source, out, 'coco')
    assert tree(tmp_path / 'out') == before and (tmp_path / 'mine/letter.txt').read_text() == 'dear'


def test_what_is_written_may_lie_beside_a_single_json_file(tmp_path):
    source = write_coco(tmp_path / 'src')
    file = next(source.rglob('*.json'))
    out = file.parent / 'out'
    expected = convert(file, tmp_path / 'elsewhere', 'coco', ConvertOptions(images=str(source)))
    for _ in range(2):  # the second time there is a devkit in it
        summary = convert(file, out, 'coco', ConvertOptions(images=str(source)))
        assert summary.as_dict() == expected.as_dict()
    with pytest.raises(InputError, match='or around it'):
        convert(file, file.parent, 'coco')


# --- What is wrong with a source --------------------------------------------------------------------------------------


def test_everything_that_does_not_fit_is_said(tmp_path):
    source = write_voc(tmp_path / 'src', suffix='.png')
    save(source / 'JPEGImages/a_1.jpg', frame('a_1'))
    (source / 'JPEGImages/broken.png').write_bytes(b'\x89PNG no')
    (source / 'Annotations/alone.xml').write_text(voc_xml([]))
    save(source / 'JPEGImages/nobody.png', frame('x'))
    save(source / 'JPEGImages/wrong_size.png', frame('y'))
    (source / 'Annotations/wrong_size.xml').write_text(voc_xml([(1, 2, 3, 4)], size=(640, 480)))
    save(source / 'JPEGImages/nan.png', frame('z'))
    nan = voc_xml([(4, 5, 6, 7), (1, 2, 3, 4)]).replace('<xmin>5<', '<xmin>nan<')
    (source / 'Annotations/nan.xml').write_text(nan.replace('<xmax>3<', '<xmax><'))
    (source / 'ImageSets/Main/train.txt').write_text('a_1\nghost\nb_2\nnan\nd_4\n')
    summary = convert(source, tmp_path / 'out', 'voc')
    assert kinds(summary) == {
        'image of another suffix', 'frame left out', 'label without an image', 'image without an XML file',
        'box without four numbers', 'split name without an image', 'in several splits', 'in no split'}
    assert sorted(note.file for note in summary.skipped) == ['JPEGImages/broken', 'JPEGImages/wrong_size']
    assert boxes_of(tmp_path / 'out', 'nan') == [] and boxes_of(tmp_path / 'out', 'nobody') == []
    assert not (tmp_path / 'out/PNGImages/wrong_size.png').exists()
    assert names_of(tmp_path / 'out', 'train') == ['a_1', 'b_2', 'nan'] and not errors_but_for_sky(tmp_path / 'out')


def test_masks_of_another_size_leave_their_frame_out(tmp_path):
    for name in BOXES:
        save(tmp_path / 'src/images' / f'{name}.png', frame(name))
        save(tmp_path / 'src/masks' / f'{name}.png', mask(name)[:40] if name == 'a_1' else mask(name))
    summary = convert(tmp_path / 'src', tmp_path / 'out', 'masks')
    assert [note.file for note in summary.skipped] == ['images/a_1'] and '64x40' in summary.skipped[0].message
    holds_all(tmp_path / 'out', ['b_2', 'c_3', 'd_4'])


def test_names_become_safe_and_unique():
    keys = ['train/x', 'val/x', 'a b/ü é', '.hidden', 'n' * 300, 'Q', 'q', 'deep/1.2', 'x\x1b[31m', 'train_x',
            '日本/七']
    names = safe_names(keys)
    assert len({name.casefold() for name in names}) == len(keys)
    assert names[:4] == ['train_x', 'val_x', 'ü_é', 'hidden'] or names[0] == 'train_x'
    assert all(0 < len(name.encode()) < 240 and not name.startswith('.') and name.isprintable() for name in names)
    assert names[7] == '1.2' and names[10] == '七' and safe_names(keys) == names


def test_frames_of_one_name_in_two_folders(tmp_path):
    for folder in ('day', 'night'):
        save(tmp_path / 'src' / folder / 'images/1.png', frame('a_1'))
        save(tmp_path / 'src' / folder / 'masks/1.png', mask('a_1' if folder == 'day' else 'b_2'))
    convert(tmp_path / 'src', tmp_path / 'out', 'masks')
    frames = json.loads((tmp_path / 'out/convert.json').read_text())['frames']
    assert frames == {'day_images_1': 'day/images/1', 'night_images_1': 'night/images/1'}
    assert len(boxes_of(tmp_path / 'out', 'day_images_1')) == 2
    assert len(boxes_of(tmp_path / 'out', 'night_images_1')) == 1


LAUGHS = '<!DOCTYPE a [<!ENTITY l "ha">' + ''.join(
    f'<!ENTITY l{i} "{"&l;" * 10}">' for i in range(9)) + ']><annotation/>'


@pytest.mark.parametrize('text', [LAUGHS, '<annotation>' + '<a>' * 100, '', '\x00\x01'])
def test_hostile_xml_leaves_its_frame_out_in_one_line(tmp_path, text):
    source = write_voc(tmp_path / 'src')
    (source / 'Annotations/a_1.xml').write_text(text)
    summary = convert(source, tmp_path / 'out', 'voc')
    assert [note.file for note in summary.skipped] == ['JPEGImages/a_1'] and '\n' not in summary.skipped[0].message
    holds_all(tmp_path / 'out', ['b_2', 'c_3', 'd_4'])


BAD_JSON = {
    'nested': '{"images": ' + '[' * 100_000, 'huge': '{"images": [], "annotations": [], "x": 1e999}',
    'twice': '{"images": [], "images": [], "annotations": []}', 'list': '["images"]', 'number': '{"images": 5}',
    'no id': '{"images": [{"file_name": "a"}], "annotations": []}',
    'ids twice': '{"images": [{"id": 1, "file_name": "a"}, {"id": 1, "file_name": "b"}], "annotations": []}',
}


@pytest.mark.parametrize('kind', BAD_JSON)
def test_hostile_json_is_refused_in_one_line(tmp_path, kind):
    source = write_coco(tmp_path / 'src')
    (source / 'annotations/instances_train2024.json').write_text(BAD_JSON[kind])
    with pytest.raises(InputError, match='instances_train2024.json') as error:
        convert(source, tmp_path / 'out', 'coco')
    assert '\n' not in str(error.value) and len(str(error.value)) < 400
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('segmentation', [
    dict(size=[48, 64], counts=[10**12]), dict(size=[10**6, 10**6], counts='0'),
    dict(size=[48, 64], counts='zzzzzzzzzzz')])
def test_hostile_run_lengths_leave_their_frame_out(tmp_path, segmentation):
    content = coco_content(['a_1', 'b_2', 'c_3'])
    content['annotations'][2]['segmentation'] = segmentation
    summary = convert(write_coco(tmp_path / 'src', content), tmp_path / 'out', 'coco')
    if segmentation['counts'] == 'zzzzzzzzzzz':  # ends in the middle of a number
        assert kinds(summary) == {'segmentation'} and boxes_of(tmp_path / 'out', 'b_2') == [[0, 0, 3, 3]]
    else:
        assert [note.file for note in summary.skipped] == ['images/b_2']
    holds_all(tmp_path / 'out', ['a_1', 'c_3', 'd_4'])


def test_far_polygons_cost_nothing(tmp_path, bounded_memory):
    content = coco_content(['a_1', 'b_2', 'c_3'])
    content['annotations'][2]['segmentation'] = [[-1e9, -1e9, 1e9, -1e9, 1e9, 1e9]]
    summary = convert(write_coco(tmp_path / 'src', content), tmp_path / 'out', 'coco')
    assert summary.images == 4


@pytest.mark.parametrize('text', ['0 0.5 0.5', 'drone 0.5 0.5 0.1 0.1', '-1 0.5 0.5 0.1 0.1', '0.5 0.5 0.5 0.1 0.1',
                                  '1e9 0.5 0.5 0.1 0.1', '0 1 2 3 4 5 6 7'])
def test_bad_rows_of_yolo_leave_their_frame_out(tmp_path, text):
    source = write_yolo(tmp_path / 'src')
    (source / 'train/labels/a_1.txt').write_text(text)
    summary = convert(source, tmp_path / 'out', 'yolo')
    assert [note.file for note in summary.skipped] == ['train/images/a_1']


def test_a_source_of_another_format_is_one_line(tmp_path):
    source = write_coco(tmp_path / 'src')
    for kind in ('voc', 'yolo', 'masks', 'sirst'):
        with pytest.raises(InputError) as error:
            convert(source, tmp_path / 'out', kind)
        assert '--' in str(error.value) and '\n' not in str(error.value)
        assert not (tmp_path / 'out').exists()
    for option in (dict(masks='m'), dict(box_origin=0), dict(threshold=0.5)):
        with pytest.raises(InputError, match='means nothing for coco'):
            convert(source, tmp_path / 'out', 'coco', ConvertOptions(**option))
    with pytest.raises(InputError, match='--shares'):
        replace(ConvertOptions(), shares=(0, 0, 0))


@pytest.mark.parametrize('source_format', ['voc', 'coco', 'yolo'])
@pytest.mark.parametrize('place', ['folder', 'beside'])
def test_sky_maps_in_the_source_are_no_frames(tmp_path, source_format, place):
    """In a folder of the source, under the images' own names, or beside the images with an ending."""
    source = dict(voc=write_voc, coco=write_coco, yolo=write_yolo)[source_format](tmp_path / 'source')
    images = [file for file in source.rglob('*') if file.suffix in ('.jpg', '.png') and file.stem in BOXES]
    for image in images:
        file = source / f'sky/{image.stem}.png' if place == 'folder' else image.with_name(f'{image.stem}_sky.png')
        save(file, np.full(SIZE[::-1], 1, np.uint8))
    sky = 'sky' if place == 'folder' else '.'
    summary = convert(source, tmp_path / 'out', source_format, ConvertOptions(sky=sky))
    holds_all(tmp_path / 'out')
    assert summary.images == summary.sky == len(images)
