"""Ways to spoil what a tool reads: files of any kind, the parts of a devkit, checkpoints, libraries."""
import io
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from conftest import voc_xml, write_palette
from PIL import Image

HTML = '<!DOCTYPE html>\n<html><body><h1>404 Not Found</h1></body></html>\n'
ESCAPE = '\x1b[31mred\x1b[0m\x1b]0;title\x07'
# One image of each split.
HIT = ('scene_0', 'scene_8', 'scene_10')
Spoil = Callable[[Path], None]

# --- A file of any kind, by its path ----------------------------------------------------------------------------------


def loop(path: Path) -> None:
    """A link to itself."""
    path.symlink_to(path.name)


FILES: dict[str, Spoil] = {
    'missing': lambda path: None,
    'empty': lambda path: path.write_bytes(b''),
    'text': lambda path: path.write_text('no such thing\n'),
    'html': lambda path: path.write_text(HTML),
    'bytes': lambda path: path.write_bytes(np.random.default_rng(0).bytes(5000)),
    'zeros': lambda path: path.write_bytes(bytes(5000)),
    'utf-16': lambda path: path.write_bytes('scene_0\n'.encode('utf-16')),
    'latin-1': lambda path: path.write_bytes('Gebäude\n'.encode('latin-1')),
    'escapes': lambda path: path.write_text(ESCAPE),
    'deep': lambda path: path.write_text('[' * 100_000),
    'folder': lambda path: path.mkdir(),
    'pipe': os.mkfifo,
    'device': lambda path: path.symlink_to('/dev/zero'),
    'loop': loop,
    'dangling': lambda path: path.symlink_to('nowhere'),
    'below a file': lambda path: path.parent.write_text('a file'),
}


def written(content: object) -> Spoil:
    """The spoil that writes text, bytes or JSON."""
    if isinstance(content, bytes):
        return lambda path: path.write_bytes(content)
    return lambda path: path.write_text(content if isinstance(content, str) else json.dumps(content))


# --- Checkpoints, results, logs, libraries, tables --------------------------------------------------------------------


def checkpoint(change: Callable[[dict], object]) -> Spoil:
    """A checkpoint that was good before ``change``; it lies beside as ``good.pth``."""

    def spoil(path: Path) -> None:
        content = torch.load(path.parent / 'good.pth', weights_only=True)
        changed = change(content)
        torch.save(content if changed is None else changed, path)

    return spoil


def first_weight(content: dict, value: object) -> None:
    name = next(key for key, weight in content['state_dict'].items() if weight.is_floating_point())
    if isinstance(value, float):
        content['state_dict'][name].fill_(value)
    else:
        content['state_dict'][name] = value


def compressed(path: Path) -> None:
    with zipfile.ZipFile(path.parent / 'good.pth') as source, zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as out:
        for member in source.namelist():
            out.writestr(member, source.read(member))


class Foreign:
    """What no checkpoint may hold."""


CHECKPOINTS: dict[str, Spoil] = {
    'truncated': lambda path: path.write_bytes((path.parent / 'good.pth').read_bytes()[:20_000]),
    'compressed': compressed,
    'foreign class': checkpoint(lambda content: content.update(more=Foreign())),
    'function': checkpoint(lambda content: content.update(more=os.system)),
    'a list': checkpoint(lambda content: [1, 2]),
    'no weights': checkpoint(lambda content: content.pop('state_dict') and None),
    'weights are text': checkpoint(lambda content: content.update(state_dict='x')),
    'nan': checkpoint(lambda content: first_weight(content, float('nan'))),
    'inf': checkpoint(lambda content: first_weight(content, float('inf'))),
    'a weight is text': checkpoint(lambda content: first_weight(content, 'x')),
    'other shape': checkpoint(lambda content: first_weight(content, torch.zeros(7))),
    'shared memory': checkpoint(lambda content: first_weight(content, torch.zeros(1).expand(10**9))),
    'unknown weight': checkpoint(lambda content: content['state_dict'].update({ESCAPE: torch.zeros(1)})),
    'meta is text': checkpoint(lambda content: content.update(meta='x')),
    'config is a number': checkpoint(lambda content: content['meta'].update(cfg=3)),
    'config is a program': checkpoint(lambda content: content['meta'].update(cfg='x = open("/tmp/x", "w")')),
    'config of another': checkpoint(lambda content: content['meta'].update(cfg='model = dict(type="FCOS")')),
    'epoch is text': checkpoint(lambda content: content['meta'].update(epoch='one')),
    'epoch below 0': checkpoint(lambda content: content['meta'].update(epoch=-1)),
    'iter is nan': checkpoint(lambda content: content['meta'].update(iter=float('nan'))),
    'classes are a number': checkpoint(lambda content: content['meta'].update(dataset_meta=dict(classes=3))),
    'hub is text': checkpoint(lambda content: content.update(message_hub='x')),
    'optimizer is a list': checkpoint(lambda content: content.update(optimizer=[1])),
    'schedule is text': checkpoint(lambda content: content.update(param_schedulers='x')),
    'hashes are text': checkpoint(lambda content: content['meta'].update(training_images='x')),
}


