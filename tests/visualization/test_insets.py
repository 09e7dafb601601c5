"""Parts of an inset: lines of its list, places of marks, and shapes of marks."""
import numpy as np
import pytest

from bafenet.visualization.insets import list_rows, mark_spots
from bafenet.visualization.marks import MARK, brackets, draw_mark, outlines
from bafenet.visualization.outcomes import FALSE_ALARM, FOUND, HIT, MISS
from bafenet.visualization.text import LINE


@pytest.mark.parametrize('count', [0, 1, 7, 15])
@pytest.mark.parametrize('wanted', [(0, 240), (100, 104), (239, 240), (-9, 0)])
def test_lines_of_a_list_are_apart_and_inside(count, wanted):
    rows = list_rows(np.sort(np.random.default_rng(count).integers(*wanted, count)), 240)
    assert (np.diff(rows) >= LINE).all()
    assert not count or (rows[0] >= LINE // 2 and rows[-1] <= 240 - LINE // 2)


def test_a_list_with_room_stands_beside_its_targets():
    assert list_rows(np.array([20, 60, 61, 200]), 240).tolist() == [20, 60, 76, 200]


def test_marks_are_beside_their_boxes_and_not_on_others():
    boxes = np.array([[100, 100, 136, 136], [148, 100, 184, 136], [20, 200, 56, 236]])
    spots, corners = mark_spots(boxes, boxes, 240, 240)
    half = MARK // 2
    for (x, y), (corner_x, corner_y), own in zip(spots, corners, boxes, strict=True):
        assert half <= x < 240 - half and half <= y < 240 - half
        assert min(abs(corner_x - own[0]), abs(corner_x - own[2])) <= 4
        assert max(abs(x - corner_x), abs(y - corner_y)) < 24
        for x1, y1, x2, y2 in boxes:
            assert not (x1 - half <= x < x2 + half and y1 - half <= y < y2 + half)
    apart = np.abs(spots[:, None] - spots[None]).max(axis=2) + 99 * np.eye(3)
    assert (apart >= MARK).all()


def test_marks_differ_in_shape():
    shapes = {}
    for outcome in (HIT, MISS, FALSE_ALARM, FOUND):
        picture = np.full((21, 21, 3), 90, np.uint8)
        draw_mark(picture, outcome, 10, 10)
        shapes[outcome] = picture.max(axis=2) > 128
    assert not shapes[FOUND].any()
    for one, other in ((HIT, MISS), (HIT, FALSE_ALARM), (MISS, FALSE_ALARM)):
        shared, either = shapes[one] & shapes[other], shapes[one] | shapes[other]
        assert shared.sum() < 0.7 * either.sum()
    rows, columns = np.nonzero(shapes[MISS] | shapes[HIT] | shapes[FALSE_ALARM])
    assert max(np.abs(rows - 10).max(), np.abs(columns - 10).max()) <= MARK // 2 + 1


def test_outlines_and_brackets_are_around_their_boxes():
    box = np.array([[10, 20, 40, 30]])
    assert outlines(box, 3).tolist() == [[[7, 17], [42, 17], [42, 32], [7, 32]]]
    ends = brackets(box, 3)
    assert ends[:, 1].tolist() == outlines(box, 3)[0].tolist()  # the corners themselves
    assert np.abs(ends[:, [0, 2]] - ends[:, [1]]).max(axis=(1, 2)).tolist() == [7] * 4  # the longer arm
