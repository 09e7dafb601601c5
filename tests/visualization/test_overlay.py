"""Overlays: what insets show, that no target is drawn on, sizes of pictures, and any input that may come."""
import numpy as np
import pytest

from bafenet.errors import InputError
from bafenet.visualization import draw_overlay
from bafenet.visualization.contrast import contrast_limits, stretch
from bafenet.visualization.insets import GUTTER, HEADING, SLOT_HEIGHT, SLOT_WIDTH
from bafenet.visualization.marks import (
    FAINT,
    FOUND_COLOR,
    FOUND_GAPS,
    LIGHT,
    SKY_COLOR,
    TICK,
    TICK_STEP,
    TRUE_COLOR,
    TRUE_GAPS,
    View,
    draw_outlines,
)
from bafenet.visualization.overlay import BACKGROUND, lay_out
from bafenet.visualization.places import INSET, regions

HEIGHT, WIDTH = 200, 300


def noise(height=HEIGHT, width=WIDTH, seed=0, channels=()):
    return np.random.default_rng(seed).integers(40, 90, (height, width, *channels), dtype=np.uint8)


def targets(count, seed=0, height=HEIGHT, width=WIDTH):
    rng = np.random.default_rng(seed)
    corner = np.column_stack([rng.integers(0, width - 3, count), rng.integers(0, height - 3, count)]).astype(float)
    return np.concatenate([corner, corner + 3], axis=1)


def inset_of(picture, layout, slot):
    x, y = layout.slots[slot]
    return picture[y + GUTTER + HEADING:y + GUTTER + HEADING + INSET, x + 1:x + 1 + INSET]


def color_at(picture, color):
    return (picture == color).all(axis=2)


def test_an_inset_holds_the_pixels_of_its_place():
    image = noise()
    box = np.array([[150.0, 80, 153, 83]])
    picture = draw_overlay(image, true_boxes=box, insets=4)
    inset = inset_of(picture, lay_out(WIDTH, HEIGHT, 1), 0)
    part = image[72:92, 142:162]
    expected = stretch(part, contrast_limits(part, (1, 98))).repeat(12, 0).repeat(12, 1)
    same = (inset == expected[..., None]).all(axis=2)
    assert same[8 * 12:11 * 12, 8 * 12:11 * 12].all()  # the target
    assert same.mean() > 0.9 and same[:60].all() and same[-60:].all() and same[:, :60].all()
    # A pixel of air, the dark casing, and then the line.
    x1, y1, x2, y2 = (12 * (box[0] - (142, 72, 142, 72))).astype(int)
    gap, = TRUE_GAPS
    assert same[y1 - 1, x1:x2].all() and not same[y1 - 2, x1:x2].any() and (inset[y1 - gap, x1:x2] == TRUE_COLOR).all()


@pytest.mark.parametrize('truth', [True, False])
@pytest.mark.parametrize('insets', [0, 8])
@pytest.mark.parametrize('count', [1, 30, 300])
def test_nothing_is_drawn_on_a_target(truth, insets, count):
    image, boxes = noise(), targets(count)
    sky = np.zeros((HEIGHT, WIDTH), np.uint8)
    sky[:90] = 1
    found = dict(boxes=boxes) if not truth else dict(true_boxes=boxes, boxes=boxes + 0.4)
    picture = draw_overlay(image, sky=sky, true_sky=1 - sky, scores=np.linspace(1, 0, count), insets=insets, **found)
    scale = int(lay_out(WIDTH, HEIGHT, 0).scale)
    bare = stretch(image, contrast_limits(image, (0.5, 99.9))).repeat(scale, 0).repeat(scale, 1)[..., None]
    hidden = (picture[:HEIGHT * scale, :WIDTH * scale] != bare).any(axis=2)
    assert hidden.any()
    for x1, y1, x2, y2 in (boxes * scale).astype(int):
        assert not hidden[y1:y2, x1:x2].any()


def test_true_and_found_boxes_are_both_seen_where_they_match():
    box = np.array([[150.0, 80, 153, 83]])
    picture = draw_overlay(noise(), true_boxes=box, boxes=box, scores=[0.9])
    inset = inset_of(picture, lay_out(WIDTH, HEIGHT, 1), 0)
    true, found = color_at(inset, TRUE_COLOR), color_at(inset, FOUND_COLOR)
    corner = 8 * 12
    line = corner - TRUE_GAPS[0]
    assert true[line, line:line + 36].all()
    # Corners alone: the middle of each side is free.
    assert found[:corner, :corner].any() and not found[:, corner + 14:corner + 22].any()


