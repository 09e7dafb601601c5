"""The statistics of a devkit: each quantity against its definition written out, and the paper's statements."""
import json
import shutil

import cv2
import numpy as np
import pytest
from conftest import draw_scene, load_tool, write_devkit
from PIL import Image

from bafenet.devkit import stats, stats_image, stats_paper
from bafenet.devkit.devkit_files import DevkitFiles
from bafenet.devkit.layout import image_names
from bafenet.errors import InputError

FIGURES = ['clusters.png', 'fig4a_image_sizes.png', 'fig4b_target_sizes.png', 'fig4c_local_contrast.png',
           'fig4d_brightness.png']


@pytest.fixture(scope='module')
def tool():
    """``tools/dataset/stats.py`` as a module."""
    return load_tool('dataset/stats.py')


def plain_contrast(image, box, margin):
    """Mean of the box over the mean of the ring around it, pixel by pixel."""
    inside, ring = [], []
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            if box[0] <= x < box[2] and box[1] <= y < box[3]:
                inside.append(float(image[y, x]))
            elif box[0] - margin <= x < box[2] + margin and box[1] - margin <= y < box[3] + margin:
                ring.append(float(image[y, x]))
    if not inside or not ring or not sum(ring):
        return np.nan
    return sum(inside) / len(inside) / (sum(ring) / len(ring))


@pytest.mark.parametrize('margin', [1, 8, 50])
def test_local_contrast_is_box_over_ring(margin):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (23, 31), dtype=np.uint8)
    corner = rng.integers(0, (29, 21), (12, 2))
    boxes = np.minimum(np.hstack([corner, corner + rng.integers(1, 6, (12, 2))]), [31, 23, 31, 23])
    # At the corners, one that leaves no ring, and one that is empty.
    boxes = np.vstack([boxes, [[0, 0, 2, 2], [28, 20, 31, 23], [0, 0, 31, 23], [4, 4, 4, 7]]])
    expected = [plain_contrast(image, box, margin) for box in boxes]
    np.testing.assert_allclose(stats_image.local_contrast(image, boxes, margin), expected, rtol=1e-9)
    assert np.isnan(expected).sum() == 2


def test_contrast_on_a_black_background_is_not_defined():
    image = np.zeros((20, 20), np.uint8)
    image[9:11, 9:11] = 50
    assert np.isnan(stats_image.local_contrast(image, np.array([[9, 9, 11, 11]]))).all()


def plain_clusters(centres, distance, least):
    """Sets of targets that are joined by steps of at most ``distance``."""
    left, groups = set(range(len(centres))), set()
    while left:
        group, front = set(), {left.pop()}
        while front:
            group |= front
            near = {b for b in left for a in front if np.hypot(*(centres[a] - centres[b])) <= distance}
            left -= near
            front = near
        if len(group) >= least:
            groups.add(frozenset(group))
    return groups


@pytest.mark.parametrize('count', [0, 1, 2, 3, 40, 120])
def test_clusters_are_single_linkage(count):
    # Half pixels, so that distances of exactly 10 occur.
    centres = np.random.default_rng(count).integers(0, 260, (count, 2)) / 2
    labels = stats_image.find_clusters(centres)
    ours = {frozenset(np.flatnonzero(labels == label).tolist()) for label in set(labels.tolist()) - {-1}}
    assert ours == plain_clusters(centres, 10, 3)
    assert sorted(set(labels.tolist()) - {-1}) == list(range(len(ours)))


def test_a_distance_of_ten_joins_and_more_does_not():
    assert stats_image.find_clusters(np.array([[0, 0], [10, 0], [16, 8]])).tolist() == [0, 0, 0]
    assert stats_image.find_clusters(np.array([[0, 0], [10.5, 0], [16, 8]])).tolist() == [-1, -1, -1]


