"""Which label is which frame's, as people have them: frames of one name, names in another case, splits that overlap."""
import json
import unicodedata

import numpy as np
import pytest
from PIL import Image
from source_sets import (
    BOXES,
    SIZE,
    boxes_of,
    classes_of,
    frame,
    holds_all,
    kinds,
    mask,
    names_of,
    save,
    voc_xml,
    write_voc,
    yolo_rows,
)

from bafenet.devkit.conversion.convert import ConvertOptions, convert
from bafenet.errors import InputError
from bafenet.release.export_labels import ExportOptions, export_labels

SIDES = {name: [[x1, y1, x2 - x1, y2 - y1] for x1, y1, x2, y2 in boxes] for name, boxes in BOXES.items()}


def text(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def coco(path, names, annotations, categories=((1, 'drone'), )):
    """A COCO JSON of file names, the first of id 1, and of annotations."""
    return text(path, json.dumps(dict(
        images=[dict(id=number, file_name=name) for number, name in enumerate(names, 1)], annotations=annotations,
        categories=[dict(id=number, name=name) for number, name in categories])))


def annotation(image, box, **more):
    return dict(image_id=image, category_id=1, bbox=list(box), **more)


# --- Frames of one name -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize('source_format', ['voc', 'yolo', 'masks'])
def test_a_frame_without_labels_does_not_get_those_of_another_folder(tmp_path, source_format):
    """Frame 1 of a recording that has none, and frame 1 of one that has."""
    for recording in ('s1', 's2'):
        save(tmp_path / f'src/{recording}/images/1.png', frame('a_1'))
    if source_format == 'voc':
        text(tmp_path / 'src/s1/labels/1.xml', voc_xml(BOXES['a_1']))
    elif source_format == 'yolo':
        text(tmp_path / 'src/s1/labels/1.txt', yolo_rows(BOXES['a_1']))
    else:
        save(tmp_path / 'src/s1/masks/1.png', mask('a_1'))
    summary = convert(tmp_path / 'src', tmp_path / 'out', source_format)
    assert len(boxes_of(tmp_path / 'out', 's1_images_1')) == 2 and not boxes_of(tmp_path / 'out', 's2_images_1')
    assert [note.file for note in summary.notes if note.kind.startswith('image without')] == ['s2/images/1.png']


def test_sky_maps_of_another_folder_are_not_taken(tmp_path):
    for recording in ('s1', 's2'):
        save(tmp_path / f'src/{recording}/1.png', frame('a_1'))
        text(tmp_path / f'src/{recording}/1.txt', '')
    save(tmp_path / 'sky/s1/1.png', np.ones(SIZE[::-1], np.uint8))
    summary = convert(tmp_path / 'src', tmp_path / 'out', 'yolo', ConvertOptions(sky=str(tmp_path / 'sky')))
    assert summary.sky == 1 and (tmp_path / 'out/SkySeg/PaletteMask/s1_1.png').exists()


def test_a_label_file_that_fits_two_frames_equally_well_is_said_to(tmp_path):
    """Of a visible and an infrared frame, as LLVIP has them."""
    for folder in ('visible', 'infrared'):
        save(tmp_path / f'src/{folder}/1.png', frame('a_1'))
    text(tmp_path / 'src/labels/1.xml', voc_xml(BOXES['a_1']))
    summary = convert(tmp_path / 'src', tmp_path / 'out', 'voc')
    assert kinds(summary) == {'XML file of several images'} and summary.targets == {'drone': 4}


@pytest.mark.parametrize('other', ['night/1.png', 'day/1.jpg'])
def test_targets_of_an_absent_image_do_not_go_to_one_of_its_name(tmp_path, other):
    save(tmp_path / 'src/day/1.png', frame('a_1'))
    coco(tmp_path / 'src/labels.json', ['day/1.png', other],
         [annotation(1, SIDES['a_1'][0]), annotation(2, (1, 2, 3, 4))])
    summary = convert(tmp_path / 'src', tmp_path / 'out', 'coco')
    assert boxes_of(tmp_path / 'out', '1') == [list(map(float, BOXES['a_1'][0]))]
    assert kinds(summary) == {'label without an image'}


def test_two_names_that_fit_one_image_equally_well_are_refused(tmp_path):
    save(tmp_path / 'src/images/1.png', frame('a_1'))
    coco(tmp_path / 'src/labels.json', ['C:\\day\\1.png', 'C:\\night\\1.png'], [annotation(2, (1, 2, 3, 4))])
    with pytest.raises(InputError, match='may be that as well'):
        convert(tmp_path / 'src', tmp_path / 'out', 'coco')
    assert not (tmp_path / 'out').exists()


def test_a_list_that_names_an_absent_frame_does_not_take_another_of_its_name(tmp_path):
    for name in ('1', '2'):
        save(tmp_path / f'src/s2/{name}.png', frame('a_1'))
        text(tmp_path / f'src/s2/{name}.txt', yolo_rows(BOXES['a_1']))
    text(tmp_path / 'src/train.txt', 's2/2.png\ns1/1.png\n')
    text(tmp_path / 'src/test.txt', 's2/1.png\n')
    summary = convert(tmp_path / 'src', tmp_path / 'out', 'yolo')
    assert names_of(tmp_path / 'out', 'train') == ['2'] and names_of(tmp_path / 'out', 'test') == ['1']
    assert kinds(summary) == {'split name without an image'}


@pytest.mark.parametrize('here, there', [('IMG_1', 'img_1'), (unicodedata.normalize('NFD', 'é'), 'é')])
def test_names_that_other_systems_do_not_tell_apart(tmp_path, here, there):
    save(tmp_path / f'voc/{here}.JPG', frame('a_1'))
    text(tmp_path / f'voc/{there}.XML', voc_xml(BOXES['a_1']))
    convert(tmp_path / 'voc', tmp_path / 'out', 'voc')
    assert len(next((tmp_path / 'out/SIRST/BBox').iterdir()).read_text().split('<object>')) == 3


def test_a_label_goes_to_the_frame_of_its_own_case(tmp_path):
    for name in ('A', 'a'):
        save(tmp_path / f'src/{name}.png', frame('a_1'))
    text(tmp_path / 'src/a.txt', yolo_rows(BOXES['a_1']))
    convert(tmp_path / 'src', tmp_path / 'out', 'yolo')
    frames = json.loads((tmp_path / 'out/convert.json').read_text())['frames']
    assert {key: len(boxes_of(tmp_path / 'out', name)) for name, key in frames.items()} == {'A': 0, 'a': 2}


def test_labels_that_go_with_no_frame_are_refused(tmp_path):
    save(tmp_path / 'masks/images/1.png', frame('a_1'))
    save(tmp_path / 'masks/masks/mask_1.png', mask('a_1'))
    save(tmp_path / 'voc/1.png', frame('a_1'))
    text(tmp_path / 'voc/label_1.xml', voc_xml(BOXES['a_1']))
    save(tmp_path / 'coco/1.png', frame('a_1'))
    coco(tmp_path / 'coco/labels.json', ['2.png'], [annotation(1, (1, 2, 3, 4))])
    expected = dict(masks='no mask goes with', voc='no XML file goes with', coco='no such image')
    for source_format, words in expected.items():
        with pytest.raises(InputError, match=words):
            convert(tmp_path / source_format, tmp_path / 'out', source_format)


# --- Splits -----------------------------------------------------------------------------------------------------------


def test_one_list_for_training_and_validation_trains(tmp_path):
    source = write_voc(tmp_path / 'src', suffix='.png')
    for file in (source / 'ImageSets/Main').iterdir():
        file.unlink()
    for role in ('train', 'val', 'trainval'):
        text(source / f'ImageSets/Main/{role}.txt', 'a_1\nb_2\n')
    summary = convert(source, tmp_path / 'out', 'voc')
    assert names_of(tmp_path / 'out', 'train') == ['a_1', 'b_2'] and 'val' not in summary.splits
    assert [note.message for note in summary.notes if note.kind == 'in several splits'] == ['left out of val'] * 2


def test_one_folder_of_data_yaml_for_training_and_validation_trains(tmp_path):
    """As coco128.yaml has it."""
    for name in ('a_1', 'b_2'):
        save(tmp_path / f'src/images/train2017/{name}.png', frame(name))
        text(tmp_path / f'src/labels/train2017/{name}.txt', yolo_rows(BOXES[name]))
    text(tmp_path / 'src/coco128.yaml', 'train: images/train2017\nval: images/train2017\nnames: [drone]\n')
    summary = convert(tmp_path / 'src', tmp_path / 'out', 'yolo')
    assert summary.splits == {'train': (2, 3)} and kinds(summary) == {'in several splits'}


def test_lists_that_cannot_be_used_are_said(tmp_path):
    source = write_voc(tmp_path / 'src', suffix='.png')
    for file in (source / 'ImageSets/Main').iterdir():
        file.unlink()
    text(source / 'ImageSets/Main/Test.TXT', 'ghost\n')
    summary = convert(source, tmp_path / 'one', 'voc')
    assert kinds(summary) == {'list without an image'} and any('drawn' in fact for fact in summary.facts)
    text(source / 'ImageSets/Main/Test.TXT', 'ghost\nb_2\n')
    assert convert(source, tmp_path / 'two', 'voc').splits == {'test': (1, 1)}
    (source / 'ImageSets/Main/train.txt').write_bytes('a_1\n'.encode('utf-16'))
    with pytest.raises(InputError, match=r'train\.txt: is called as a list .* UTF-8'):
        convert(source, tmp_path / 'three', 'voc')


def test_what_is_written_may_lie_among_the_images_and_not_among_the_labels(tmp_path):
    save(tmp_path / 'images/1.png', frame('a_1'))
    coco(tmp_path / 'labels/train.json', ['1.png'], [annotation(1, SIDES['a_1'][0])])
    options = ConvertOptions(images=str(tmp_path / 'images'))
    for _ in range(2):
        assert convert(tmp_path / 'labels', tmp_path / 'images/out', 'coco', options).images == 1
    with pytest.raises(InputError, match='which is read'):
        convert(tmp_path / 'images', tmp_path / 'labels/out', 'coco', ConvertOptions(labels=str(tmp_path / 'labels')))


# --- Labels -----------------------------------------------------------------------------------------------------------


def test_coco_boxes_from_segmentations_alone(tmp_path):
    """Run lengths without a box, one that goes over two columns, and a polygon with an empty one."""
    pixels = np.zeros(SIZE[::-1], np.uint8)
    pixels[6:9, 5:8] = 1
    spread = np.zeros(SIZE[::-1], np.uint8)
    spread[40:, 30] = spread[:2, 31] = 1
    runs = []
    for array in (pixels, spread):
        flat = array.T.ravel()
        runs.append(dict(size=[SIZE[1], SIZE[0]], counts=np.diff([0, *np.flatnonzero(np.diff(flat)) + 1,
                                                                  flat.size]).tolist()))
    save(tmp_path / 'src/1.png', frame('a_1'))
    coco(tmp_path / 'src/labels.json', ['1.png'], [
        dict(image_id=1, category_id=1, segmentation=runs[0]), dict(image_id=1, category_id=1, segmentation=runs[1]),
        dict(image_id=1, category_id=1, bbox=[], segmentation=[[50, 10, 54, 10, 54, 13]]),
        dict(image_id=1, category_id=1, segmentation=dict(size=[48, 64], counts=[48 * 64]))])
    summary = convert(tmp_path / 'src', tmp_path / 'out', 'coco')
    assert boxes_of(tmp_path / 'out', '1') == [[5, 6, 8, 9], [30, 0, 32, 48], [50, 10, 54, 13]]
    assert kinds(summary) == {'box without four numbers'} and summary.masks == 1


def test_coco_ids_of_one_value_and_links_as_file_names(tmp_path):
    save(tmp_path / 'src/my frame é.png', frame('a_1'))
    coco(tmp_path / 'src/labels.json', ['data/my%20frame%20%C3%A9.png'], [
        dict(image_id='1', category_id=1.0, bbox=SIDES['a_1'][0])])
    convert(tmp_path / 'src', tmp_path / 'out', 'coco')
    assert boxes_of(tmp_path / 'out', 'my_frame_é') == [list(map(float, BOXES['a_1'][0]))]
    coco(tmp_path / 'src/labels.json', ['1.png'], [], categories=((1, 'bird'), (1, 'drone')))
    with pytest.raises(InputError, match=r'categories\[1\]\.id 1 stands there twice'):
        convert(tmp_path / 'src', tmp_path / 'other', 'coco')


def test_files_of_class_names_that_disagree_are_refused(tmp_path):
    """LabelImg writes one beside the labels of each folder, with the classes that it has met so far."""
    for name in ('a_1', 'b_2'):
        save(tmp_path / f'src/{name}/{name}.png', frame(name))
        text(tmp_path / f'src/{name}/{name}.txt', yolo_rows(BOXES[name], 1 if name == 'a_1' else 0))
    text(tmp_path / 'src/a_1/classes.txt', 'bird\n\ndrone\n')
    text(tmp_path / 'src/b_2/classes.txt', 'bird\n')
    convert(tmp_path / 'src', tmp_path / 'out', 'yolo')
    # An empty line is a number, too.
    assert classes_of(tmp_path / 'out', 'a_1') == ['class_1'] * 2 and classes_of(tmp_path / 'out', 'b_2') == ['bird']
    text(tmp_path / 'src/b_2/classes.txt', 'drone\n')
    with pytest.raises(InputError, match='names other classes than'):
        convert(tmp_path / 'src', tmp_path / 'other', 'yolo')


def test_class_names_beside_labels_elsewhere_and_in_a_folder_below(tmp_path):
    save(tmp_path / 'images/1.png', frame('a_1'))
    text(tmp_path / 'labels/1.txt', yolo_rows(BOXES['a_1']))
    text(tmp_path / 'labels/classes.txt', 'drone\n')
    convert(tmp_path / 'images', tmp_path / 'one', 'yolo', ConvertOptions(labels=str(tmp_path / 'labels')))
    assert classes_of(tmp_path / 'one', '1') == ['drone'] * 2
    (tmp_path / 'labels/classes.txt').unlink()
    save(tmp_path / 'labels/1.png', frame('a_1'))
    text(tmp_path / 'labels/below/data.yaml', 'names: [bird]\n')
    convert(tmp_path / 'labels', tmp_path / 'two', 'yolo')
    assert classes_of(tmp_path / 'two', '1') == ['bird'] * 2
    text(tmp_path / 'labels/data.yaml', 'names: [no]\n')
    with pytest.raises(InputError, match='False is no text; write it in quotes'):
        convert(tmp_path / 'labels', tmp_path / 'three', 'yolo')


def test_voc_sizes_with_decimals(tmp_path):
    save(tmp_path / 'src/1.png', frame('a_1'))
    text(tmp_path / 'src/1.xml', voc_xml(BOXES['a_1'], size=('64.0', '48.0')))
    assert convert(tmp_path / 'src', tmp_path / 'out', 'voc').images == 1


def test_a_devkit_without_masks(tmp_path):
    save(tmp_path / 'src/PNGImages/1.png', frame('a_1'))
    text(tmp_path / 'src/SIRST/BBox/1.xml', voc_xml(BOXES['a_1'], origin=0, inclusive=False))
    convert(tmp_path / 'src', tmp_path / 'out', 'sirst')
    assert boxes_of(tmp_path / 'out', '1') == [list(map(float, box)) for box in BOXES['a_1']]


# --- Images and masks -------------------------------------------------------------------------------------------------


def test_segmentation_masks_of_cvat(tmp_path):
    for name in BOXES:
        save(tmp_path / f'src/JPEGImages/{name}.jpg', frame(name))
        for folder in ('SegmentationClass', 'SegmentationObject'):
            save(tmp_path / f'src/{folder}/{name}.png', np.dstack([mask(name), 0 * mask(name), mask(name)]))
    for number, options in enumerate((ConvertOptions(), ConvertOptions(masks='SegmentationClass'))):
        assert convert(tmp_path / 'src', tmp_path / f'out{number}', 'masks', options).images == len(BOXES)
        holds_all(tmp_path / f'out{number}')


def test_borders_of_palette_masks_are_no_targets(tmp_path):
    """Pascal VOC's segmentations have 255 around each object."""
    save(tmp_path / 'src/images/1.png', frame('a_1'))
    values = np.zeros(SIZE[::-1], np.uint8)
    values[4:11, 4:11], values[6:9, 6:9] = 255, 3
    palette = Image.fromarray(values).convert('P')
    palette.putdata(values.ravel().tolist())
    (tmp_path / 'src/masks').mkdir()
    palette.save(tmp_path / 'src/masks/1.png')
    summary = convert(tmp_path / 'src', tmp_path / 'out', 'masks')
    assert boxes_of(tmp_path / 'out', '1') == [[6, 6, 9, 9]] and kinds(summary) == {'border of a palette mask'}


@pytest.mark.parametrize('suffix', ['.png', '.jpg'])
def test_targets_that_a_soft_mask_loses_are_said(tmp_path, suffix):
    save(tmp_path / 'src/images/1.png', frame('a_1'))
    values = np.zeros(SIZE[::-1], np.uint8)
    values[8:12, 8:12], values[32:36, 40:44] = 255, 100
    values[33, 41] = 90
    save(tmp_path / f'src/masks/1{suffix}', values)
    summary = convert(tmp_path / 'src', tmp_path / 'out', 'masks')
    assert len(boxes_of(tmp_path / 'out', '1')) == 1 and kinds(summary) == {'faint part of a mask'}
    assert '1 components' in summary.notes[0].message


@pytest.mark.parametrize('suffix', ['.png', '.tif', '.webp', '.jpg'])
def test_images_that_a_tag_turns_are_left_out(tmp_path, suffix):
    save(tmp_path / 'src/2.png', frame('c_3'))
    exif = Image.Exif()
    exif[0x0112] = 3
    image = Image.fromarray(frame('a_1'))
    image.save(tmp_path / f'src/1{suffix}', **(dict(tiffinfo={0x0112: 3}) if suffix == '.tif' else dict(exif=exif)))
    text(tmp_path / 'src/1.txt', yolo_rows(BOXES['a_1']))
    summary = convert(tmp_path / 'src', tmp_path / 'out', 'yolo')
    assert [note.file for note in summary.skipped] == ['1'] and 'turned by an EXIF tag' in summary.skipped[0].message


@pytest.mark.parametrize('images', ['link', 'copy'])
def test_a_frame_of_two_splits_is_exported_in_both(tmp_path, images):
    source = write_voc(tmp_path / 'src', suffix='.png')
    convert(source, tmp_path / 'devkit', 'voc')
    text(tmp_path / 'devkit/Splits/test_v2.txt', 'd_4\nb_2\n')
    export_labels(tmp_path / 'devkit', tmp_path / 'out', 'coco', ExportOptions(images=images))
    named = {split: [image['file_name'] for image in json.loads(
        (tmp_path / f'out/annotations/{split}.json').read_text())['images']] for split in ('train', 'test')}
    assert named == dict(train=['a_1.png', 'b_2.png'], test=['d_4.png', 'b_2.png'])