def test_a_small_box_in_a_large_one_is_seen():
    boxes = np.array([[100.0, 60, 130, 90], [112, 72, 115, 75]])
    for layers in (dict(boxes=boxes), dict(true_boxes=boxes[:1], boxes=boxes[1:])):
        both = draw_overlay(noise(), insets=0, **layers)
        scale = int(lay_out(WIDTH, HEIGHT, 0).scale)
        part = both[65 * scale:82 * scale, 105 * scale:122 * scale]
        assert color_at(part, FOUND_COLOR).sum() > 30


def test_the_sky_has_a_line_and_the_true_one_dashes():
    sky = np.zeros((HEIGHT, WIDTH), np.uint8)
    sky[:90] = 1
    scale = int(lay_out(WIDTH, HEIGHT, 0).scale)
    frame = draw_overlay(noise(), sky=sky)[:HEIGHT * scale, :WIDTH * scale]
    line = color_at(frame, SKY_COLOR)
    assert line[90 * scale - 1, 1:-1].all() and not line[90 * scale:].any()
    frame = draw_overlay(noise(), true_sky=sky)[:HEIGHT * scale, :WIDTH * scale]
    assert 0.4 < color_at(frame, TRUE_COLOR)[90 * scale - 1].mean() < 0.6
    for whole in (np.zeros_like(sky), np.ones_like(sky)):
        assert not color_at(draw_overlay(noise(), sky=whole), SKY_COLOR).any()


@pytest.mark.parametrize('above', [True, False])
def test_ticks_point_into_the_sky(above):
    sky = np.zeros((HEIGHT, WIDTH), np.uint8)
    sky[:90] = above
    sky[90:] = not above
    scale = int(lay_out(WIDTH, HEIGHT, 0).scale)
    line = color_at(draw_overlay(noise(), sky=sky)[:HEIGHT * scale, :WIDTH * scale], SKY_COLOR)
    edge, into = (90 * scale - 1, -1) if above else (90 * scale, 1)
    lengths = line.sum(axis=0)
    ticks = np.flatnonzero(lengths > 1)
    assert (lengths[ticks] == 1 + TICK).all() and (np.diff(ticks) == TICK_STEP).all() and len(ticks) > 50
    assert line[edge + into * TICK, ticks].all() and not line[edge - into].any()


def test_leaders_of_scores_cut_no_box_of_a_dense_cluster():
    rng = np.random.default_rng(3)
    corners = 100 + 5.0 * np.array([(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1), (0, 2), (1, 2)])
    boxes = np.concatenate([corners, corners + 3], axis=1) + rng.uniform(-0.4, 0.4, (8, 4))
    picture = draw_overlay(noise(), boxes=boxes, scores=np.linspace(0.9, 0.4, 8))
    region, factor = (one[0] for one in regions(np.zeros(8, int), boxes, (WIDTH, HEIGHT)))
    alone = np.zeros((INSET, INSET, 3), np.uint8)
    placed = View(alone, (region[0], region[1]), factor).place(boxes)
    draw_outlines(alone, placed, FOUND_COLOR, FOUND_GAPS, corners_only=True)
    inset = inset_of(picture, lay_out(WIDTH, HEIGHT, 1), 0)
    brackets, free = color_at(alone, FOUND_COLOR), np.ones((INSET, INSET), bool)
    for x1, y1, x2, y2 in np.rint(boxes).astype(int) - np.tile(region[:2], 2):
        free[y1 * factor:y2 * factor, x1 * factor:x2 * factor] = False
    assert brackets.sum() > 400 and color_at(inset, FAINT).sum() > 100
    assert color_at(inset, FOUND_COLOR)[free].tolist() == brackets[free].tolist()


def test_an_inset_has_a_line_on_all_sides():
    layout = lay_out(WIDTH, HEIGHT, 1)
    picture = draw_overlay(noise(), true_boxes=np.array([[150.0, 80, 153, 83]]))
    (x, y), top = layout.slots[0], GUTTER + HEADING - 1
    line = color_at(picture[y:y + SLOT_HEIGHT, x:x + SLOT_WIDTH], LIGHT)
    assert line[top + INSET + 1, :INSET + 2].all() and line[top, :INSET + 2].all()
    assert line[top:top + INSET + 2, [0, INSET + 1]].all()


def test_boxes_below_the_least_score_are_not_drawn():
    boxes = targets(12)
    some = draw_overlay(noise(), boxes=boxes, scores=np.linspace(0.9, 0.1, 12), min_score=0.5, insets=0)
    expected = draw_overlay(noise(), boxes=boxes[:6], scores=np.linspace(0.9, 0.1, 12)[:6], insets=0)
    height = HEIGHT * int(lay_out(WIDTH, HEIGHT, 0).scale)
    np.testing.assert_array_equal(some[:height], expected[:height])
    assert (some[height:] != expected[height:some.shape[0]]).any()  # it is said


