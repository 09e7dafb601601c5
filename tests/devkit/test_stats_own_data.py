"""Statistics of people's own data: several classes, 16 bits, no target masks, no sky maps."""
import json
import re
import shutil

import cv2
import numpy as np
from conftest import write_devkit
from PIL import Image

from bafenet.devkit import stats
from bafenet.devkit.devkit_files import DevkitFiles


def summary_of(root, out):
    stats.report(root, out)
    return json.loads((out / 'statistics.json').read_text())


def same_but_for(first, second, *keys):
    def rounded(value):
        # Sums depend on the order of the targets.
        return json.loads(json.dumps(value), parse_float=lambda text: round(float(text), 9))
    return all(rounded(first[key]) == rounded(second[key]) for key in first if key not in keys)


def test_without_target_masks_the_boxes_are_the_targets(copy, tmp_path, capsys):
    with_masks = summary_of(copy, tmp_path / 'one')
    shutil.rmtree(copy / 'SIRST/PaletteMask')
    summary = summary_of(copy, tmp_path / 'two')
    # Squares fill their boxes, so that all but the area is the same.
    assert same_but_for(with_masks, summary, 'area', 'table_1', 'images_with_target_mask')
    assert summary['area'] == dict.fromkeys(('mean', 'min', 'median', 'p90', 'max'))
    assert summary['images_with_target_mask'] == 0 and with_masks['images_with_target_mask'] == 12
    assert summary['table_1']['average_target_area'] is None and summary['table_1']['annotation_type'] == 'BBox'
    assert 'n/a' in capsys.readouterr().out
    one, two = ({path.name for path in (tmp_path / out).iterdir()} for out in ('one', 'two'))
    assert one == two  # figures too


def test_binary_masks_serve_where_palettes_are_absent(copy, tmp_path):
    expected = summary_of(copy, tmp_path / 'one')
    for palette, binary in (('SIRST/PaletteMask', 'SIRST/BinaryMask'), ('SkySeg/PaletteMask', 'SkySeg/BinaryMask')):
        (copy / binary).mkdir()
        for path in (copy / palette).iterdir():
            Image.fromarray(np.array(Image.open(path)) * 255).save(copy / binary / f'{path.stem}_pixels0.png')
        shutil.rmtree(copy / palette)
    assert same_but_for(expected, summary_of(copy, tmp_path / 'two'), 'table_1')


def test_without_sky_maps_the_share_in_the_sky_is_not_defined(copy, tmp_path, capsys):
    before = summary_of(copy, tmp_path / 'one')
    for name in ('scene_3', 'scene_4'):
        (copy / f'SkySeg/PaletteMask/{name}.png').unlink()
    # Of those that have one.
    assert summary_of(copy, tmp_path / 'two') == before
    shutil.rmtree(copy / 'SkySeg')
    summary = summary_of(copy, tmp_path / 'three')
    assert same_but_for(before, summary, 'share_in_sky', 'clusters', 'table_1')
    assert summary['share_in_sky'] is summary['clusters']['share_in_sky'] is None
    assert not summary['table_1']['background_semantic_annotation'] and 'no sky maps' in capsys.readouterr().out


def test_ignored_pixels_say_nothing_of_the_sky(tmp_path):
    image, sky = np.full((40, 40), 30, np.uint8), np.zeros((40, 40), np.uint8)
    boxes = [(4, 4, 8, 8), (20, 4, 24, 8), (20, 20, 24, 24)]
    sky[4:8, 4:8] = 255
    sky[4:7, 20:24], sky[7:8, 20:24] = 255, 1
    write_devkit(tmp_path / 'kit', {'one': (image, boxes, sky)}, {'test_v2': ['one']})
    Image.fromarray(sky).save(tmp_path / 'kit/SkySeg/PaletteMask/one.png')
    for _ in range(2):
        one = stats.measure_image(DevkitFiles(tmp_path / 'kit'), 'one')
        np.testing.assert_array_equal(one.in_sky, [np.nan, 1, 0])
        shutil.rmtree(tmp_path / 'kit/SIRST/PaletteMask', ignore_errors=True)


def test_each_class_is_a_row(copy, tmp_path, capsys):
    for index, name in enumerate(('small drone v1.0', 'Bird', '[b]Bird')):
        xml = copy / f'SIRST/BBox/scene_{index}.xml'
        xml.write_text(xml.read_text().replace('Target', name))
    xml = copy / 'SIRST/BBox/scene_3.xml'
    xml.write_text(re.sub(r'<xmax>(\d+)', lambda found: f'<xmax>{int(found[1]) - 2}', xml.read_text()).replace(
        'Target', 'Bird'))
    classes = summary_of(copy, tmp_path / 'out')['classes']
    assert {name: item['targets'] for name, item in classes.items()} == {
        'Target': 32, 'Bird': 8, '[b]Bird': 4, 'small drone v1.0': 4}
    assert classes['Bird']['width']['mean'] == 5 and classes['Bird']['height']['mean'] == 6
    printed = capsys.readouterr().out
    assert 'small drone v1.0' in printed and '[b]Bird' in printed


def test_16_bits_are_measured_as_predict_sees_them(copy, tmp_path):
    before = summary_of(copy, tmp_path / 'one')
    for path in (copy / 'PNGImages').iterdir():
        grey = cv2.imread(str(path), 0)
        grey[0, :20] = (0, 255) * 10
        cv2.imwrite(str(path), grey)
    eight = summary_of(copy, tmp_path / 'two')
    for path in (copy / 'PNGImages').iterdir():
        cv2.imwrite(str(path.with_suffix('.tiff')), cv2.imread(str(path), 0).astype(np.uint16) * 100)
        path.unlink()
    summary = summary_of(copy, tmp_path / 'three')
    # More than 0.1 % of the pixels are 0, and 255, so that the percentiles give the 8 bits back.
    assert summary['images_of_more_than_8_bits'] == 12 and before['images_of_more_than_8_bits'] == 0
    assert same_but_for(eight, summary, 'images_of_more_than_8_bits')