def test_an_image_is_measured_as_defined(tmp_path):
    image = np.full((40, 50), 20, np.uint8)
    sky = np.zeros((40, 50), np.uint8)
    sky[:20] = 1
    # Three in a cluster in the sky, one apart below the horizon, dark, and one half and half.
    boxes = [(5, 5, 8, 8), (10, 5, 13, 8), (5, 10, 9, 14), (40, 34, 42, 36), (30, 19, 34, 21)]
    for (x1, y1, x2, y2), level in zip(boxes, (40, 60, 100, 10, 100), strict=True):
        image[y1:y2, x1:x2] = level
    image[39, 0] = 200
    write_devkit(tmp_path / 'kit', {'one': (image, boxes, sky)}, {'test_v2': ['one']})
    one = stats.measure_image(DevkitFiles(tmp_path / 'kit'), 'one')
    # Targets come in the order of their first pixels.
    order = [0, 1, 2, 4, 3]
    assert one.size == (50, 40) and one.boxes == 5
    assert one.sizes.tolist() == [[3, 3], [3, 3], [4, 4], [4, 2], [2, 2]] and one.area.tolist() == [9, 9, 16, 8, 4]
    np.testing.assert_allclose(one.brightness, np.array([40, 60, 100, 100, 10]) / 200)
    assert one.in_sky.tolist() == [True, True, True, True, False]
    assert one.cluster.tolist() == [0, 0, 0, -1, -1]
    true = [plain_contrast(image, boxes[i], 8) for i in order]
    moved = [plain_contrast(image, np.array(boxes[i]) - 1, 8) for i in order]
    np.testing.assert_allclose(one.contrast, true)
    np.testing.assert_allclose(one.contrast_paper_boxes, moved)
    # The dark target is darker than its surroundings.
    assert one.contrast[4] < 1 < one.contrast[0]


def test_a_box_at_the_border_is_cut_when_it_is_moved_out(tmp_path):
    image = np.arange(400, dtype=np.uint8).reshape(20, 20)
    write_devkit(tmp_path / 'kit', {'one': (image, [(0, 0, 3, 3)], image > 0)}, {'test_v2': ['one']})
    one = stats.measure_image(DevkitFiles(tmp_path / 'kit'), 'one')
    np.testing.assert_allclose(one.contrast_paper_boxes, [plain_contrast(image, (0, 0, 2, 2), 8)])


def summary_of(root, out, **kwargs):
    stats.report(root, out, **kwargs)
    return json.loads((out / 'statistics.json').read_text())


def test_the_report_counts_what_is_there(devkit, tmp_path, capsys):
    summary = summary_of(devkit, tmp_path / 'out')
    # conftest draws four squares of 6 pixels in each of twelve images of 64 pixels.
    assert (summary['images'], summary['boxes'], summary['targets']) == (12, 48, 48)
    assert summary['image_sizes'] == [{'width': 64, 'height': 64, 'count': 12}]
    assert summary['target_sizes'] == [{'width': 6, 'height': 6, 'count': 48}]
    assert summary['area']['mean'] == summary['area']['max'] == summary['box_area']['mean'] == 36
    assert summary['share_below_5x5'] == 0 and summary['share_in_sky'] == summary['brightness']['share_brightest'] == 1
    assert summary['table_1'] == {
        'dataset': 'SIRSTdevkit', 'annotation_type': 'Pixel + BBox', 'image_number': 12, 'target_number': 48,
        'average_target_area': 36, 'sparse_or_clustered': 'Sparse', 'background_semantic_annotation': True}
    for histogram in (summary['contrast']['histogram'], summary['brightness']['histogram']):
        assert sum(histogram['share']) == pytest.approx(1) and len(histogram['edges']) == len(histogram['share']) + 1
    assert summary['brightness']['histogram']['share'][-1] == 1
    # The paper speaks of DenseSIRST alone.
    assert summary['statements'] == [] and 'The paper on' not in capsys.readouterr().out


