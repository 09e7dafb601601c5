"""Boxes and components of a mask: matched one to one, and boxes that count pixels from 1 moved onto theirs."""
import numpy as np
import pytest
from conftest import voc_xml

from bafenet.devkit.box_matching import match_boxes, read_boxes_on_mask


@pytest.mark.parametrize('shift', [(1, 1, 1, 1), (-2, -2, -2, -2), (0, 0, 1, 1), (-1, 0, 2, 1)])
def test_boxes_are_matched_to_the_components_they_were_made_from(shift):
    rng = np.random.default_rng(3)
    for _ in range(20):
        # Components at least 2 pixels apart, so that no other is as near.
        cells = rng.permutation(100)[:rng.integers(0, 30)]
        corner = 8 * np.stack([cells % 10, cells // 10], axis=1) + rng.integers(0, 2, (len(cells), 2))
        components = np.hstack([corner, corner + rng.integers(2, 5, (len(cells), 2))])
        order = rng.permutation(len(cells))
        boxes = (components + np.where(rng.random((len(cells), 1)) < 0.5, shift, 0))[order].astype(float)
        pairs = match_boxes(boxes, components)
        np.testing.assert_array_equal(pairs, np.stack([np.arange(len(cells)), order], axis=1).reshape(-1, 2))


def test_boxes_are_moved_only_onto_a_component(tmp_path):
    mask = np.zeros((20, 20), bool)
    mask[2:5, 3:6] = mask[10:14, 10:12] = True
    path = tmp_path / 'boxes.xml'
    # Right, one too far right and down, and one that fits neither way.
    path.write_text(voc_xml([(10, 10, 12, 14), (4, 3, 7, 6), (9, 9, 13, 15)]))
    boxes, moved = read_boxes_on_mask(path, mask)
    assert boxes.tolist() == [[10, 10, 12, 14], [3, 2, 6, 5], [9, 9, 13, 15]]
    assert moved == 1
