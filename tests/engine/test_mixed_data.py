"""One training on converted COCO, YOLO and mask data, with and without sky maps, two classes, 8 and 16 bits."""
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import draw_scene, write_palette

from bafenet.devkit.conversion.convert import ConvertOptions, convert
from bafenet.engine import test as testing
from bafenet.engine.train import train

CLASSES = ['bird', 'drone']
CONFIG = '''
_base_ = '{base}'
metainfo = dict(classes={classes})
def part(loader, root, split, sky):
    return dict(loader.dataset, data_root=root, ann_file=f'Splits/{{split}}_v2.txt', sky=sky, metainfo=metainfo)
parts = {parts}
train_dataloader = dict(num_workers=0, dataset=dict(_delete_=True, type='ConcatDataset', datasets=[
    part(_base_.train_dataloader, root, 'train', sky) for root, sky in parts]))
val_dataloader = dict(num_workers=0, batch_size=2, dataset=dict(_delete_=True, type='ConcatDataset', datasets=[
    part(_base_.val_dataloader, root, 'val', sky) for root, sky in parts]))
test_dataloader = val_dataloader
model = dict(bbox_head=dict(num_classes=2))
train_cfg = dict(max_epochs=2, val_interval=2)
'''


def scenes(seed: int, count: int = 8) -> dict:
    """Frames that differ, so that none is taken for another's recording: image, boxes, sky map by name."""
    rng = np.random.default_rng(seed)
    return {f'frame {seed}.{number}': draw_scene(rng) for number in range(count)}


def split_of(number: int) -> str:
    return 'val' if number % 4 == 3 else 'train'


def write_coco(root, seed):
    """JPEG frames, a JSON a split, two classes, no sky."""
    (root / 'images').mkdir(parents=True)
    documents = {split: dict(images=[], annotations=[], categories=[dict(id=7, name='drone'), dict(id=2, name='bird')])
                 for split in ('train', 'val')}
    for number, (name, (image, boxes, _)) in enumerate(scenes(seed).items()):
        cv2.imwrite(str(root / f'images/{name}.jpg'), image)
        document = documents[split_of(number)]
        document['images'].append(dict(id=number, file_name=f'{name}.jpg', width=64, height=64))
        document['annotations'] += [
            dict(id=100 * number + i, image_id=number, category_id=(7, 2)[i % 2], bbox=[x1, y1, x2 - x1, y2 - y1],
                 area=36, iscrowd=0) for i, (x1, y1, x2, y2) in enumerate(boxes)]
    for split, document in documents.items():
        (root / f'{split}.json').write_text(json.dumps(document))


def write_yolo(root, seed):
    """16-bit TIFF frames, a text file each, and a folder of sky maps for half of them."""
    for number, (name, (image, boxes, sky)) in enumerate(scenes(seed).items()):
        for folder in (root / 'images' / split_of(number), root / 'labels' / split_of(number), root / 'sky'):
            folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / 'images' / split_of(number) / f'{name}.tif'), image.astype(np.uint16) * 50 + 3000)
        lines = [f'{i % 2} {(x1 + x2) / 128} {(y1 + y2) / 128} {(x2 - x1) / 64} {(y2 - y1) / 64}'
                 for i, (x1, y1, x2, y2) in enumerate(boxes)]
        (root / 'labels' / split_of(number) / f'{name}.txt').write_text('\n'.join(lines))
        if number % 2:
            write_palette(root / f'sky/{name}.png', sky)
    (root / 'data.yaml').write_text('train: images/train\nval: images/val\nnames: [bird, drone]\n')


def write_masks(root, seed):
    """PNG frames and masks of 0 and 255, all of them with a sky map; one class."""
    for folder in ('images', 'masks', 'sky'):
        (root / folder).mkdir(parents=True, exist_ok=True)
    lists = {'train': [], 'val': []}
    for number, (name, (image, boxes, sky)) in enumerate(scenes(seed).items()):
        mask = np.zeros((64, 64), np.uint8)
        for x1, y1, x2, y2 in boxes:
            mask[y1:y2, x1:x2] = 255
        cv2.imwrite(str(root / f'images/{name}.png'), image)
        cv2.imwrite(str(root / f'masks/{name}.png'), mask)
        write_palette(root / f'sky/{name}.png', sky)
        lists[split_of(number)].append(name)
    for split, names in lists.items():
        (root / f'{split}.txt').write_text('\n'.join(names))


@pytest.fixture(scope='module')
def mixed(tmp_path_factory):
    """Folders of the three devkits, by what they were."""
    root = tmp_path_factory.mktemp('mixed')
    write_coco(root / 'coco', 1)
    write_yolo(root / 'yolo', 2)
    write_masks(root / 'masks', 3)
    convert(root / 'coco', root / 'own_coco', 'coco')
    convert(root / 'yolo', root / 'own_yolo', 'yolo', ConvertOptions(sky=str(root / 'yolo/sky')))
    convert(root / 'masks', root / 'own_masks', 'masks', ConvertOptions(
        sky=str(root / 'masks/sky'), one_class='drone'))
    return root


@pytest.fixture
def config(mixed, tmp_path):
    parts = [(str(mixed / 'own_coco'), 'none'), (str(mixed / 'own_yolo'), 'optional'),
             (str(mixed / 'own_masks'), 'required')]
    file = tmp_path / 'mixed.py'
    base = Path('configs/demo/bafenet_r18_demo_bagcp.py').resolve()
    file.write_text(CONFIG.format(base=base, classes=CLASSES, parts=parts))
    return str(file)


@pytest.mark.faults  # half a minute
def test_one_network_learns_from_all_of_them(config, mixed, tmp_path):
    train(config, work_dir=str(tmp_path / 'run'), seed=0)
    log = next((tmp_path / 'run').glob('*/*.log')).read_text()
    assert '4 of 6 images have a sky map' not in log
    metrics = testing.test(config, str(tmp_path / 'run'), work_dir=str(tmp_path / 'test'),
                          out=str(tmp_path / 'results.json'))
    assert metrics['densesirst/targets_bird'] + metrics['densesirst/targets_drone'] == 24
    assert {'densesirst/FPPI', 'densesirst/FPPI_sky', 'densesirst/sky_iou'} <= metrics.keys()
    results = json.loads((tmp_path / 'results.json').read_text())
    assert len(results['images']) == 6 and sum('in_sky' in image for image in results['images']) == 4
    # Pasted targets were cut from boxes where there are no masks, and only into frames with a known sky.
    assert not (mixed / 'own_coco/TargetLibrary').exists()
    assert (mixed / 'own_yolo/TargetLibrary').is_dir() and (mixed / 'own_masks/TargetLibrary').is_dir()