def test_densesirst_is_held_against_the_paper(devkit, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(stats, 'is_densesirst', lambda names: len(names) == 12)
    # By the names of all images, whatever the split.
    summary = summary_of(devkit, tmp_path / 'out', split='test_v2')
    statement, = [item for item in summary['statements'] if item['statement'] == 'most frequent target size']
    assert (statement['paper'], statement['measured'], statement['agrees']) == ('3x3', '6x6', False)
    assert '6x6' in capsys.readouterr().out


def test_densesirst_is_known_by_its_names(real_data):
    names = image_names(real_data)
    assert stats_paper.is_densesirst(names)
    assert not stats_paper.is_densesirst(names[:768]) and not stats_paper.is_densesirst([*names, 'one_more'])


def test_the_report_writes_figures_and_leaves_nothing_else(devkit, tmp_path):
    stats.report(devkit, tmp_path / 'out')
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == [*FIGURES, 'statistics.json']
    for name in FIGURES:
        picture = cv2.imread(str(tmp_path / 'out' / name))
        # Something is drawn on the white paper.
        assert min(picture.shape[:2]) > 400 and 0.01 < (picture < 250).any(axis=2).mean() < 0.9


def test_a_split_and_workers(devkit, tmp_path):
    one = summary_of(devkit, tmp_path / 'one', split='test_v2')
    two = summary_of(devkit, tmp_path / 'two', split='test_v2', workers=2)
    assert one == two and one['images'] == 2 and one['split'] == 'test_v2'


def paper_summary():
    """A summary in which every statement of the paper holds."""
    contrast = {'share_below_2': 0.904, 'min': 0.151}
    return {
        'images': 1024, 'boxes': 13655, 'area': {'mean': 6.4}, 'share_below_5x5': 0.9,
        'image_sizes': [{'width': 640, 'height': 512, 'count': 1000}, {'width': 320, 'height': 256, 'count': 12},
                        {'width': 1280, 'height': 1024, 'count': 12}],
        'target_sizes': [{'width': 3, 'height': 3, 'count': 9000}, {'width': 4, 'height': 3, 'count': 4655}],
        'contrast': dict(contrast), 'contrast_paper_boxes': dict(contrast), 'brightness': {'share_brightest': 0.2},
        'clusters': {'share_in_sky': 1.0, 'per_image': {'1': 500, '3': 524}, 'targets_per_cluster': {'8': 5, '12': 9}},
    }


def test_the_papers_own_numbers_agree_with_the_paper():
    statements = stats.compare_with_paper(paper_summary())
    assert len(statements) == 14 and all(item.agrees for item in statements)


@pytest.mark.parametrize(('keys', 'value', 'statement', 'measured'), [
    (['images'], 1023, 'number of images', '1,023'),
    (['boxes'], 13654, 'number of targets', '13,654'),
    (['area', 'mean'], 6.6, 'average target area', '6.6'),
    (['image_sizes', 1, 'width'], 135, 'image sizes', '135x256 to 1280x1024 (12 images outside)'),
    (['image_sizes', 2, 'height'], 1080, 'image sizes', '320x256 to 1280x1080 (12 images outside)'),
    (['target_sizes', 0, 'width'], 4, 'most frequent target size', '4x3'),
    (['share_below_5x5'], 0.49, 'targets predominantly below 5x5', '49.0%'),
    (['contrast', 'share_below_2'], 0.89, 'local contrast: targets below 2', '89.0%'),
    (['contrast', 'min'], 0.16, 'local contrast: lowest', '0.160'),
    (['brightness', 'share_brightest'], 0.51, 'targets that are the brightest of their image', '51.0%'),
    (['clusters', 'share_in_sky'], 0.99, 'dense areas lie in the sky', '99.00% of their targets'),
    (['clusters', 'per_image'], {'0': 1, '1': 3}, 'dense areas in an image', '0 to 1, as stated in 75.0% of images'),
    (['clusters', 'targets_per_cluster'], {}, 'targets in a dense area', 'there are none'),
])
def test_each_statement_is_held_against_its_own_measurement(keys, value, statement, measured):
    summary = paper_summary()
    place = summary
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    wrong, = [item for item in stats.compare_with_paper(summary) if not item.agrees]
    assert (wrong.statement, wrong.measured) == (statement, measured)


def test_black_images_and_one_without_targets_are_measured_too(tmp_path):
    rng = np.random.default_rng(1)
    image, boxes, sky = draw_scene(rng)
    samples = {'empty': (image, [], sky), 'black': (np.zeros_like(image), boxes, sky)}
    write_devkit(tmp_path / 'kit', samples, {'test_v2': list(samples)})
    summary = summary_of(tmp_path / 'kit', tmp_path / 'out')
    assert summary['targets'] == 4 and summary['targets_per_image']['min'] == 0
    assert summary['contrast']['undefined'] == 4 and summary['contrast']['share_below_2'] is None
    assert summary['brightness']['mean'] is None and summary['brightness']['share_brightest'] == 0


@pytest.mark.parametrize(('spoil', 'arguments', 'message'), [
    (None, ['--split', 'nosuch'], 'nosuch.txt: no such split; there are: test_v2, train_v2, trainval_v2, val_v2'),
    (None, ['--workers', '0'], '--workers 0'),
    ('SIRST/BBox/scene_3.xml', [], 'SIRST/BBox/scene_3.xml'),
    ('PNGImages', [], 'no image'),
])
def test_bad_input_is_one_line_and_exit_status_2(tool, copy, tmp_path, capsys, spoil, arguments, message):
    if spoil and (copy / spoil).is_dir():
        shutil.rmtree(copy / spoil)
    elif spoil:
        (copy / spoil).unlink()
    with pytest.raises(SystemExit) as caught:
        tool.main([str(copy), '--out', str(tmp_path / 'out'), *arguments])
    assert caught.value.code == 2 and not (tmp_path / 'out').exists()
    line, = capsys.readouterr().err.splitlines()
    assert line.startswith('error: ') and message in line


def test_other_bad_input(copy, tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(InputError, match='file: cannot be written'):
        stats.report(copy, tmp_path / 'file')
    mask = copy / 'SIRST/PaletteMask/scene_3.png'
    Image.open(mask).crop((0, 0, 64, 60)).save(mask)
    with pytest.raises(InputError, match='scene_3.png: is not one channel of its image'):
        stats.report(copy, tmp_path / 'out')
    for path in mask.parent.iterdir():
        Image.new('P', (64, 64)).save(path)
    with pytest.raises(InputError, match='no target'):
        stats.report(copy, tmp_path / 'out')


@pytest.mark.parametrize('size', [(64, 60), (1, 1)])
def test_a_map_of_another_size_says_both(copy, tmp_path, size):
    for folder in ('SIRST/PaletteMask', 'SkySeg/PaletteMask'):
        file = copy / folder / 'scene_3.png'
        before = file.read_bytes()
        Image.new('P', size).save(file)
        with pytest.raises(InputError, match=f"{file}: is not one channel of its image's size, 64x64, but "
                                             f'{size[0]}x{size[1]}'):
            stats.report(copy, tmp_path / 'out')
        file.write_bytes(before)


def test_binary_sky_maps_are_refused(copy, tmp_path):
    for path in (copy / 'SkySeg/PaletteMask').iterdir():
        Image.fromarray(np.array(Image.open(path)) * 255).save(path)
    with pytest.raises(InputError, match='holds 255 .*SkySeg/BinaryMask'):
        stats.report(copy, tmp_path / 'out')


def test_an_output_that_cannot_be_written_is_told_before_the_work(devkit, tmp_path, monkeypatch):
    monkeypatch.setattr(stats, 'measure_image', None)
    (tmp_path / 'file').touch()
    for out in (tmp_path / 'file', tmp_path / 'file' / 'out', '/proc/none'):
        with pytest.raises(InputError, match='--out .*cannot be written'):
            stats.report(devkit, out)


def test_bad_splits_are_one_line(copy, tmp_path):
    split = copy / 'Splits/own.txt'
    for content, message in (('scene_1\n'.encode('utf-16'), 'UTF-16'), (b'\x1b[31m', 'is not an image name'),
                             (b'scene_1\nscene_1', 'more than once'), (b'../PNGImages/scene_1', 'is not an image')):
        split.write_bytes(content)
        with pytest.raises(InputError, match=f'{split}: .*{message}') as error:
            stats.report(copy, tmp_path / 'out', split='own')
        assert str(error.value).isprintable()


def test_markup_in_a_name_is_printed_as_it_is(devkit, tmp_path, capsys):
    root = shutil.copytree(devkit, tmp_path / '[b]kit')
    stats.report(root, tmp_path / 'out')
    assert '[b]kit' in capsys.readouterr().out


def test_real_images_are_measured_as_by_opencv(real_data):
    names = (real_data / 'Splits/test_v2.txt').read_text().split()[:40]
    images = [stats.measure_image(DevkitFiles(real_data), name) for name in names]
    for name, ours in zip(names[:10], images, strict=False):
        image = cv2.imread(str(real_data / 'PNGImages' / f'{name}.png'), cv2.IMREAD_GRAYSCALE)
        mask = cv2.imread(str(real_data / 'SIRST/BinaryMask' / f'{name}_pixels0.png'), cv2.IMREAD_GRAYSCALE)
        sky = cv2.imread(str(real_data / 'SkySeg/BinaryMask' / f'{name}_pixels0.png'), cv2.IMREAD_GRAYSCALE)
        count, labels, extents, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        peaks = [image[labels == label].max() / image.max() for label in range(1, count)]
        assert sorted(ours.sizes.tolist()) == sorted(extents[1:, 2:4].tolist()) and ours.boxes == count - 1
        np.testing.assert_allclose(np.sort(ours.brightness), np.sort(peaks))
        assert ours.in_sky.sum() == sum(sky[labels == label].mean() >= 127.5 for label in range(1, count))
    summary = stats.summarize(images)
    assert summary['target_sizes'][0]['width'] == summary['target_sizes'][0]['height'] == 3
    # The paper's 90 % needs its boxes, which lie one pixel off.
    assert summary['contrast']['share_below_2'] < summary['contrast_paper_boxes']['share_below_2']
