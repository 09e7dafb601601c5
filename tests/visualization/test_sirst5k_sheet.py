"""The contact sheet of a SIRST-5K set: which cells show what."""
import cv2
import numpy as np
import pytest

from bafenet.errors import InputError
from bafenet.synthesis.build_sirst5k import build_sirst5k
from bafenet.visualization.sirst5k_sheet import CELL, HEADS, write_sirst5k_sheet


@pytest.fixture
def built(tmp_path):
    """A set of two frames with a target and one without."""
    rng = np.random.default_rng(0)
    for folder in ('images', 'masks', 'splits'):
        (tmp_path / 'set' / folder).mkdir(parents=True)
    for number in range(3):
        image, mask = rng.integers(90, 100, (64, 64)).astype(np.uint8), np.zeros((64, 64), np.uint8)
        if number:
            mask[20, 20:23] = 255
            image[20, 20:23] = 160, 200, 240
        cv2.imwrite(str(tmp_path / f'set/images/{number}.png'), image)
        cv2.imwrite(str(tmp_path / f'set/masks/{number}.png'), mask)
    (tmp_path / 'set/splits/train.txt').write_text('0\n1\n2\n')
    build_sirst5k(tmp_path / 'set', tmp_path / 'out')
    return tmp_path / 'out'


def test_a_row_is_a_frame_with_a_target_and_what_was_made_of_it(built):
    write_sirst5k_sheet(built, 'train', 0.1, str(built / 'sheet.png'))
    sheet = cv2.imread(str(built / 'sheet.png'), 0)
    assert sheet.shape == (2 * CELL, len(HEADS) * CELL)
    # Below the captions of the first row, and above the name.
    rows, scale = slice(24, CELL - 24), CELL // 64
    cells = [sheet[:CELL, column * CELL:(column + 1) * CELL] for column in range(len(HEADS))]
    for cell, file in zip(cells, ('1', '1_noise0'), strict=False):
        shown = np.kron(cv2.imread(str(built / f'images/{file}.png'), 0), np.ones((scale, scale), np.uint8))
        assert np.array_equal(cell[rows], shown[rows])
    # Rounding is tenfold in the noise alone.
    assert np.abs(cells[2][rows].astype(float) - 95).max() < 20
    at_0, at_90, at_180 = (cell[rows].astype(int) for cell in cells[3:6])
    # A row of three levels that rise becomes a column, or one that falls.
    brightest = [np.unravel_index(cell.argmax(), cell.shape) for cell in (at_0, at_90, at_180)]
    pixel = CELL // 16
    assert [(y // pixel - brightest[0][0] // pixel, x // pixel - brightest[0][1] // pixel)
            for y, x in brightest] == [(0, 0), (-1, -1), (0, -2)]


def test_fewer_rows_are_drawn_where_that_is_asked_for(built):
    write_sirst5k_sheet(built, 'train', 0.1, str(built / 'sheet.png'), count=1)
    assert cv2.imread(str(built / 'sheet.png')).shape == (CELL, len(HEADS) * CELL, 3)


def test_a_set_without_targets_is_one_line(built):
    (built / 'splits/train_original.txt').write_text('0\n')
    with pytest.raises(InputError, match='no frame has a target'):
        write_sirst5k_sheet(built, 'train', 0.1, str(built / 'sheet.png'))
