"""Ways to spoil a devkit, and what the check must then say: a case each."""
import hashlib
import os
import shutil
import xml.etree.ElementTree as ElementTree

import cv2
import numpy as np
from conftest import voc_xml
from PIL import Image

from bafenet.datasets import DenseSIRSTDataset
from bafenet.devkit.check import check_devkit

BOX, PALETTE, BINARY = 'SIRST/BBox', 'SIRST/PaletteMask', 'SIRST/BinaryMask'
SKY, SKY_BINARY, POINT, IMAGE = 'SkySeg/PaletteMask', 'SkySeg/BinaryMask', 'SIRST/Point_label', 'PNGImages'


def true_boxes(root, name):
    box = ElementTree.parse(root / BOX / f'{name}.xml').getroot().iter('bndbox')
    return [[int(side.text) for side in sides] for sides in box]


def write_full(devkit, root):
    """The devkit with binary masks and point labels too."""
    root = shutil.copytree(devkit, root)
    for folder in (BINARY, SKY_BINARY, POINT):
        (root / folder).mkdir()
    for image in (root / IMAGE).iterdir():
        name = image.stem
        for palette, binary in ((PALETTE, BINARY), (SKY, SKY_BINARY)):
            labels = np.array(Image.open(root / palette / image.name))
            Image.fromarray(labels * 255).save(root / binary / f'{name}_pixels0.png')
        centres = [f'{(x1 + x2) // 2} {(y1 + y2) // 2}\n' for x1, y1, x2, y2 in true_boxes(root, name)]
        (root / POINT / f'{name}_pixels0.txt').write_text(''.join(reversed(centres)))
    return root


def set_boxes(root, boxes, name='scene_3'):
    (root / BOX / f'{name}.xml').write_text(voc_xml(boxes))


def problems(root, **kwargs):
    return check_devkit(root, **kwargs).problems


def edit(path, function):
    """Change the pixels of an image file."""
    Image.fromarray(function(np.array(Image.open(path)))).save(path)