def image(**change: object) -> dict:
    """A file of results with one image, with something else in it."""
    good = dict(img_id='a', boxes=[[0, 0, 4, 4]], scores=[0.5], labels=[0], gt_boxes=[[0, 0, 4, 4]], gt_labels=[0])
    return dict(images=[{**good, **change}])


RESULTS: dict[str, Spoil] = {name: written(content) for name, content in {
    'a list': [1], 'no images': {}, 'images are text': {'images': 'x'}, 'an image is a number': {'images': [3]},
    'boxes of three': image(boxes=[[0, 0, 4]]), 'boxes are text': image(boxes='x'), 'a box of text': image(boxes=['x']),
    'score is text': image(scores=['x']), 'score above 1': image(scores=[2]), 'two scores': image(scores=[0.5, 0.5]),
    'label is 0.5': image(labels=[0.5]), 'label below 0': image(gt_labels=[-1]), 'null boxes': image(gt_boxes=None),
    'name is a list': image(img_id=[1]), 'far box': image(boxes=[[0, 0, 1e300, 4]]),
    'nan': '{"images": [], "metrics": {"x": NaN}}', 'twice': '{"images": [], "images": []}',
    '1e999': '{"images": [], "metrics": {"x": 1e999}}', 'half': '{"images": [{"img_id": "a", ',
    'long number': '{"images": [' + '1' * 5000 + ']}', 'metrics are text': {'images': [], 'metrics': 'x'},
    'metric is text': {'images': [], 'metrics': {ESCAPE: 'x'}}, 'environment is text': {**image(), 'environment': 'x'},
}.items()}

LOGS: dict[str, Spoil] = {name: written(content) for name, content in {
    'no loss': '{"step": 1, "x": 2}\n', 'no step': '{"loss": 1}\n', 'loss is text': '{"loss": "x", "step": 1}\n',
    'nan': '{"loss": NaN, "step": 1}\n', 'step is text': '{"loss": 1, "step": "x"}\n', 'half': '{"loss": 1, "st',
    'a number': '3\n', 'true': '{"loss": true, "step": 1}\n', '1e400': '{"loss": 1e400, "step": 1}\n',
    'many losses': json.dumps({'step': 1, **{f'loss_{i}': 1 for i in range(60)}}) + '\n',
}.items()}


def npz(**arrays: object) -> Spoil:
    """A library with arrays of one's own; those that are None are left out."""

    def spoil(path: Path) -> None:
        good = dict(pixels=np.full(9, 200, np.uint8), sizes=np.array([[3, 3]]), meta=np.array('{}'))
        with open(path, 'wb') as file:
            np.savez(file, **{key: value for key, value in {**good, **arrays}.items() if value is not None})

    return spoil


def huge_array(path: Path) -> None:
    """A header that announces a terabyte."""
    npz()(path)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {'descr': '|u1', 'fortran_order': False, 'shape': (2**40, )})
    with zipfile.ZipFile(path) as source:
        members = {name: source.read(name) for name in source.namelist()}
    with zipfile.ZipFile(path, 'w') as out:
        for name, data in {**members, 'pixels.npy': header.getvalue()}.items():
            out.writestr(name, data)


