"""Conversion to a devkit: each format, depth, links, splits."""
import json

import cv2
import numpy as np
import pytest
from conftest import ROOT, a_third
from source_sets import (
    BOXES,
    SIZE,
    boxes_of,
    classes_of,
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

from bafenet.datasets import DenseSIRSTDataset
from bafenet.devkit import read_boxes, read_mask
from bafenet.devkit.check import check_devkit
from bafenet.devkit.conversion.convert import ConvertOptions, convert
from bafenet.devkit.conversion.summary import training_notes
from bafenet.devkit.frames import read_frame

NUDT = ROOT.parent / 'shared' / 'nudt_sirst'


# --- Formats ----------------------------------------------------------------------------------------------------------


def test_voc(tmp_path):
    summary = convert(write_voc(tmp_path / 'src'), tmp_path / 'out', 'voc')
    holds_all(tmp_path / 'out')
    assert summary.targets == {'drone': 4} and summary.empty == 1 and not summary.masks
    assert names_of(tmp_path / 'out', 'train') == ['a_1', 'b_2'] and names_of(tmp_path / 'out', 'val') == ['c_3']
    assert names_of(tmp_path / 'out', 'trainval') == ['a_1', 'b_2', 'c_3']
    assert classes_of(tmp_path / 'out', 'a_1') == ['drone', 'drone']
    assert not (tmp_path / 'out/SIRST/PaletteMask').exists()
    assert any('count from 1' in fact and "Pascal VOC's own" in fact for fact in summary.facts)
    assert not errors_but_for_sky(tmp_path / 'out')
    # A JPEG becomes a PNG of the pixels that OpenCV decodes.
    written = cv2.imread(str(tmp_path / 'out/PNGImages/a_1.png'), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(written, cv2.imread(str(tmp_path / 'src/JPEGImages/a_1.jpg'), cv2.IMREAD_UNCHANGED))


@pytest.mark.parametrize(('origin', 'inclusive'), [(0, False), (0, True), (1, False), (1, True)])
def test_masks_show_how_voc_counts_pixels(tmp_path, origin, inclusive):
    source = write_voc(tmp_path / 'src', suffix='.png', origin=origin, inclusive=inclusive)
    for name in BOXES:
        save(tmp_path / 'truth' / f'{name}.png', mask(name))
    summary = convert(source, tmp_path / 'out', 'voc', ConvertOptions(masks=str(tmp_path / 'truth')))
    holds_all(tmp_path / 'out')
    assert f'pixels count from {origin}, xmax and ymax are {"inclusive" if inclusive else "exclusive"}' \
        in summary.facts[0]
    assert summary.masks == 4 and not errors_but_for_sky(tmp_path / 'out')
    assert np.array_equal(read_mask(tmp_path / 'out/SIRST/PaletteMask/a_1.png', SIZE[::-1]), mask('a_1', 1))


@pytest.mark.parametrize(('origin', 'ends'), [(0, 'exclusive'), (0, 'inclusive'), (1, 'exclusive'), (1, 'inclusive')])
def test_options_say_how_voc_counts_pixels(tmp_path, origin, ends):
    source = write_voc(tmp_path / 'src', origin=origin, inclusive=ends == 'inclusive')
    convert(source, tmp_path / 'out', 'voc', ConvertOptions(box_origin=origin, box_ends=ends))
    holds_all(tmp_path / 'out')


def test_a_box_that_begins_at_0_is_not_taken_for_1_based(tmp_path):
    convert(write_voc(tmp_path / 'src', origin=0, inclusive=False), tmp_path / 'out', 'voc')
    holds_all(tmp_path / 'out')


def test_voc_files_called_otherwise_are_found_by_what_they_say(tmp_path):
    save(tmp_path / 'src/x.png', frame('a_1'))
    (tmp_path / 'src/0001.xml').write_text(voc_xml(BOXES['a_1'], filename='x.png'))
    convert(tmp_path / 'src', tmp_path / 'out', 'voc')
    assert len(boxes_of(tmp_path / 'out', 'x')) == 2


def test_coco(tmp_path):
    summary = convert(write_coco(tmp_path / 'src'), tmp_path / 'out', 'coco')
    holds_all(tmp_path / 'out')
    assert classes_of(tmp_path / 'out', 'a_1') == ['drone', 'bird']
    assert summary.targets == {'bird': 1, 'drone': 3} and summary.masks == 0
    assert names_of(tmp_path / 'out', 'val') == ['d_4'] and not kinds(summary)


def test_coco_segmentations_become_masks(tmp_path):
    coco_mask = pytest.importorskip('pycocotools.mask')
    content = coco_content(['a_1', 'b_2', 'c_3'])
    square = np.zeros(SIZE[::-1], np.uint8, order='F')
    square[6:9, 5:8] = 1
    runs = coco_mask.encode(square)
    flat = square.ravel(order='F')
    ends = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *ends, flat.size]).tolist()
    triangle = [20, 30, 24, 30, 20, 33]
    items = content['annotations']
    items[0]['segmentation'] = dict(size=list(SIZE[::-1]), counts=runs['counts'].decode())
    items[1]['segmentation'] = [triangle]
    items[2]['segmentation'] = dict(size=list(SIZE[::-1]), counts=counts)  # of another target, and yet of this image
    summary = convert(write_coco(tmp_path / 'src', content), tmp_path / 'out', 'coco')
    assert summary.masks == 3  # the one in val has none
    there = read_mask(tmp_path / 'out/SIRST/PaletteMask/a_1.png', SIZE[::-1])
    drawn = coco_mask.decode(coco_mask.frPyObjects([triangle], SIZE[1], SIZE[0]))[..., 0]
    assert np.array_equal(there, np.maximum(square, drawn)) and drawn.sum() > 3
    assert np.array_equal(read_mask(tmp_path / 'out/SIRST/PaletteMask/b_2.png', SIZE[::-1]), square)


