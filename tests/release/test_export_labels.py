"""Labels and predictions as COCO and YOLO: what the files say, by formulas and pycocotools, and the way back."""
import contextlib
import io
import json
import shutil

import cv2
import numpy as np
import pytest
import yaml
from conftest import load_tool
from PIL import Image

from bafenet.devkit import read_boxes
from bafenet.devkit.conversion.convert import ConvertOptions, convert
from bafenet.errors import InputError
from bafenet.release.export_labels import ExportOptions, export_labels

FOLDERS = ('SIRST/BBox', 'SIRST/PaletteMask', 'PNGImages')


def boxes_of(devkit):
    return {path.stem: read_boxes(path)[1].tolist() for path in (devkit / 'SIRST/BBox').glob('*.xml')}


def split_of(devkit, split):
    return (devkit / 'Splits' / f'{split}_v2.txt').read_text().split()


@pytest.mark.parametrize('to', ['coco', 'yolo'])
def test_the_way_back_gives_equal_boxes_masks_and_splits(devkit, tmp_path, to):
    done = export_labels(devkit, tmp_path / 'labels', to)
    assert done.frames == dict(train=8, val=2, test=2) and done.boxes == 48
    summary = convert(tmp_path / 'labels', tmp_path / 'back', to)
    assert boxes_of(tmp_path / 'back') == boxes_of(devkit) and not summary.notes
    for split in ('train', 'val', 'test', 'trainval'):
        assert sorted(split_of(tmp_path / 'back', split)) == sorted(split_of(devkit, split))
    for name in boxes_of(devkit):
        assert (tmp_path / f'back/PNGImages/{name}.png').read_bytes() == (devkit / f'PNGImages/{name}.png').read_bytes()
        if to == 'coco':
            masks = [np.asarray(Image.open(root / f'SIRST/PaletteMask/{name}.png'))
                     for root in (devkit, tmp_path / 'back')]
            assert np.array_equal(*masks) and masks[0].any()