LIBRARIES: dict[str, Spoil] = {
    'no pixels': npz(pixels=None), 'more arrays': npz(more=np.zeros(1)), 'pixels of float': npz(pixels=np.zeros(9)),
    'pixels in rows': npz(pixels=np.zeros((3, 3), np.uint8)), 'sizes do not add up': npz(sizes=np.array([[3, 4]])),
    'sizes below 0': npz(sizes=np.array([[-3, -3]])), 'sizes are huge': npz(sizes=np.array([[2**62, 4]])),
    'sizes of text': npz(sizes=np.array([['a', 'b']])), 'no sizes': npz(sizes=np.zeros((0, 2), int)),
    'pickled': npz(meta=np.array([{}], object)), 'sizes of float': npz(sizes=np.array([[3., 3.]])),
    'a terabyte': huge_array,
}

HEAD = 'title: t\nsource: s\n'
DEMO = '{demo: configs/demo/bafenet_r18_demo.py}'
TABLES: dict[str, Spoil] = {name: written(HEAD + text) for name, text in {
    'a list': '[1]', 'no rows': '', 'rows are text': 'rows: x\n', 'base is a number': 'base: 3\nrows: []\n',
    'base of a row is a number': 'rows: [{key: a, label: b, base: 3}]\n',
    'a value is text': f'rows: [{{key: a, label: b, base: {DEMO}, set: {{train_cfg.max_epochs: 2e0}}}}]\n',
    'paper is text': 'rows: [{key: a, label: b, base: a.py, paper: x}]\n', 'unknown key': 'rows: []\nmore: 1\n',
    'alias': 'notes: &a [x]\nrows: *a\n', 'python': 'rows: !!python/object/apply:os.system ["true"]\n',
    'twice': 'rows: []\nrows: []\n', 'a tab': 'a:\n\t- b\n',
}.items()}

ABSENT_CONFIG = written(f'{HEAD}rows: [{{key: a, label: b, base: {{demo: absent.py}}}}]\n')

# --- Devkits ----------------------------------------------------------------------------------------------------------


def each(pattern: str, spoil: Spoil) -> Spoil:
    """Spoil a file of one image of each split in a devkit, replacing what is there."""

    def spoil_all(kit: Path) -> None:
        for name in HIT:
            path = kit / pattern.format(name)
            path.unlink()
            spoil(path)

    return spoil_all


def xml(text: object) -> Spoil:
    return each('SIRST/BBox/{}.xml', written(text))


def box(*corners: object) -> Spoil:
    return xml(voc_xml([corners]))


def picture(array: np.ndarray, **options: object) -> Spoil:
    """Write an array as PNG, or as another format under that name."""
    return lambda path: Image.fromarray(array).save(path, **{'format': 'PNG', **options})


def bomb(path: Path) -> None:
    """A PNG whose header declares 60,000x60,000 pixels."""
    chunks = [(b'IHDR', struct.pack('>IIBBBBB', 60_000, 60_000, 8, 0, 0, 0, 0)), (b'IDAT', zlib.compress(b'')),
              (b'IEND', b'')]
    path.write_bytes(b'\x89PNG\r\n\x1a\n' + b''.join(
        struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
        for kind, data in chunks))


def half_png(path: Path) -> None:
    # Equal images would be refused as such.
    rng = np.random.default_rng(list(path.name.encode()))
    picture(rng.integers(0, 255, (64, 64), dtype=np.uint8))(path)
    path.write_bytes(path.read_bytes()[:2000])


def sky(values: np.ndarray) -> Spoil:
    return each('SkySeg/PaletteMask/{}.png', lambda path: write_palette(path, values))


def sky_of_255(kit: Path) -> None:
    """All sky maps as those of BinaryMask."""
    for path in (kit / 'SkySeg/PaletteMask').iterdir():
        picture(np.asarray(Image.open(path)) * np.uint8(255))(path)


def splits(content: object) -> Spoil:
    def spoil(kit: Path) -> None:
        for path in (kit / 'Splits').iterdir():
            path.unlink()
            content(path) if callable(content) else written(content)(path)

    return spoil