def test_rectangles_of_boxes_are_no_masks(tmp_path):
    content = coco_content(['a_1', 'b_2', 'c_3'])
    for item in content['annotations']:
        x, y, w, h = item['bbox']
        item['segmentation'] = [[x, y, x + w, y, x + w, y + h, x, y + h]]
    summary = convert(write_coco(tmp_path / 'src', content), tmp_path / 'out', 'coco')
    assert not summary.masks and any('rectangle' in fact for fact in summary.facts)


def test_what_coco_says_wrongly_is_said_and_left_out(tmp_path):
    content = coco_content(['a_1', 'b_2', 'c_3'])
    good = content['annotations'][0]
    content['annotations'] += [
        dict(good, iscrowd=1), dict(good, image_id=999), dict(good, category_id=42), dict(good, bbox=[1, 2, 3]),
        dict(good, bbox=[5, 5, 0, 3]), dict(good, bbox=[500, 5, 3, 3]), dict(good, bbox=[62, 40, 10, 3])]
    content['images'].append(dict(id=5, file_name='../../secret.png'))
    summary = convert(write_coco(tmp_path / 'src', content), tmp_path / 'out', 'coco')
    assert kinds(summary) == {
        'crowd', 'annotation of no image', 'annotation of no category', 'box without four numbers', 'box without area',
        'box outside of the image', 'box partly outside of the image', 'label without an image'}
    assert boxes_of(tmp_path / 'out', 'a_1')[2:] == [[62, 40, 64, 43]] and len(boxes_of(tmp_path / 'out', 'a_1')) == 3
    told = json.loads((tmp_path / 'out/convert.json').read_text())
    assert {note['kind'] for note in told['notes']} == kinds(summary)


def test_yolo(tmp_path):
    summary = convert(write_yolo(tmp_path / 'src'), tmp_path / 'out', 'yolo')
    holds_all(tmp_path / 'out')
    assert summary.targets == {'drone': 4} and not kinds(summary)
    assert [names_of(tmp_path / 'out', split) for split in ('train', 'val', 'test')] == [['a_1', 'b_2'], ['c_3'],
                                                                                         ['d_4']]


def test_yolo_polygons_and_classes_without_a_name(tmp_path):
    def polygon(boxes):
        return ''.join('5 ' + ' '.join(f'{x / SIZE[0]} {y / SIZE[1]}' for x, y in ((a, b), (c, b), (c, d), (a, d)))
                       + '\n' for a, b, c, d in boxes)

    summary = convert(write_yolo(tmp_path / 'src', polygon), tmp_path / 'out', 'yolo')
    holds_all(tmp_path / 'out')
    assert summary.targets == {'class_5': 4} and kinds(summary) == {'class without a name'} and summary.masks == 3
    assert np.array_equal(read_mask(tmp_path / 'out/SIRST/PaletteMask/a_1.png', SIZE[::-1]), mask('a_1', 1))


