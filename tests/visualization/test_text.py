"""Text on pictures: widths, names of any letters, and that nothing leaves the picture."""
import numpy as np
import pytest

from bafenet.visualization.text import WHITE, Text, shorten, text_width, write_texts


def test_a_name_that_is_too_long_keeps_its_end():
    name = 'a/very/long/' * 30 + 'frame_0017.png'
    short = shorten(name, 150)
    assert text_width(short) <= 150 < text_width(f'…/{short[1:]}') + 12
    assert short[0] == '…' and name.endswith(short[1:]) and short.endswith('0017.png')
    assert shorten('frame.png', 150) == 'frame.png'
    assert text_width(shorten('w' * 10**6, 100)) <= 100


def test_letters_are_shown_or_spelled_out():
    assert shorten('Übung_é_Ж.png', 500) == 'Übung_é_Ж.png'
    assert shorten('\x1b[31mred\n', 500) == r'\x1b[31mred\n'
    assert shorten('\u540d\U0001f9ff', 500) == r'\u540d\U0001f9ff'


def test_text_is_where_it_says_and_stays_in_the_picture():
    picture = np.zeros((40, 120, 3), np.uint8)
    write_texts(picture, [Text(10, 20, '0.93', WHITE)])
    rows, columns = np.nonzero(picture.any(axis=2))
    assert columns.min() >= 10 and columns.max() < 10 + text_width('0.93')
    assert abs((rows.min() + rows.max()) / 2 - 20) <= 3
    for x, y in ((-5, 0), (115, 39), (-500, -500), (500, 20)):
        write_texts(picture, [Text(x, y, 'outside', WHITE, outlined=True)])
    assert picture.shape == (40, 120, 3)


@pytest.mark.parametrize('background', [0, 128, 255])
def test_outlined_text_can_be_read_on_any_grey(background):
    picture = np.full((30, 80, 3), background, np.uint8)
    write_texts(picture, [Text(5, 15, '12', WHITE, outlined=True)])
    assert (picture < 30).all(axis=2).sum() > 10 and (picture > 200).all(axis=2).sum() > 10
