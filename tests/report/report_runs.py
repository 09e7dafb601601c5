"""Runs that the tests of the report make: work dirs with logs and results, hostile names, frames on disk."""
import json
from html.parser import HTMLParser

import cv2
import numpy as np
from conftest import write_palette

# No name of a file can hold a slash.
HOSTILE = '<img src=x onerror=alert(1)>'
VOID = {'area', 'base', 'br', 'col', 'embed', 'hr', 'img', 'input', 'link', 'meta', 'source', 'track', 'wbr'}
CONFIG = """model = dict(type='BAFENet', depth={depth})
train_dataloader = dict(dataset=dict(ann_file='Splits/train_v2.txt', data_root='data/{name}'))
val_dataloader = dict(dataset=dict(ann_file='Splits/val_v2.txt', data_root='data/{name}'))
test_dataloader = dict(dataset=dict(ann_file='Splits/test_v2.txt', data_root='data/{name}'))
train_cfg = dict(max_epochs=2)
randomness = dict(seed=3)
"""


def frame(name, truth, found, sky, **more):
    """A frame of a results file: 96x64 pixels; what is found is (box, score)."""
    return dict(img_id=name, shape=[64, 96], boxes=[list(box) for box, _ in found],
                scores=[score for _, score in found], labels=[0] * len(found), in_sky=[True] * len(found),
                gt_boxes=[list(box) for box in truth],
                gt_labels=[0] * len(truth), sky_overlap=sky, **more)


A, B, C = (10, 10, 14, 14), (30, 12, 34, 16), (60, 20, 64, 24)
FAR = (80, 40, 84, 44)
# By name: targets, found with scores, sky overlap. Counted by hand at scores of at least 0.5:
#            missed  false alarms  highest  wrong sky
# clean         0          0          -         0
# missing       2          0          -        10
# alarmed       1          2         0.9       500
# low           1          0          -         0      its only detection is below 0.5
FRAMES = {
    'clean': ([A], [(A, 0.9)], [3000, 3000]),
    'missing': ([A, B, C], [(A, 0.8)], [2990, 3000]),
    'alarmed': ([A], [(FAR, 0.9), (C, 0.6)], [2500, 3000]),
    'low': ([A], [(A, 0.4)], [3000, 3000]),
    HOSTILE: ([A], [(A, 0.95)], [3000, 3000]),
}
COUNTS = {'clean': (0, 0, 0), 'missing': (2, 0, 0), 'alarmed': (1, 2, 0.9), 'low': (1, 0, 0), HOSTILE: (0, 0, 0)}


def write_frames(root):
    """The frames as a devkit's: grey images, and sky maps whose upper half is sky."""
    rng = np.random.default_rng(0)
    for folder in ('PNGImages', 'SkySeg/PaletteMask'):
        (root / folder).mkdir(parents=True)
    sky = np.zeros((64, 96), np.uint8)
    sky[:32] = 1
    for name, (truth, _, _) in FRAMES.items():
        image = rng.integers(30, 60, (64, 96), dtype=np.uint8)
        for x1, y1, x2, y2 in truth:
            image[y1:y2, x1:x2] = 220
        cv2.imwrite(str(root / 'PNGImages' / f'{name}.png'), image)
        write_palette(root / 'SkySeg/PaletteMask' / f'{name}.png', sky)


def write_results(file, root=None, ending='', **more):
    """A results file of these frames; with ``root`` it says where the images are."""
    images = [frame(name, *what, **({'img_path': str(root / 'PNGImages' / f'{name}.png')} if root else {}))
              for name, what in FRAMES.items()]
    metrics = {f'densesirst/{key}{ending}': value for key, value in (
        ('mAP_07', 0.5), ('mAP_12', 0.456), ('recall', 4 / 7), ('FPPI_sky', 0.4))}
    content = dict(config='configs/bafenet/bafenet_r50_densesirst.py', checkpoint='absent.pth',
                   checkpoint_sha256='0' * 64, splits='v2', split='Splits/test_v2.txt', training_images=0, seed=3,
                   commit='0123abc', machine='a machine', started='2026-01-01T00:00:00+00:00', seconds=61.0,
                   environment=dict(torch='2', device='cpu'), images=images,
                   metrics={**metrics, 'densesirst/sky_iou': 0.9})
    file.write_text(json.dumps({**content, **more}))
    return file


def write_work_dir(folder, depth=18, name='SIRSTdevkit'):
    """A work dir after a training: config, log, note of the run."""
    log = folder / '20260101_000000/vis_data'
    log.mkdir(parents=True)
    text = CONFIG.format(depth=depth, name=name)
    (folder / 'bafenet_r50_densesirst.py').write_text(text)
    (log / 'config.py').write_text(text)
    lines = [dict(loss=4 / step, loss_cls=2 / step, lr=1e-3, step=step) for step in range(1, 9)]
    lines += [{'densesirst/mAP_12': 0.1 * epoch, 'densesirst/sky_iou': 0.8, 'step': epoch} for epoch in (1, 2)]
    (log / 'scalars.json').write_text(''.join(json.dumps(line) + '\n' for line in lines))
    (log.parent / 'run.json').write_text(json.dumps(dict(
        config='configs/bafenet/bafenet_r50_densesirst.py', resolved_config=text, seed=3, commit='feedbeef',
        machine=f'a {HOSTILE} machine', started='2026-01-01T00:00:00+00:00', seconds=3725, finished=True,
        environment=dict(torch='2', device='cpu'))))
    return folder


class Page(HTMLParser):
    """A page's elements in order: (tag, attributes, text inside), and whether all are closed in order."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self._open, self.faults = [], [], []
        self.feed(text)
        self.close()
        self.faults += [element[0] for element in self._open]

    def handle_starttag(self, tag, attrs):
        self.elements.append([tag, dict(attrs), ''])
        if tag not in VOID:
            self._open.append(self.elements[-1])

    def handle_endtag(self, tag):
        if not self._open or self._open[-1][0] != tag:
            self.faults.append(tag)
        else:
            self._open.pop()
            self.handle_data(' ')  # words of two elements are two words

    def handle_data(self, data):
        for element in self._open:
            element[2] += data

    def all(self, *tags):
        """Elements of some kinds: attributes and text."""
        return [(attrs, ' '.join(text.split())) for tag, attrs, text in self.elements if tag in tags]

    def table(self, caption):
        """Cells by column and row name of the first table with a caption."""
        texts = [text for _, text in self.all('table')]
        own = next(i for i, text in enumerate(texts) if text.startswith(caption))
        start = [i for i, element in enumerate(self.elements) if element[0] == 'table'][own]
        rows, columns = {}, []
        for tag, attrs, text in self.elements[start + 1:]:
            if tag == 'table':
                break
            text = ' '.join(text.split())
            if tag == 'th' and attrs.get('scope') == 'col':
                columns.append(text)
            elif tag == 'th':
                row = rows.setdefault(text, {})
                left = iter(columns[1:])
            elif tag == 'td':
                row[next(left)] = text
        return rows
