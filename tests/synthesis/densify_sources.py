"""The source that the tests of densify.py share, and what they read of files."""
import hashlib
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
from conftest import draw_scene, voc_xml, write_devkit
from PIL import Image
from scipy import ndimage

NAMES = ['colour', 'no_sky', 'no_target', 'no_xml', 'old', 'reversed', 'scene_0', 'scene_1']
SPLITS = {'train_v2': ['scene_1', 'colour', 'old', 'no_xml'], 'val_v2': ['no_sky', 'reversed'],
          'test_v2': ['scene_0', 'no_target']}
SIZE, SEED = 128, 5


def contents(folder):
    """Every file below a folder with a digest of its bytes."""
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(Path(folder).rglob('*')) if path.is_file()}


def boxes_of(path):
    return [tuple(int(node.find('bndbox').findtext(tag)) for tag in ('xmin', 'ymin', 'xmax', 'ymax'))
            for node in ET.parse(path).getroot().iter('object')]


def pixels(path):
    return np.asarray(Image.open(path))


def extents(mask):
    found = ndimage.find_objects(ndimage.label(mask, np.ones((3, 3)))[0])
    return sorted((x.start, y.start, x.stop, y.stop) for y, x in found)


def draw_samples():
    """Name to (grey image, boxes, sky)."""
    rng = np.random.default_rng(8)
    scenes = {name: draw_scene(rng, SIZE) for name in NAMES}
    image, boxes, sky = scenes['no_sky']
    scenes['no_sky'] = image, boxes, sky * 0
    scenes['no_target'] = (*draw_scene(rng, SIZE, num_targets=0)[:2], sky)
    # Not in the order of the mask's components.
    image, boxes, sky = scenes['reversed']
    scenes['reversed'] = image, sorted(boxes, key=lambda box: (-box[1], -box[0])), sky
    for name in ('no_xml', 'old'):
        image, boxes, sky = scenes[name]
        scenes[name] = image, sorted(boxes, key=lambda box: (box[1], box[0])), sky
    return scenes


def write_source(root, samples):
    """The devkit of these samples: one has no boxes, those of another begin at 1, and a third has colours."""
    write_devkit(root, samples, SPLITS)
    (root / 'SIRST/BBox/no_xml.xml').unlink()
    (root / 'SIRST/BBox/old.xml').write_text(voc_xml(np.array(samples['old'][1]) + 1))
    image = samples['colour'][0]
    Image.fromarray(np.dstack([image, image, 255 - image])).save(root / 'PNGImages/colour.png')
    return root
