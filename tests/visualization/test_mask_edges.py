"""Lines around target pixels: outside of every pixel, at every scale; in insets of overlays and on contact sheets."""
import cv2
import numpy as np
import pytest
from conftest import ROOT
from mmdet.registry import DATASETS

from bafenet.datasets import SampleIndex
from bafenet.engine.options import load_config
from bafenet.errors import InputError
from bafenet.visualization import draw_overlay
from bafenet.visualization.browse import augment, draw_cell
from bafenet.visualization.marks import FOUND_COLOR, TRUE_COLOR, View, draw_mask_edge


def has_color(picture, color):
    return bool((picture == color).all(axis=2).any())


@pytest.mark.parametrize('gap', [0, 3])
def test_a_line_of_two_pixels_follows_the_mask_outside_of_it(gap):
    mask = np.zeros((6, 7), np.uint8)
    mask[2, 2:4] = mask[3, 2] = 1  # no rectangle
    mask[0, 6] = 255  # ignored
    scale, pixels = 8, np.full((48, 56, 3), 50, np.uint8)
    draw_mask_edge(View(pixels, (0, 0), scale), mask, (1, 2, 3), gap)
    # Chebyshev distance of each pixel of the picture to the nearest one of a target.
    targets = np.argwhere(np.kron(mask == 1, np.ones((scale, scale), bool)))
    places = np.stack(np.mgrid[:48, :56], axis=2)
    distance = np.abs(places[:, :, None] - targets).max(axis=3).min(axis=2)
    expected = (distance > gap) & (distance <= gap + 2)
    np.testing.assert_array_equal((pixels == (1, 2, 3)).all(axis=2), expected)
    assert (pixels[distance == gap + 3] == 0).all() and (pixels[(distance <= gap) | (distance > gap + 3)] == 50).all()


def test_a_single_pixel_is_not_lost_where_the_view_is_smaller():
    for place in range(8):
        mask = np.zeros((32, 32), np.uint8)
        mask[16 + place, 16 + place] = 1
        pixels = np.zeros((8, 8, 3), np.uint8)
        draw_mask_edge(View(pixels, (0, 0), 0.25), mask)
        assert has_color(pixels, TRUE_COLOR)


def test_insets_of_an_overlay_show_both_masks_and_the_caption_names_them():
    image, mask = np.full((60, 80), 40, np.uint8), np.zeros((60, 80), np.uint8)
    mask[20:23, 30:34] = 1
    box = np.array([[30, 20, 34, 23]], float)
    plain = draw_overlay(image, boxes=box, scores=[0.9])
    found = draw_overlay(image, boxes=box, scores=[0.9], mask=mask)
    both = draw_overlay(image, true_boxes=box, boxes=box, scores=[0.9], mask=mask, true_mask=mask)
    without = draw_overlay(image, true_boxes=box, boxes=box, scores=[0.9])
    width = 8 * 80  # of the frame, on which the line is not drawn
    np.testing.assert_array_equal(found[:480, :width], plain[:480, :width])
    for color, more, less in ((FOUND_COLOR, found, plain), (FOUND_COLOR, both, without), (TRUE_COLOR, both, without)):
        count = [(picture[:480, width:] == color).all(axis=2).sum() for picture in (more, less)]
        assert count[0] > count[1] + 14 * 8  # at least its perimeter once: other lines may lie below it
    assert (found[480:].shape != plain[480:].shape) or (found[480:] != plain[480:]).any()
    with pytest.raises(InputError, match='mask is of 60x79 and the image of 60x80'):
        draw_overlay(image, mask=mask[:, :-1])


@pytest.fixture
def cfg(tmp_path):
    """Four frames of 48x48 with a target of three pixels each, laid out as NUDT-SIRST."""
    for folder in ('images', 'masks', 'splits'):
        (tmp_path / folder).mkdir()
    for number in range(4):
        mask = np.zeros((48, 48), np.uint8)
        mask[10, 20 + number] = mask[11, 20 + number:22 + number] = 255
        cv2.imwrite(str(tmp_path / f'images/{number}.png'), np.full((48, 48), 60, np.uint8))
        cv2.imwrite(str(tmp_path / f'masks/{number}.png'), mask)
    (tmp_path / 'splits/train.txt').write_text('0\n1\n2\n3\n')
    return load_config(str(ROOT / 'configs/segmentation/additive_unet_nudt.py'), [
        f'train_dataloader.dataset.{setting}' for setting in (f'data_root={tmp_path}', 'holdout=1')])


def test_a_sample_without_boxes_has_its_mask_outlined_as_it_is_trained_on(cfg):
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    for index in (SampleIndex(0), SampleIndex(2, seed=3, epoch=4)):
        sample, packed = augment(dataset, index), dataset[index]
        np.testing.assert_array_equal(sample.target_mask, packed['data_samples'].gt_target_mask.sem_seg[0])
        y, x = np.nonzero(sample.target_mask)
        np.testing.assert_array_equal(sample.boxes, [[x.min(), y.min(), x.max() + 1, y.max() + 1]])
        assert not sample.pasted.any() and not sample.has_boxes
    cell = draw_cell(sample, 480)
    # Whole frame, ten times enlarged: the line, and no box around it, which would be three pixels away.
    line = (cell[:, :480] == TRUE_COLOR).all(axis=2)
    assert line.any() and (cell[:, 480:] == TRUE_COLOR).all(axis=2).any()
    rows, columns = np.nonzero(line)
    (x1, y1, x2, y2), = sample.boxes.astype(int) * 10
    assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (y1 - 2, y2 + 2, x1 - 2, x2 + 2)