def replace(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def digests(root):
    return {path: hashlib.md5(path.read_bytes()).hexdigest() for path in root.rglob('*') if path.is_file()}


def shifted(root, shift, which=slice(None)):
    boxes = np.array(true_boxes(root, 'scene_3'))
    boxes[which] += shift
    set_boxes(root, boxes.tolist())


def one_pixel(pixels):
    pixels[-1, 0] ^= 255
    return pixels


def truncate(path, count=200):
    path.write_bytes(path.read_bytes()[:-count])


def reads(root):
    """Whether the dataset takes the training split."""
    split = 'Splits/train_v2.txt' if (root / 'Splits').is_dir() else ''
    dataset = DenseSIRSTDataset(data_root=str(root), ann_file=split, sky='optional',
                                metainfo=dict(classes=('Target', 'Bird')),
                                pipeline=[dict(type='LoadInfraredImage'), dict(type='LoadSkyAnnotations')])
    return len([dataset[index] for index in range(len(dataset))]) > 0


def duplicate_image(root, mode):
    """Give an image of the training split the pixels of one of the test split."""
    with Image.open(root / IMAGE / 'scene_10.png') as image:
        image.convert(mode).save(root / IMAGE / 'scene_3.png')


SPOILS = {
    'image cut short': (lambda root: truncate(root / IMAGE / 'scene_3.png'),
                        [(IMAGE + '/scene_3.png', 'does not decode as an image')]),
    'image that is text': (lambda root: (root / IMAGE / 'scene_3.png').write_text('no image'),
                           [(IMAGE + '/scene_3.png', 'does not decode as an image')]),
    'image missing': (lambda root: (root / IMAGE / 'scene_3.png').unlink(), [
        (f'{folder}/scene_3{suffix}', 'there is no PNGImages/scene_3.png') for folder, suffix in
        ((BOX, '.xml'), (PALETTE, '.png'), (BINARY, '_pixels0.png'), (SKY, '.png'), (SKY_BINARY, '_pixels0.png'),
         (POINT, '_pixels0.txt'))
    ] + [(f'Splits/{split}.txt', 'there is no PNGImages/scene_3.png') for split in ('train_v2', 'trainval_v2')]),
    'stray file': (lambda root: (root / IMAGE / 'notes.txt').write_text(''), [(IMAGE + '/notes.txt', 'never read')]),
    'two images of one name': (lambda root: (root / IMAGE / 'scene_3.jpg').write_text(''),
                               [(IMAGE + '/scene_3.jpg', 'there is scene_3.png too')]),
    **{f'{folder} missing': (lambda root, file=file: (root / file).unlink(), [(file, 'is missing')])
       for folder, file in ((folder, f'{folder}/scene_3{suffix}') for folder, suffix in (
           (BOX, '.xml'), (PALETTE, '.png'), (BINARY, '_pixels0.png'), (SKY, '.png'), (SKY_BINARY, '_pixels0.png'),
           (POINT, '_pixels0.txt')))},
    'folder missing': (lambda root: shutil.rmtree(root / SKY), [(SKY, 'this folder is absent; the dataset takes')]),
    'splits missing': (lambda root: shutil.rmtree(root / 'Splits'), [
        ('Splits', 'this folder is absent'), (IMAGE, 'is in no split: 12 files (scene_0.png, ')]),
    'sky map of another size': (lambda root: edit(root / SKY / 'scene_3.png', lambda labels: labels[:-1]),
                                [(SKY + '/scene_3.png', 'is 64x63, but the image is 64x64')]),
    'target mask of another size': (lambda root: edit(root / PALETTE / 'scene_3.png', lambda labels: labels[:, 1:]),
                                    [(PALETTE + '/scene_3.png', 'is 63x64, but the image is 64x64')]),
    'sky map cut short': (lambda root: truncate(root / SKY_BINARY / 'scene_3_pixels0.png'),
                          [(SKY_BINARY + '/scene_3_pixels0.png', 'does not decode')]),
    'sky map of other values': (lambda root: edit(root / SKY / 'scene_3.png', lambda labels: labels * 3),
                                [(SKY + '/scene_3.png', 'holds the values 3; only 0, 1, 255')]),
    'target mask in colours': (lambda root: edit(root / PALETTE / 'scene_3.png',
                                                 lambda labels: np.dstack([labels] * 3)),
                               [(PALETTE + '/scene_3.png', 'has the mode RGB')]),
    'binary mask with indices': (lambda root: edit(root / BINARY / 'scene_3_pixels0.png', lambda mask: mask // 255),
                                 [(BINARY + '/scene_3_pixels0.png', 'holds the values 1; only 0, 255')]),
    'target masks that differ': (lambda root: edit(root / BINARY / 'scene_3_pixels0.png', one_pixel),
                                 [(BINARY + '/scene_3_pixels0.png', '1 pixels differ from SIRST/PaletteMask')]),
    'sky maps that differ': (lambda root: edit(root / SKY_BINARY / 'scene_3_pixels0.png', one_pixel),
                             [(SKY_BINARY + '/scene_3_pixels0.png', '1 pixels differ from SkySeg/PaletteMask')]),
    'XML cut short': (lambda root: truncate(root / BOX / 'scene_3.xml'), [(BOX + '/scene_3.xml', 'does not parse')]),
    'XML of another class': (lambda root: replace(root / BOX / 'scene_3.xml', 'Target', 'Bird'), []),
    'XML of another image': (lambda root: replace(root / BOX / 'scene_3.xml', '<annotation>',
                                                  '<annotation><filename>scene_4.png</filename>'),
                             [(BOX + '/scene_3.xml', "belongs to the image 'scene_4.png'")]),
    'XML of another size': (lambda root: replace(root / BOX / 'scene_3.xml', '<annotation>', '<annotation><size>'
                                                 '<width>64</width><height>65</height></size>'),
                            [(BOX + '/scene_3.xml', 'says that the image is 64x65; it is 64x64')]),
    'box of words': (lambda root: replace(root / BOX / 'scene_3.xml', '<xmin>', '<xmin>about '),
                     [(BOX + '/scene_3.xml', 'object 1 has no box of four numbers'),
                      (BOX + '/scene_3.xml', 'no box for the mask component'), (POINT, '4 points for 3 boxes'),
                      (POINT, 'lies in no box')]),
    'box that is not a number': (lambda root: replace(root / BOX / 'scene_3.xml', '<xmin>', '<xmin>nan</xmin><xmin>'),
                                 [(BOX + '/scene_3.xml', 'object 1 has no box of four numbers'),
                                  (BOX + '/scene_3.xml', 'no box for the mask component'),
                                  (POINT, '4 points for 3 boxes'), (POINT, 'lies in no box')]),
    'box without area': (lambda root: set_boxes(root, true_boxes(root, 'scene_3') + [[5, 5, 5, 9]]),
                         [(BOX + '/scene_3.xml', 'object 5: the box [5, 5, 5, 9] has no area')]),
    'box outside': (lambda root: shifted(root, [0, 0, 64, 0], 1),
                    [(BOX + '/scene_3.xml', 'lies outside the 64x64 image'),
                     (BOX + '/scene_3.xml', '1 of 4 boxes wrong by xmin +0, ymin +0, xmax +64, ymax +0')]),
    'boxes of SIRST-V2': (lambda root: shifted(root, 1), [
        (BOX + '/scene_3.xml', '4 of 4 boxes shifted by +1 in all four numbers (the convention of SIRST-V2) against '
         'the mask component: object 1, 2, 3, 4')]),
    'one box two pixels off': (lambda root: shifted(root, -2, 2), [
        (BOX + '/scene_3.xml', '1 of 4 boxes shifted by -2 in all four numbers against the mask component: object 3')]),
    'inclusive ends': (lambda root: shifted(root, [0, 0, -1, -1]), [
        (BOX + '/scene_3.xml', '4 of 4 boxes wrong by xmin +0, ymin +0, xmax -1, ymax -1')]),
    'box missing': (lambda root: set_boxes(root, true_boxes(root, 'scene_3')[1:]),
                    [(BOX + '/scene_3.xml', 'no box for the mask component'), (POINT, '4 points for 3 boxes'),
                     (POINT, 'lies in no box')]),
    'box twice': (lambda root: set_boxes(root, true_boxes(root, 'scene_3') + true_boxes(root, 'scene_3')[:1]),
                  [(BOX + '/scene_3.xml', 'object 5: no mask component'), (POINT, '4 points for 5 boxes')]),
    'box of nothing': (lambda root: set_boxes(root, true_boxes(root, 'scene_3') + [[50, 50, 54, 54]]),
                       [(BOX + '/scene_3.xml', 'object 5: no mask component for the box [50, 50, 54, 54]'),
                        (POINT, '4 points for 5 boxes'), (POINT, 'no point lies in the box [50, 50, 54, 54]')]),
    'point moved': (lambda root: (root / POINT / 'scene_3_pixels0.txt').write_text('60 60\n' + '\n'.join(
        (root / POINT / 'scene_3_pixels0.txt').read_text().splitlines()[1:])),
                    [(POINT + '/scene_3_pixels0.txt', 'the point [60, 60] lies in no box'),
                     (POINT + '/scene_3_pixels0.txt', 'no point lies in the box')]),
    'point that is a word': (lambda root: (root / POINT / 'scene_3_pixels0.txt').write_text('here 5\n'),
                             [(POINT + '/scene_3_pixels0.txt', 'does not hold two numbers in each line')]),
    'name in two splits': (lambda root: replace(root / 'Splits/test_v2.txt', 'scene_10', 'scene_10\nscene_3\nscene_9'),
                           [('Splits/test_v2.txt', 'scene_3 is in Splits/train_v2.txt too'),
                            ('Splits/test_v2.txt', 'scene_9 is in Splits/val_v2.txt too')]),
    'test names in a lone trainval': (lambda root: [(root / 'Splits' / f'{role}_mini.txt').write_text('scene_1')
                                                    for role in ('trainval', 'test')],
                                      [('Splits/test_mini.txt', 'scene_1 is in Splits/trainval_mini.txt too')]),
    'name twice in a split': (lambda root: replace(root / 'Splits/test_v2.txt', 'scene_10', 'scene_10\nscene_10'),
                              [('Splits/test_v2.txt', 'names scene_10 2 times')]),
    'name without files': (lambda root: replace(root / 'Splits/test_v2.txt', 'scene_10', 'scene_10\nscene_99'),
                           [('Splits/test_v2.txt', 'there is no PNGImages/scene_99.png')]),
    'image in no split': (lambda root: replace(root / 'Splits/test_v2.txt', 'scene_10', ''),
                          [(IMAGE + '/scene_10.png', 'is in no split')]),
    'empty split': (lambda root: (root / 'Splits/test_v3.txt').write_text('\n'),
                    [('Splits/test_v3.txt', 'names no image')]),
    'split that is no text': (lambda root: (root / 'Splits/test_v3.txt').write_bytes(b'\xff\xfe\xfa'),
                              [('Splits/test_v3.txt', 'is not a text file')]),
    'trainval of something else': (lambda root: replace(root / 'Splits/trainval_v2.txt', 'scene_3\n', ''),
                                   [('Splits/trainval_v2.txt', 'is not train_v2 and val_v2 together; 1 names differ')]),
    'same file in two splits': (lambda root: duplicate_image(root, 'L'), [
        (IMAGE + '/scene_10.png', 'in Splits/test_v2.txt, has the pixels of PNGImages/scene_3.png in Splits/train')]),
    'same picture in two splits': (lambda root: duplicate_image(root, 'RGBA'), [
        (IMAGE + '/scene_10.png', 'in Splits/test_v2.txt, has the pixels of PNGImages/scene_3.png in Splits/train')]),
}

def sixteen_bits(root, shape=(64, 64)):
    cv2.imwrite(str(root / IMAGE / 'scene_3.png'), np.full(shape, 3000, np.uint16))


def floating_point(root):
    (root / IMAGE / 'scene_3.png').unlink()
    cv2.imwrite(str(root / IMAGE / 'scene_3.tif'), np.linspace(-1, 1, 64 * 64, dtype=np.float32).reshape(64, 64))


def far_box(root, number):
    set_boxes(root, true_boxes(root, 'scene_3') + [[0, 0, number, 5]])


def pipe(root, file):
    (root / file).unlink()
    os.mkfifo(root / file)


def binary_sky(root, names):
    for name in names:
        edit(root / SKY / f'{name}.png', lambda labels: labels * 255)


SPOILS.update({
    'image of 16 bits': (sixteen_bits, []),
    'colour image of 16 bits': (lambda root: sixteen_bits(root, (64, 64, 3)), []),
    'image of floating point': (floating_point, []),
    'image of 16 bits cut short': (lambda root: [sixteen_bits(root), truncate(root / IMAGE / 'scene_3.png', 20)],
                                   [(IMAGE + '/scene_3.png', 'does not decode as an image')]),
    'image that would fill the memory': (lambda root: Image.new('1', (9000, 9000)).save(root / IMAGE / 'scene_3.png'),
                                         [(IMAGE + '/scene_3.png', 'is of 9000x9000 pixels')]),
    **{f'pipe as {folder}': (lambda root, file=file: pipe(root, file), [(file, 'is no regular file')])
       for folder, file in ((folder, f'{folder}/scene_3{suffix}') for folder, suffix in (
           (IMAGE, '.png'), (BOX, '.xml'), (PALETTE, '.png'), (SKY, '.png'), (POINT, '_pixels0.txt')))},
    'pipe as split': (lambda root: os.mkfifo(root / 'Splits/test_v3.txt'),
                      [('Splits/test_v3.txt', 'is a pipe or device')]),
    'box at 1e308': (lambda root: far_box(root, '1e308'), [
        (BOX + '/scene_3.xml', 'object 5: the box [0, 0, 1e+308, 5] lies outside the 64x64 image')]),
    'box at infinity': (lambda root: far_box(root, 'inf'), [
        (BOX + '/scene_3.xml', 'object 5 has no box of four numbers ([0, 0, inf, 5])')]),
    'box twice in an object': (lambda root: far_box(root, '5</xmax><xmax>6'), [
        (BOX + '/scene_3.xml', 'object 5 has no box of four numbers (xmax stands 2 times)')]),
    'box thinner than float32 tells': (lambda root: far_box(root, '1e-60'), [
        (BOX + '/scene_3.xml', 'object 5: the box [0, 0, 1e-60, 5] has no area')]),
    'XML that is a web page': (lambda root: (root / BOX / 'scene_3.xml').write_text('<html></html>'),
                               [(BOX + '/scene_3.xml', "its root is 'html' and not 'annotation'")]),
    'XML with entities': (lambda root: replace(root / BOX / 'scene_3.xml', '<annotation>',
                                               '<!DOCTYPE a [<!ENTITY b "c">]><annotation>'),
                          [(BOX + '/scene_3.xml', 'has a document type declaration')]),
    'XML of very many objects': (lambda root: set_boxes(root, [[0, 0, 5, 5]] * 20_000),
                                 [(BOX + '/scene_3.xml', 'has more than 10,000 objects')]),
    'points without end': (lambda root: (root / POINT / 'scene_3_pixels0.txt').write_text('1 1\n' * 300_000),
                           [(POINT + '/scene_3_pixels0.txt', 'is larger than 1 MiB')]),
    'very many points': (lambda root: (root / POINT / 'scene_3_pixels0.txt').write_text('1 1\n' * 20_000),
                         [(POINT, '20000 points for 4 boxes'), (POINT, 'too many to be compared')]),
    'split of UTF-16': (lambda root: (root / 'Splits/test_v3.txt').write_text('scene_3', encoding='utf-16'),
                        [('Splits/test_v3.txt', 'UTF-16')]),
    'split with escapes': (lambda root: (root / 'Splits/test_v3.txt').write_text('\x1b[31mscene_3'),
                           [('Splits/test_v3.txt', r"'\x1b[31mscene_3' is not an image name")]),
    'binary masks as palettes in a split': (lambda root: binary_sky(root, ['scene_10', 'scene_11']), [
        ('Splits/test_v2.txt', 'the sky maps of its images hold 255 (ignored) and nowhere 1 (sky)')]),
    'binary masks as palettes': (lambda root: binary_sky(root, [f'scene_{i}' for i in range(12)]), [
        (SKY, 'the sky maps hold 255 (ignored) and nowhere 1 (sky), as in SkySeg/BinaryMask')]),
})