def without(folder: str) -> Spoil:
    return lambda kit: os.rename(kit / folder, kit / 'elsewhere')


GREY = np.full((64, 64), 30, np.uint8)
KITS: dict[str, Spoil] = {
    'xml: html': xml(HTML), 'xml: empty': xml(''), 'xml: other root': xml('<html><object/></html>'),
    'xml: half': xml(voc_xml([(1, 1, 4, 4)])[:60]), 'xml: bytes': each('SIRST/BBox/{}.xml', FILES['bytes']),
    'xml: 1e308': box(1, 1, 4, 1e308), 'xml: nan': box(1, 1, 'nan', 4), 'xml: inf': box(1, 1, 'inf', 4),
    'xml: long number': box(1, 1, '9' * 900, 4), 'xml: text': box(1, 1, ESCAPE.replace('\x1b', '').strip('\x07'), 4),
    'xml: no area': box(4, 4, 4, 4), 'xml: outside': box(60, 60, 70, 70), 'xml: below 0': box(-3, 1, 4, 4),
    'xml: three corners': xml('<annotation><object><name>Target</name><bndbox><xmin>1</xmin></bndbox></object>'
                              '</annotation>'),
    'xml: other class': xml(voc_xml([(1, 1, 4, 4)], 'bird')), 'xml: no class': xml(voc_xml([(1, 1, 4, 4)], '')),
    'xml: too many': xml(voc_xml([(1, 1, 4, 4)] * 20_000)), 'xml: deep': xml('<annotation>' * 50_000),
    'xml: entities': xml('<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>'),
    'xml: encoding': xml(b'<?xml version="1.0" encoding="no-such"?><annotation/>'),
    **{f'xml: {kind}': each('SIRST/BBox/{}.xml', FILES[kind]) for kind in
       ('missing', 'pipe', 'folder', 'device', 'dangling')},
    'image: 16 bits': each('PNGImages/{}.png', picture(GREY.astype(np.uint16) * 200)),
    'image: 32 bits': each('PNGImages/{}.png', picture(GREY.astype(np.int32) * 200, format='TIFF')),
    'image: float': each('PNGImages/{}.png', picture(GREY.astype(np.float32), format='TIFF')),
    'image: half': each('PNGImages/{}.png', half_png), 'image: bomb': each('PNGImages/{}.png', bomb),
    **{f'image: {kind}': each('PNGImages/{}.png', FILES[kind]) for kind in
       ('missing', 'empty', 'html', 'pipe', 'folder', 'device')},
    'sky: 255': sky_of_255, 'sky: 1x1': sky(np.ones((1, 1))), 'sky: turned': sky(np.ones((64, 32))),
    'sky: 16 bits': each('SkySeg/PaletteMask/{}.png', picture(GREY.astype(np.uint16) * 200)),
    **{f'sky: {kind}': each('SkySeg/PaletteMask/{}.png', FILES[kind]) for kind in
       ('missing', 'html', 'pipe', 'folder')},
    'mask: 1x1': each('SIRST/PaletteMask/{}.png', picture(GREY[:1, :1])),
    'mask: html': each('SIRST/PaletteMask/{}.png', FILES['html']),
    'mask: pipe': each('SIRST/PaletteMask/{}.png', FILES['pipe']),
    **{f'split: {kind}': splits(FILES[kind]) for kind in
       ('utf-16', 'latin-1', 'empty', 'bytes', 'pipe', 'folder', 'device', 'dangling')},
    'split: escapes': splits(f'{ESCAPE}\n'), 'split: twice': splits('scene_0\nscene_0\n'),
    'split: absent image': splits('scene_0\nscene_99\n'), 'split: a path': splits('../scene_0\n'),
    'split: absolute': splits('/etc/passwd\n'), 'split: html': splits(HTML), 'split: long': splits('x' * 5000),
    'split: blank': splits('\n \n\t\n'), 'split: right to left': splits('scene_\u202e0\n'),
    'without: PNGImages': without('PNGImages'), 'without: Splits': without('Splits'),
    'without: sky maps': without('SkySeg'), 'without: masks': without('SIRST/PaletteMask'),
}