@pytest.mark.parametrize(('height', 'width'), [(96, 135), (512, 640), (1024, 1280), (2000, 3000), (17, 1900)])
def test_pictures_of_a_video_are_of_one_even_size(height, width):
    image, sky = noise(height, width), np.ones((height, width), np.uint8)
    sky[height // 2:] = 0
    sizes = {draw_overlay(image, boxes=targets(count, 0, height, width), scores=np.full(count, 0.4), insets=6,
                          min_score=least, sky=sky * (count % 2), title=title, fixed_size=True).shape
             for count, least, title in ((0, 0, 'a'), (1, 0, 'long name ' * 30), (7, 0.5, 'b'), (40, 0, 'c'))}
    assert len(sizes) == 1
    (rows, columns, channels), = sizes
    assert rows % 2 == columns % 2 == 0 and channels == 3
    assert rows <= 1280 + 400 and columns <= 1280 + 4 * SLOT_WIDTH


def test_layouts_are_of_bounded_size_and_insets_beside_the_frame():
    for width, height in ((135, 96), (640, 512), (1280, 1024), (4096, 4096), (96, 4000), (1, 1)):
        layout = lay_out(width, height, 12)
        assert max(layout.frame) <= 1280 and layout.size[0] <= 1280 + 6 * SLOT_WIDTH + 16
        assert (layout.scale == int(layout.scale)) == (max(width, height) <= 1280)
        assert layout.scale <= 1 or layout.frame == (width * layout.scale, height * layout.scale)
        corners = np.array(layout.slots)
        assert (corners[:, 0] >= layout.frame[0]).all()
        assert (corners + (SLOT_WIDTH, SLOT_HEIGHT) <= layout.size).all()
        near = (np.abs(corners[:, None] - corners[None]) < (SLOT_WIDTH, SLOT_HEIGHT)).all(axis=2)
        assert near.sum() == len(corners)  # none on another


def test_of_many_places_the_worst_are_shown():
    found = np.column_stack([np.arange(10) * 28.0, np.full(10, 10.0), np.arange(10) * 28.0 + 3, np.full(10, 13.0)])
    missed = np.array([[150.0, 150, 153, 153]])
    image = noise()
    image[150:153, 150:153] = 255
    picture = draw_overlay(image, true_boxes=np.concatenate([found, missed]), boxes=found, scores=np.full(10, 0.9),
                           insets=1)
    inset = inset_of(picture, lay_out(WIDTH, HEIGHT, 1), 0)
    assert (inset[8 * 12:11 * 12, 8 * 12:11 * 12] == 255).all()


@pytest.mark.parametrize('shape', [(1, 1), (1, 200), (200, 1), (1, 4000), (40, 30, 3)])
@pytest.mark.parametrize('insets', [0, 5])
def test_any_frame_and_any_boxes(shape, insets):
    height, width = shape[:2]
    boxes = np.array([[0, 0, width, height], [-5, -5, 2, 2], [width - 1, height - 1, width + 9, height + 9],
                      [3, 3, 3, 3], [5, 5, 2, 2], [np.nan, 0, 1, 1], [-1e12, 0, 1e12, 1], [1e7, 1e7, 1e7 + 3, 1e7 + 3]])
    image = noise(height, width, channels=shape[2:])
    before = image.copy()
    for layers in (dict(boxes=boxes), dict(true_boxes=boxes), dict(true_boxes=boxes[:3], boxes=boxes)):
        picture = draw_overlay(image, sky=np.ones((height, width), np.uint8), insets=insets, **layers)
        assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3
        np.testing.assert_array_equal(picture, draw_overlay(image, sky=np.ones((height, width), np.uint8),
                                                            insets=insets, **layers))
    np.testing.assert_array_equal(image, before)


def test_nothing_found_leaves_the_frame_and_grey_is_rgb():
    image = noise()
    picture = draw_overlay(image, stretch_to=None)
    scale = int(lay_out(WIDTH, HEIGHT, 0).scale)
    enlarged = image.repeat(scale, 0).repeat(scale, 1)[..., None]
    assert (picture[:HEIGHT * scale, :WIDTH * scale] == enlarged).all()
    assert (picture[HEIGHT * scale + 1, :] == BACKGROUND).all()
    np.testing.assert_array_equal(picture, draw_overlay(np.repeat(image[..., None], 3, 2), stretch_to=None))


@pytest.mark.parametrize('options', [dict(min_score=2), dict(insets=-1), dict(insets=1.5), dict(side=3),
                                     dict(iou_thr=0), dict(stretch_to=(99, 1)), dict(stretch_to=(0, 101))])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(InputError, match=next(iter(options))):
        draw_overlay(noise(), **options)