@pytest.mark.parametrize('to', ['coco', 'yolo'])
def test_deep_frames_of_any_suffix_and_several_classes_go_and_come_back(copy, tmp_path, to):
    for number, path in enumerate(sorted((copy / 'PNGImages').iterdir())):
        deep = cv2.imread(str(path), 0).astype(np.uint16) * 200
        path.unlink()
        cv2.imwrite(str(path.with_suffix(('.tif', '.pgm', '.png')[number % 3])), deep)
        xml = copy / f'SIRST/BBox/{path.stem}.xml'
        xml.write_text(xml.read_text().replace('Target', 'small drone v1.0', number % 3))
    shutil.rmtree(copy / 'SIRST/PaletteMask')
    done = export_labels(copy, tmp_path / 'labels', to)
    assert done.classes == ['Target', 'small drone v1.0'] and done.boxes == 48
    summary = convert(tmp_path / 'labels', tmp_path / 'back', to)
    assert summary.bits == {'16': 12} and summary.targets == {'Target': 36, 'small drone v1.0': 12}
    for name, boxes in boxes_of(copy).items():
        assert boxes_of(tmp_path / 'back')[name] == boxes
        source = next((copy / 'PNGImages').glob(f'{name}.*'))
        back = cv2.imread(str(tmp_path / f'back/PNGImages/{name}.png'), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(back, cv2.imread(str(source), cv2.IMREAD_UNCHANGED))


@pytest.mark.faults
@pytest.mark.parametrize('to', ['coco', 'yolo'])
def test_the_way_back_of_the_real_data(real_data, tmp_path, to):
    export_labels(real_data, tmp_path / 'labels', to)
    convert(tmp_path / 'labels', tmp_path / 'back', to, ConvertOptions(link=True))
    assert boxes_of(tmp_path / 'back') == boxes_of(real_data)


def test_pycocotools_reads_the_coco_file(devkit, tmp_path):
    coco = pytest.importorskip('pycocotools.coco')
    export_labels(devkit, tmp_path / 'labels', 'coco', ExportOptions(images='copy'))
    with contextlib.redirect_stdout(io.StringIO()):
        data = coco.COCO(str(tmp_path / 'labels/annotations/val.json'))
    truth = boxes_of(devkit)
    for entry in data.loadImgs(data.getImgIds()):
        name = entry['file_name'].removesuffix('.png')
        assert not (tmp_path / 'labels/images' / entry['file_name']).is_symlink()
        for item, (x1, y1, x2, y2) in zip(data.loadAnns(data.getAnnIds([entry['id']])), truth[name], strict=True):
            assert item['bbox'] == [x1, y1, x2 - x1, y2 - y1] and item['area'] == (x2 - x1) * (y2 - y1)
            pixels = data.annToMask(item)
            rows, columns = np.nonzero(pixels)
            assert [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] == [x1, y1, x2, y2]
    assert data.loadCats(data.getCatIds()) == [dict(id=1, name='Target')]


def test_touching_boxes_have_their_own_pixels(copy, tmp_path):
    """Two targets side by side, the box of one within that of the other: its pixels are those of its component."""
    name = 'scene_8'
    mask = np.zeros((64, 64), np.uint8)
    mask[10, 10:20] = mask[10:20, 10] = 1  # an angle
    mask[15:18, 15:18] = 1  # in the box of the angle, and apart from it
    Image.fromarray(mask).save(copy / f'SIRST/PaletteMask/{name}.png')
    xml = ''.join(f'<object><name>Target</name><bndbox><xmin>{a}</xmin><ymin>{a}</ymin><xmax>{b}</xmax><ymax>{b}</ymax>'
                  '</bndbox></object>' for a, b in ((10, 20), (15, 18)))
    (copy / f'SIRST/BBox/{name}.xml').write_text(f'<annotation>{xml}</annotation>')
    export_labels(copy, tmp_path / 'labels', 'coco')
    content = json.loads((tmp_path / 'labels/annotations/val.json').read_text())
    number = next(image['id'] for image in content['images'] if image['file_name'] == f'{name}.png')
    assert [item['area'] for item in content['annotations'] if item['image_id'] == number] == [19, 9]


def test_yolo_rows_are_shares_of_the_image(devkit, tmp_path):
    export_labels(devkit, tmp_path / 'labels', 'yolo', ExportOptions(images='none', classes=['bird', 'Target']))
    assert yaml.safe_load((tmp_path / 'labels/data.yaml').read_text()) == dict(
        train='images/train', val='images/val', test='images/test', names={0: 'bird', 1: 'Target'})
    assert not (tmp_path / 'labels/images').exists()
    truth = np.array(boxes_of(devkit)['scene_9'])
    rows = np.loadtxt(tmp_path / 'labels/labels/val/scene_9.txt')
    assert (rows[:, 0] == 1).all()
    low, high = truth[:, :2] / 64, truth[:, 2:] / 64
    assert np.allclose(rows[:, 1:], np.hstack([(low + high) / 2, high - low]), rtol=0, atol=1e-8)


@pytest.fixture
def predictions(devkit, tmp_path):
    """``predictions.json`` as predict.md describes it, of two frames of the devkit and one elsewhere."""
    names = [str(devkit / 'PNGImages/scene_0.png'), str(devkit / 'PNGImages/scene_1.png'), 'film.mp4#12']
    content = dict(
        info={}, skipped=[], categories=[dict(id=1, name='Target'), dict(id=2, name='bird')],
        images=[dict(id=i, file_name=name, width=64, height=64) for i, name in enumerate(names, 1)],
        annotations=[
            dict(id=1, image_id=1, category_id=1, bbox=[2.5, 3, 4, 5.25], score=0.9, area=21, iscrowd=0),
            dict(id=2, image_id=1, category_id=2, bbox=[60, 60, 8, 8], score=0.5, area=64, iscrowd=0),
            dict(id=3, image_id=3, category_id=1, bbox=[1, 1, 3, 3], score=0.1, area=9, iscrowd=0)])
    (tmp_path / 'results').mkdir()
    (tmp_path / 'results/predictions.json').write_text(json.dumps(content))
    return tmp_path / 'results'


def test_predictions_become_labels(predictions, tmp_path):
    done = export_labels(predictions, tmp_path / 'yolo', 'yolo', ExportOptions(min_score=0.2, confidence=True))
    assert done.frames == {'predictions': 3} and done.boxes == 2 and done.below == 1
    files = sorted((tmp_path / 'yolo/labels/predictions').iterdir())
    assert len(files) == 3
    rows = {file.name: file.read_text() for file in files}
    text = next(text for name, text in rows.items() if 'scene_0' in name)
    # Target is class 0 and bird 1; the second box is cut at the edge of the frame.
    assert np.allclose([list(map(float, row.split())) for row in text.splitlines()], [
        [0, 4.5 / 64, 5.625 / 64, 4 / 64, 5.25 / 64, 0.9], [1, 62 / 64, 62 / 64, 4 / 64, 4 / 64, 0.5]])
    assert sorted(text for name, text in rows.items() if 'scene_0' not in name) == ['', '']
    assert len(list((tmp_path / 'yolo/images/predictions').iterdir())) == 2
    export_labels(predictions / 'predictions.json', tmp_path / 'coco', 'coco')
    results = json.loads((tmp_path / 'coco/results.json').read_text())
    assert [(item['bbox'], item['score']) for item in results] == [
        ([2.5, 3, 4, 5.25], 0.9), ([60, 60, 8, 8], 0.5), ([1, 1, 3, 3], 0.1)]
    assert results[0].keys() == {'image_id', 'category_id', 'bbox', 'score'}


def test_results_of_a_test_become_labels(devkit, tmp_path):
    image = dict(img_id='scene_0', img_path=str(devkit / 'PNGImages/scene_0.png'), shape=[64, 48], boxes=[[1, 2, 4, 6]],
                 scores=[0.75], labels=[1], gt_boxes=[], gt_labels=[])
    (tmp_path / 'out.json').write_text(json.dumps(dict(images=[image])))
    export_labels(tmp_path / 'out.json', tmp_path / 'coco', 'coco', ExportOptions(classes=('Target', 'bird')))
    content = json.loads((tmp_path / 'coco/annotations/predictions.json').read_text())
    assert content['images'] == [dict(id=1, file_name='scene_0.png', width=48, height=64)]
    assert content['annotations'][0]['category_id'] == 2 and content['annotations'][0]['bbox'] == [1, 2, 3, 4]
    assert (tmp_path / 'coco/images/scene_0.png').is_symlink()


def test_what_cannot_be_exported_is_one_line_and_leaves_nothing(copy, predictions, tmp_path):
    (tmp_path / 'full').mkdir()
    (tmp_path / 'full/mine').write_text('mine')
    spoiled = json.loads((predictions / 'predictions.json').read_text())
    spoiled['annotations'][0]['bbox'] = [0, 0, 'x', 1]
    (tmp_path / 'spoiled.json').write_text(json.dumps(spoiled))
    (tmp_path / 'list.json').write_text('[]')
    cases = [
        (copy, 'full', ExportOptions(), 'exists'), (copy, 'new', ExportOptions(splits='v7'), 'train_v7'),
        (copy, 'new', ExportOptions(classes=('bird', )), '--classes'), (tmp_path / 'absent', 'new', None, 'neither'),
        (tmp_path / 'spoiled.json', 'new', None, 'bbox'), (tmp_path / 'list.json', 'new', None, 'list.json')]
    for source, out, options, words in cases:
        with pytest.raises(InputError, match=words) as error:
            export_labels(source, tmp_path / out, 'coco', options)
        assert '\n' not in str(error.value)
    assert not (tmp_path / 'new').exists() and not list(tmp_path.glob('.*'))
    shutil.rmtree(copy / 'Splits')
    tool = load_tool('dataset/export_labels.py')
    assert tool.main([str(copy), str(tmp_path / 'new'), '--to', 'yolo', '--all-images']) == 0
    assert len(list((tmp_path / 'new/labels/all').iterdir())) == 12
