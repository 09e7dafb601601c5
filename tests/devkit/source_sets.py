"""Small data sets in the formats of others, written by formulas of their own: frames with bright squares."""
import json
from pathlib import Path

import cv2
import numpy as np

from bafenet.devkit import read_boxes
from bafenet.devkit.check import check_devkit

SIZE = (64, 48)  # width, height
# Boxes of each frame, 0-based with exclusive ends.
BOXES = {'a_1': [(5, 6, 8, 9), (20, 30, 24, 33)], 'b_2': [(0, 0, 3, 3)], 'c_3': [], 'd_4': [(61, 45, 64, 48)]}


def frame(name: str, dtype=np.uint8) -> np.ndarray:
    """A textured frame with a bright square at each box."""
    rng = np.random.default_rng(sum(map(ord, name)))
    image = rng.integers(20, 60, SIZE[::-1]).astype(dtype) * (200 if dtype == np.uint16 else 1)
    for x1, y1, x2, y2 in BOXES.get(name, []):
        image[y1:y2, x1:x2] = np.iinfo(dtype).max
    return image


def mask(name: str, value: int = 255) -> np.ndarray:
    labels = np.zeros(SIZE[::-1], np.uint8)
    for x1, y1, x2, y2 in BOXES[name]:
        labels[y1:y2, x1:x2] = value
    return labels


def save(path: Path, image: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)
    return path


def voc_xml(boxes, origin=1, inclusive=True, name='drone', size=SIZE, filename='') -> str:
    """Boxes as VOC's own documentation has them: the first pixel is (1, 1), xmax is the last pixel of the object."""
    objects = ''
    for x1, y1, x2, y2 in boxes:
        last = 1 if inclusive else 0
        objects += f'<object><name>{name}</name><bndbox><xmin>{x1 + origin}</xmin><ymin>{y1 + origin}</ymin>' \
                   f'<xmax>{x2 - last + origin}</xmax><ymax>{y2 - last + origin}</ymax></bndbox></object>'
    head = f'<filename>{filename}</filename>' if filename else ''
    return f'<annotation>{head}<size><width>{size[0]}</width><height>{size[1]}</height><depth>1</depth></size>' \
           f'{objects}</annotation>'


def write_voc(root: Path, suffix='.jpg', **how) -> Path:
    for name, boxes in BOXES.items():
        save(root / 'JPEGImages' / f'{name}{suffix}', frame(name))
        file = root / 'Annotations' / f'{name}.xml'
        file.parent.mkdir(exist_ok=True)
        file.write_text(voc_xml(boxes, **how))
    lists = root / 'ImageSets' / 'Main'
    lists.mkdir(parents=True)
    for split, names in dict(train=['a_1', 'b_2'], val=['c_3'], test=['d_4']).items():
        (lists / f'{split}.txt').write_text('\n'.join(names) + '\n')
        (lists / f'drone_{split}.txt').write_text(''.join(f'{name}  1\n' for name in names))
    return root


def coco_content(names, **entries) -> dict:
    """The content of a COCO JSON of boxes alone, two categories by turns."""
    content = dict(images=[], annotations=[], categories=[dict(id=7, name='drone'), dict(id=3, name='bird')])
    for number, name in enumerate(names, 100):
        content['images'].append(dict(id=number, file_name=f'{name}.png', width=SIZE[0], height=SIZE[1]))
        for x1, y1, x2, y2 in BOXES[name]:
            index = len(content['annotations'])
            content['annotations'].append(dict(id=index, image_id=number, category_id=(7, 3)[index % 2], iscrowd=0,
                                               bbox=[x1, y1, x2 - x1, y2 - y1]))
    return {**content, **entries}


def write_coco(root: Path, content=None) -> Path:
    for name in BOXES:
        save(root / 'images' / f'{name}.png', frame(name))
    (root / 'annotations').mkdir()
    splits = dict(train=['a_1', 'b_2', 'c_3'], val=['d_4'])
    for split, names in splits.items():
        (root / 'annotations' / f'instances_{split}2024.json').write_text(json.dumps(coco_content(names)))
    if content is not None:
        (root / 'annotations' / 'instances_train2024.json').write_text(json.dumps(content))
    return root


def yolo_rows(boxes, label=0) -> str:
    """Centre and size as shares, with the six decimals that are usual."""
    (width, height), rows = SIZE, []
    for x1, y1, x2, y2 in boxes:
        rows.append(f'{label} {(x1 + x2) / 2 / width:.6f} {(y1 + y2) / 2 / height:.6f} {(x2 - x1) / width:.6f} '
                    f'{(y2 - y1) / height:.6f}')
    return ''.join(f'{row}\n' for row in rows)


def write_yolo(root: Path, text_of=yolo_rows) -> Path:
    """As Roboflow lays it out: a folder a split, each with images and labels."""
    for folder, names in dict(train=['a_1', 'b_2'], valid=['c_3'], test=['d_4']).items():
        for name in names:
            save(root / folder / 'images' / f'{name}.png', frame(name))
            label = root / folder / 'labels' / f'{name}.txt'
            label.parent.mkdir(exist_ok=True)
            label.write_text(text_of(BOXES[name]))
    (root / 'data.yaml').write_text('train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnc: 2\n'
                                    'names: [drone, bird]\n')
    return root


# --- What became of them ----------------------------------------------------------------------------------------------


def boxes_of(devkit, name):
    return read_boxes(devkit / 'SIRST/BBox' / f'{name}.xml')[1].tolist()


def classes_of(devkit, name):
    return read_boxes(devkit / 'SIRST/BBox' / f'{name}.xml')[0]


def names_of(devkit, split):
    return (devkit / 'Splits' / f'{split}_v2.txt').read_text().split()


def tree(folder):
    """Each file of a folder with its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob('*')) if path.is_file()}


def holds_all(devkit, names=tuple(BOXES)):
    for name in names:
        assert sorted(boxes_of(devkit, name)) == [list(map(float, box)) for box in sorted(BOXES[name])], name


def kinds(summary):
    return {note.kind for note in [*summary.notes, *summary.skipped]}


def errors_but_for_sky(devkit, classes=('Target', )):
    return [problem for problem in check_devkit(devkit).problems if problem.severity == 'error'
            and problem.file != 'SkySeg/PaletteMask' and 'is of class' not in problem.message]