LOOKS = {
    '0/255': lambda labels: labels, '0/1': lambda labels: labels // 255,
    'rgb': lambda labels: np.dstack([labels, labels * 0, labels]),
    'soft': lambda labels: np.maximum(labels // 255 * 200, cv2.dilate(labels, np.ones((5, 5))) // 255 * 90),
    '16 bits': lambda labels: labels.astype(np.uint16) * 257,
}


def test_coco_files_beside_their_images_as_roboflow_has_them(tmp_path):
    for split, name in dict(train='a_1', valid='b_2', test='d_4').items():
        save(tmp_path / 'src' / split / f'{name}.png', frame(name))
        (tmp_path / 'src' / split / '_annotations.coco.json').write_text(json.dumps(coco_content([name])))
    convert(tmp_path / 'src', tmp_path / 'out', 'coco')
    holds_all(tmp_path / 'out', ['a_1', 'b_2', 'd_4'])
    assert [names_of(tmp_path / 'out', split) for split in ('train', 'val', 'test')] == [['a_1'], ['b_2'], ['d_4']]


def test_one_coco_file_and_images_elsewhere(tmp_path):
    (tmp_path / 'src').mkdir()
    (tmp_path / 'src/labels.json').write_text(json.dumps(coco_content(list(BOXES))))
    for number, name in enumerate(BOXES):
        save(tmp_path / 'images' / 'xy'[number % 2] / f'{name}.png', frame(name))
    options = ConvertOptions(images=str(tmp_path / 'images'), splits='draw', one_class='Target')
    summary = convert(tmp_path / 'src/labels.json', tmp_path / 'out', 'coco', options)
    holds_all(tmp_path / 'out')
    assert summary.targets == {'Target': 4} and not kinds(summary)


def test_captions_beside_instances_are_left_alone(tmp_path):
    source = write_coco(tmp_path / 'src')
    captions = coco_content(['a_1', 'b_2'], annotations=[dict(id=1, image_id=100, caption='a drone')])
    (source / 'annotations/captions_train2024.json').write_text(json.dumps(captions))
    summary = convert(source, tmp_path / 'out', 'coco')
    holds_all(tmp_path / 'out')
    assert kinds(summary) == {'JSON file left out'}


@pytest.mark.parametrize('look', a_third(LOOKS))
def test_masks_of_any_kind(tmp_path, look):
    for name in BOXES:
        save(tmp_path / 'src/imgs' / f'{name}.bmp', frame(name))
        save(tmp_path / 'src/gt' / f'{name}_mask.png', LOOKS[look](mask(name)))
    summary = convert(tmp_path / 'src', tmp_path / 'out', 'masks', ConvertOptions(one_class='uav'))
    holds_all(tmp_path / 'out')
    assert summary.targets == {'uav': 4} and summary.masks == 4 and not kinds(summary)
    assert not errors_but_for_sky(tmp_path / 'out')


def test_a_threshold_takes_more_of_a_soft_mask(tmp_path):
    save(tmp_path / 'src/images/b.png', frame('b_2'))
    save(tmp_path / 'src/masks/b.png', LOOKS['soft'](mask('b_2')))
    convert(tmp_path / 'src', tmp_path / 'out', 'masks', ConvertOptions(threshold=0.3))
    assert boxes_of(tmp_path / 'out', 'b') == [[0, 0, 5, 5]]


@pytest.mark.parametrize(('images', 'masks', 'ending', 'lists'), [
    ('images', 'masks', '', 'img_idx/{}_NUDT-SIRST.txt'), ('IRSTD1k_Img', 'IRSTD1k_Label', '', '{}.txt'),
    ('images', 'masks', '_pixels0', 'idx_427/{}.txt'), ('mixed', 'annotations/masks', '_pixels0', 'splits/{}_v2.txt')])
def test_layouts_of_sirst(tmp_path, images, masks, ending, lists):
    root = tmp_path / 'src'
    for name in BOXES:
        save(root / images / f'{name}.png', frame(name))
        save(root / masks / f'{name}{ending}.png', mask(name))
    for split, names in dict(trainval='a_1 b_2 c_3', test='d_4').items():
        (root / lists.format(split)).parent.mkdir(exist_ok=True)
        (root / lists.format(split)).write_text(names.replace(' ', '\n'))
    if 'annotations' in masks:
        (root / 'annotations/bboxes').mkdir()
        for name, boxes in BOXES.items():
            (root / 'annotations/bboxes' / f'{name}.xml').write_text(voc_xml(boxes, origin=1, inclusive=False))
    convert(root, tmp_path / 'out', 'sirst')
    holds_all(tmp_path / 'out')
    assert names_of(tmp_path / 'out', 'train') == ['a_1', 'b_2', 'c_3']
    assert names_of(tmp_path / 'out', 'test') == ['d_4']
    assert not errors_but_for_sky(tmp_path / 'out')


@pytest.mark.faults
@pytest.mark.skipif(not NUDT.is_dir(), reason='NUDT-SIRST is not at ../shared/nudt_sirst')
def test_the_real_nudt_sirst(tmp_path):
    summary = convert(NUDT, tmp_path / 'out', 'sirst', ConvertOptions(link=True))
    assert summary.splits == {'train': (663, 918), 'test': (664, 945)} and not kinds(summary)


# --- What the devkit is for -------------------------------------------------------------------------------------------


def test_the_dataset_class_reads_it_with_sky_maps(tmp_path):
    source = write_yolo(tmp_path / 'src')
    for name in BOXES:
        save(tmp_path / 'sky' / f'{name}.png', np.full(SIZE[::-1], 255, np.uint8))
    convert(source, tmp_path / 'out', 'yolo', ConvertOptions(one_class='Target', sky=str(tmp_path / 'sky')))
    data = DenseSIRSTDataset(data_root=str(tmp_path / 'out'), ann_file='Splits/train_v2.txt', pipeline=[])
    assert [[item['bbox'] for item in data[i]['instances']] for i in range(2)] == [
        [list(map(float, box)) for box in BOXES[name]] for name in ('a_1', 'b_2')]
    assert not [problem for problem in check_devkit(tmp_path / 'out').problems if problem.severity == 'error']


def test_16_bits_and_floating_point_are_kept(tmp_path):
    deep = frame('a_1', np.uint16)
    save(tmp_path / 'src/images/tiff.tiff', deep)
    save(tmp_path / 'src/images/png.png', deep)
    np.save(tmp_path / 'src/images/whole.npy', deep.astype(np.float32))
    np.save(tmp_path / 'src/images/kelvin.npy', np.linspace(250, 300, deep.size, dtype=np.float32).reshape(deep.shape))
    for name in ('tiff', 'png', 'whole', 'kelvin'):
        save(tmp_path / 'src/masks' / f'{name}.png', mask('a_1'))
    summary = convert(tmp_path / 'src', tmp_path / 'out', 'masks', ConvertOptions(splits='draw'))
    read = {name: cv2.imread(str(tmp_path / f'out/PNGImages/{name}.png'), cv2.IMREAD_UNCHANGED)
            for name in ('tiff', 'png', 'whole', 'kelvin')}
    assert all(np.array_equal(read[name], deep) for name in ('tiff', 'png', 'whole'))
    spread = np.linspace(0, 65535, deep.size).reshape(deep.shape)
    assert np.abs(read['kelvin'] - spread).max() <= 1.5 and read['kelvin'].max() == 65535 and summary.spread == 1


@pytest.mark.parametrize('value', [1e6, -1e6, np.inf, 1e300])
def test_a_hot_pixel_leaves_the_others_their_levels(tmp_path, value):
    kelvin = np.random.default_rng(0).normal(300, 0.5, SIZE[::-1])
    kelvin[5, 7] = value
    (tmp_path / 'src/images').mkdir(parents=True)
    np.save(tmp_path / 'src/images/hot.npy', kelvin)
    save(tmp_path / 'src/masks/hot.png', mask('a_1'))
    convert(tmp_path / 'src', tmp_path / 'out', 'masks', ConvertOptions(splits='draw'))
    expected, found = (read_frame(tmp_path / file).image.astype(int)
                       for file in ('src/images/hot.npy', 'out/PNGImages/hot.png'))
    assert expected.std() > 20 and np.abs(found - expected).max() <= 1
    assert found[5, 7] == (0 if value < 0 else 255)


def test_links(tmp_path):
    convert(write_yolo(tmp_path / 'src'), tmp_path / 'out', 'yolo', ConvertOptions(link=True))
    link = tmp_path / 'out/PNGImages/a_1.png'
    assert link.is_symlink() and link.resolve() == (tmp_path / 'src/train/images/a_1.png').resolve()
    before = tree(tmp_path / 'src')
    (tmp_path / 'out/convert_frames.jsonl').unlink()
    convert(tmp_path / 'src', tmp_path / 'out', 'yolo', ConvertOptions(link=True))
    assert tree(tmp_path / 'src') == before  # no link was written through


@pytest.mark.faults
def test_splits_are_drawn_by_recording(tmp_path):
    """Shifted windows of three scenes: no scene lies in two splits."""
    rng = np.random.default_rng(1)
    for scene in 'pqr':
        ground = cv2.resize(rng.integers(0, 255, (40, 48), dtype=np.uint8), (144, 120), interpolation=cv2.INTER_CUBIC)
        for shift in range(3):
            name = f'{"xyz"[shift]}{scene}'
            save(tmp_path / 'src/images' / f'{name}.png', ground[4 * shift:4 * shift + 100, 4 * shift:4 * shift + 120])
            save(tmp_path / 'src/masks' / f'{name}.png', np.zeros((100, 120), np.uint8))
    summary = convert(tmp_path / 'src', tmp_path / 'out', 'masks', ConvertOptions(shares=(2, 1, 1)))
    scenes = [{name[1] for name in names_of(tmp_path / 'out', split)} for split in ('train', 'val', 'test')]
    assert sum(map(len, scenes)) == 3 and all(scenes) and '3 recordings' in summary.facts[-1]
    again = convert(tmp_path / 'src', tmp_path / 'out', 'masks', ConvertOptions(shares=(1, 0, 0), seed=3))
    assert list(again.splits) == ['train'] and again.splits['train'][0] == 9
    assert not (tmp_path / 'out/Splits/test_v2.txt').exists()
    to_test = convert(tmp_path / 'src', tmp_path / 'out', 'masks', ConvertOptions(shares=(0, 0, 1), val=0.5))
    assert {split: images for split, (images, _) in to_test.splits.items()} == {'test': 9}
    assert '--shares says it' in to_test.facts[-1]


def test_a_validation_split_is_drawn_of_the_training_frames(tmp_path):
    source = write_voc(tmp_path / 'src')
    (source / 'ImageSets/Main/val.txt').unlink()
    (source / 'ImageSets/Main/train.txt').write_text('a_1\nb_2\nc_3\n')
    convert(source, tmp_path / 'out', 'voc', ConvertOptions(val=0.34))
    train, val = names_of(tmp_path / 'out', 'train'), names_of(tmp_path / 'out', 'val')
    assert len(train) == 2 and len(val) == 1 and sorted(train + val) == ['a_1', 'b_2', 'c_3']
    assert names_of(tmp_path / 'out', 'test') == ['d_4']


def test_a_devkit_keeps_its_sky_maps_and_its_boxes(copy, tmp_path):
    """One box of the source counts from 1, as 21 of DenseSIRST's do, and a sky map holds ignored pixels."""
    xml = copy / 'SIRST/BBox/scene_0.xml'
    (x1, y1, x2, y2), *_ = truth = read_boxes(xml)[1].astype(int).tolist()
    text = xml.read_text()
    for corner, value in (('xmin', x1), ('ymin', y1), ('xmax', x2), ('ymax', y2)):
        text = text.replace(f'<{corner}>{value}<', f'<{corner}>{value + 1}<', 1)
    xml.write_text(text)
    sky = read_mask(copy / 'SkySeg/PaletteMask/scene_0.png', (64, 64)).copy()
    sky[-5:] = 255
    save(copy / 'SkySeg/PaletteMask/scene_0.png', sky)
    summary = convert(copy, tmp_path / 'out', 'sirst')
    assert [note.kind for note in summary.notes] == ['box moved onto its mask']
    assert boxes_of(tmp_path / 'out', 'scene_0') == truth and summary.sky == summary.masks == 12
    assert np.array_equal(read_mask(tmp_path / 'out/SkySeg/PaletteMask/scene_0.png', (64, 64)), sky)
    assert not [problem for problem in check_devkit(tmp_path / 'out').problems if problem.severity == 'error']
    assert training_notes(summary) == []
